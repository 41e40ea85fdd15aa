"""What transformers does to the model on the way to disk and back."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel

from textvae.modeling_textvae import TextVAEConfig, TextVAEModel
from textvae.modeling_textvae.priors import MixturePrior


def test_save_and_load_keep_every_weight_and_buffer(tiny_model, batch, tmp_path, run):
    tiny_model.save_pretrained(tmp_path)
    loaded = TextVAEModel.from_pretrained(tmp_path)
    assert not loaded.training
    state = loaded.state_dict()
    for name, tensor in tiny_model.state_dict().items():
        assert torch.equal(tensor, state[name]), name  # buffers come through the meta device unharmed
    torch.testing.assert_close(run(tiny_model, batch).logits, run(loaded, batch).logits)
    assert isinstance(loaded.config.encoder_config, type(tiny_model.config.encoder_config))
    assert loaded.config.encoder_config.to_diff_dict() == tiny_model.config.encoder_config.to_diff_dict()


@pytest.mark.parametrize("prior", ["standard", "autoregressive"])
def test_half_precision_weights_compute(tiny_model, rebuilt, tiny_tokenizer, batch, sentences, tmp_path, prior, run):
    model = rebuilt(tiny_model, prior=prior, hidden_chunks=True, refinement_steps=2)
    model.save_pretrained(tmp_path)
    half = TextVAEModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(run(half, batch).nll, run(model, batch).nll, rtol=0.05, atol=0.5)
    assert len(half.reconstruct(sentences, tiny_tokenizer)) == len(sentences)
    assert len(half.generate(num_return_sequences=3, latent_share=0.5)) == 3


def test_the_output_layer_is_the_embedding_table_also_after_a_reload(tiny_model, batch, tmp_path, run):
    tiny_model.save_pretrained(tmp_path)
    loaded = TextVAEModel.from_pretrained(tmp_path)
    before = run(loaded, batch).logits
    with torch.no_grad():
        loaded.decoder.embedding.weight[5] += 100.0
    changed = (run(loaded, batch).logits - before).abs().amax(dim=(0, 1))
    assert changed[5] > 1.0
    vocabulary_sized = [n for n, p in loaded.decoder.named_parameters() if loaded.config.decoder_vocab_size in p.shape]
    assert vocabulary_sized == ["bias", "embedding.weight"]


def test_a_gru_that_the_checkpoint_lacks_is_initialised(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    tiny_model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if ".gru." not in name}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = TextVAEModel.from_pretrained(tmp_path)
    for name, weight in loaded.named_parameters():
        assert torch.isfinite(weight).all(), name
        if ".gru.weight_hh" in name:
            for gate in weight.chunk(3):
                torch.testing.assert_close(gate @ gate.T, torch.eye(len(gate)), atol=1e-4, rtol=0)


def test_a_pretrained_encoder_is_not_disturbed(tiny_model, tiny_encoder):
    body = AutoModel.from_pretrained(tiny_encoder)
    for name, tensor in tiny_model.encoder.state_dict().items():
        assert torch.equal(tensor, body.state_dict()[name]), name


def test_auto_classes_know_the_model(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is TextVAEConfig
    assert type(AutoModel.from_pretrained(tmp_path)) is TextVAEModel


def test_a_frozen_encoder_drops_nothing_even_before_it_is_told(tiny_model):
    assert not any(module.training for module in TextVAEModel(tiny_model.config).encoder.modules())


def test_a_reload_keeps_the_encoder_frozen(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    loaded, _ = TextVAEModel.from_pretrained(tmp_path, output_loading_info=True)
    for model in (loaded, AutoModel.from_pretrained(tmp_path)):
        assert not any(weight.requires_grad for weight in model.encoder.parameters())
        assert all(weight.requires_grad for weight in model.decoder.parameters())


def test_a_tuple_where_it_is_asked_for(tiny_model, batch, run):
    out = run(tiny_model, batch)
    parts = run(tiny_model, batch, return_dict=False)
    assert isinstance(parts, tuple)
    torch.testing.assert_close(parts[0], out.loss)


def test_fitted_priors_follow_their_weights_and_no_others(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "first")
    assert not list((tmp_path / "first").glob("*.prior.safetensors"))  # nothing was fitted to a fresh model
    size = tiny_model.config.latent_size
    fitted = MixturePrior(torch.zeros(1, 1), torch.randn(1, 1, size), torch.eye(size)[None, None])
    fitted.save(tmp_path / "first" / "sentences.prior.safetensors")
    loaded = TextVAEModel.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "again")
    again = TextVAEModel.from_pretrained(tmp_path / "again").load_prior("sentences")
    torch.testing.assert_close(again.means, fitted.means)
    with torch.no_grad():
        loaded.decoder.bias += 1.0
    loaded.save_pretrained(tmp_path / "trained")
    assert not list((tmp_path / "trained").glob("*.prior.safetensors"))
