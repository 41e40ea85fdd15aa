"""The model: its loss, its vocabulary, and what transformers does to it on the way to disk and back."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel, Trainer, TrainingArguments

from textvae.modeling_textvae import Posterior, TextVAEConfig, TextVAEModel
from textvae.modeling_textvae.priors import MixturePrior


@pytest.fixture
def batch(tiny_tokenizer, sentences):
    return tiny_tokenizer(sentences, padding=True, return_tensors="pt")


def run(model, batch, **options):
    noise = torch.zeros(len(batch.input_ids), model.config.latent_size)
    options.setdefault("noise", noise)
    return model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, **options)


def test_kl_agrees_with_monte_carlo():
    posterior = Posterior(torch.tensor([[0.7, -1.2]]), torch.tensor([[-0.5, 0.3]]))
    deviation = (0.5 * posterior.log_variance).exp()
    draws = posterior.mean + deviation * torch.randn(400_000, 2, generator=torch.Generator().manual_seed(0))
    inside = torch.distributions.Normal(posterior.mean, deviation).log_prob(draws)
    estimate = (inside - torch.distributions.Normal(0.0, 1.0).log_prob(draws)).mean(0)
    torch.testing.assert_close(posterior.kl()[0], estimate, atol=0.01, rtol=0)


def test_loss_is_the_mean_of_nll_and_kl_and_nll_that_of_the_logits(tiny_model, batch):
    out = run(tiny_model, batch)
    torch.testing.assert_close(out.loss, (out.nll + out.kl).mean())
    targets = tiny_model.decoder.respell(batch.input_ids)
    spelled = out.logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(out.nll, -(spelled * (targets != 0)).sum(1))


def test_padding_changes_nothing(tiny_model, tiny_tokenizer, sentences):
    alone = run(tiny_model, tiny_tokenizer(sentences[:1], return_tensors="pt"))
    padded = tiny_tokenizer(sentences[:1], padding="max_length", max_length=24, return_tensors="pt")
    beside = run(tiny_model, padded)
    for name in ("mean", "log_variance", "nll", "kl"):
        torch.testing.assert_close(alone[name], beside[name], rtol=1e-5, atol=1e-5)
    shared = alone.logits.shape[1]
    torch.testing.assert_close(alone.logits, beside.logits[:, :shared], rtol=1e-4, atol=1e-5)


def test_candidates_that_are_the_whole_vocabulary_give_the_full_softmax(tiny_model, batch):
    everything = torch.arange(tiny_model.config.decoder_vocab_size)
    by_candidates = run(tiny_model, batch, candidates=everything)
    assert by_candidates.logits is None
    torch.testing.assert_close(by_candidates.nll, run(tiny_model, batch).nll)


def test_word_dropout_hides_inputs_but_not_targets(tiny_model, batch):
    nothing_kept = torch.zeros(len(batch.input_ids), 64, dtype=torch.bool)
    kept = run(tiny_model, batch, input_keep=~nothing_kept)
    torch.testing.assert_close(kept.nll, run(tiny_model, batch).nll)
    hidden = run(tiny_model, batch, input_keep=nothing_kept)
    assert hidden.logits.shape == kept.logits.shape
    torch.testing.assert_close(hidden.logits[:, 0], kept.logits[:, 0])  # begin is never hidden
    assert not torch.allclose(hidden.logits[:, 1:], kept.logits[:, 1:])


def test_a_hidden_chunk_tells_the_decoder_nothing(tiny_model, rebuilt, batch):
    model = rebuilt(tiny_model, hidden_chunks=True)
    noise = torch.randn(len(batch.input_ids), 16, generator=torch.Generator().manual_seed(3))
    other = noise.clone()
    other[:, 4:8] += 2.0  # the second chunk
    shown = torch.ones(len(noise), 4, dtype=torch.bool)
    torch.testing.assert_close(run(model, batch, noise=noise, shown=shown).nll, run(model, batch, noise=noise).nll)
    assert not torch.allclose(run(model, batch, noise=other).nll, run(model, batch, noise=noise).nll)
    shown[:, 1] = False
    hidden = [run(model, batch, noise=n, shown=shown) for n in (noise, other)]
    torch.testing.assert_close(hidden[0].nll, hidden[1].nll)
    assert not torch.allclose(hidden[0].nll, run(model, batch, noise=noise).nll)
    with pytest.raises(ValueError, match="hidden_chunks=False"):
        run(tiny_model, batch, shown=shown)


def test_noise_from_a_generator_is_repeatable(tiny_model, batch):
    draws = [run(tiny_model, batch, noise=None, generator=torch.Generator().manual_seed(s)).nll for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_any_word_is_spelled_by_kept_tokens(tiny_model, tiny_tokenizer):
    text = "zebras quiz 42 unfunny films"
    ids = tiny_tokenizer([text], return_tensors="pt").input_ids
    back = tiny_model.decoder.to_encoder_ids(tiny_model.decoder.respell(ids))
    assert tiny_tokenizer.decode(back[0], skip_special_tokens=True) == text


def test_classes_condition_the_model_and_may_be_unknown(tiny_model, rebuilt, batch):
    model = rebuilt(tiny_model, num_classes=2)
    ones = torch.ones(len(batch.input_ids), dtype=torch.long)
    first, second, unknown = (run(model, batch, class_ids=c * ones).nll for c in (0, 1, 2))
    assert not torch.allclose(first, second)
    torch.testing.assert_close(run(model, batch).nll, unknown)
    with pytest.raises(ValueError, match="takes no class_ids"):
        run(tiny_model, batch, class_ids=ones)


def test_the_bag_of_words_is_the_texts_tokens_in_any_order(tiny_model, rebuilt, batch):
    model = rebuilt(tiny_model, bag_of_words=True)
    out = run(model, batch)
    targets = model.decoder.respell(batch.input_ids)
    scores = model.decoder.logits(model.decoder.bag(out.mean)).log_softmax(-1)
    expected = [-scores[row, [token for token in targets[row].tolist() if token]].sum() for row in range(len(targets))]
    torch.testing.assert_close(out.bag_nll, torch.stack(expected))
    everything = torch.arange(model.config.decoder_vocab_size)
    torch.testing.assert_close(run(model, batch, candidates=everything).bag_nll, out.bag_nll)
    assert run(tiny_model, batch).bag_nll is None


def test_the_embedding_layer_alone_skips_the_body(tiny_model, batch):
    whole = tiny_model.encoder_states(batch.input_ids, batch.attention_mask)
    tiny_model.config.encoder_layers = [0]
    calls = []
    tiny_model.encoder.encoder.register_forward_hook(lambda *_: calls.append(1))
    torch.testing.assert_close(tiny_model.encoder_states(batch.input_ids, batch.attention_mask)[:, 0], whole[:, 0])
    assert calls == []


@pytest.mark.parametrize(("trainable", "expected"), [(0, set()), (1, {"encoder.layer.1"}), (-1, None)])
def test_the_encoder_is_frozen_partly_or_wholly_trainable(tiny_model, batch, trainable, expected):
    tiny_model.freeze_encoder(trainable)
    tiny_model.train()
    run(tiny_model, batch).loss.backward()
    moved = {".".join(n.split(".")[:3]) for n, p in tiny_model.encoder.named_parameters() if p.grad is not None}
    if expected is None:
        assert moved >= {"encoder.layer.0", "encoder.layer.1"}
        assert any("embeddings" in name for name in moved)
    else:
        assert moved == expected
    assert all(p.grad is not None for p in tiny_model.parameters() if p.requires_grad)  # what DDP asks for
    assert not tiny_model.encoder.training


def test_save_and_load_keep_every_weight_and_buffer(tiny_model, batch, tmp_path):
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
def test_half_precision_weights_compute(tiny_model, rebuilt, tiny_tokenizer, batch, sentences, tmp_path, prior):
    model = rebuilt(tiny_model, prior=prior, hidden_chunks=True, refinement_steps=2)
    model.save_pretrained(tmp_path)
    half = TextVAEModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(run(half, batch).nll, run(model, batch).nll, rtol=0.05, atol=0.5)
    assert len(half.reconstruct(sentences, tiny_tokenizer)) == len(sentences)
    assert len(half.generate(num_return_sequences=3, latent_share=0.5)) == 3


def test_the_output_layer_is_the_embedding_table_also_after_a_reload(tiny_model, batch, tmp_path):
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


def test_accumulation_in_a_trainer_does_not_scale_the_loss(tiny_model, tiny_tokenizer, sentences, tmp_path):
    rows = [{**tiny_tokenizer(t, padding="max_length", max_length=20), "noise": [0.0] * 16} for t in sentences]
    for row in rows:
        row["labels"] = row["input_ids"]
        row.pop("token_type_ids", None)
    norms = []
    for size, accumulation in ((8, 1), (2, 4)):
        arguments = TrainingArguments(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, max_steps=1,
            learning_rate=0.0, use_cpu=True, logging_steps=1, save_strategy="no", disable_tqdm=True,
            max_grad_norm=1e9, remove_unused_columns=False,
        )  # fmt: skip
        trainer = Trainer(tiny_model, arguments, train_dataset=rows)
        trainer.train()
        norms.append(trainer.state.log_history[0]["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_without_a_latent_it_is_a_language_model(tiny_model, rebuilt, tiny_tokenizer, batch, sentences, tmp_path):
    model = rebuilt(tiny_model, latent_size=0, latent_chunks=0)
    out = run(model, batch)
    assert out.kl.eq(0).all()
    assert out.mean.shape == (len(sentences), 0)
    # The likelihood of a text does not depend on what is encoded.
    other = tiny_tokenizer(sentences[::-1], padding=True, return_tensors="pt")
    reversed_nll = model(other.input_ids, other.attention_mask, labels=batch.input_ids).nll
    torch.testing.assert_close(reversed_nll, out.nll)
    out.loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    drawn = model.generate(num_return_sequences=3, generator=torch.Generator().manual_seed(0))
    assert len(drawn) == 3
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(run(TextVAEModel.from_pretrained(tmp_path), batch).nll, out.nll)


def test_a_latent_without_chunks_sets_the_initial_state_alone(tiny_model, rebuilt, batch):
    model = rebuilt(tiny_model, latent_chunks=0)
    assert model.decoder.gru.input_size == model.config.embedding_size
    first = run(model, batch)
    moved = run(model, batch, noise=torch.ones(len(batch.input_ids), 16))
    assert not torch.allclose(first.nll, moved.nll)
    with torch.no_grad():
        model.decoder.initial.weight.zero_()
    forgetful = [run(model, batch, noise=torch.full((len(batch.input_ids), 16), e)).nll for e in (0.0, 1.0)]
    torch.testing.assert_close(*forgetful)


def test_a_chunk_is_read_at_its_place_and_from_there_on(tiny_model, batch):
    decoder, targets = tiny_model.decoder, tiny_model.decoder.respell(batch["input_ids"])
    latents = torch.randn(len(targets), 16, generator=torch.Generator().manual_seed(0))
    changed = latents.clone()
    changed[:, 8:12] += 3.0  # chunk 2, of tokens 6 to 8
    with torch.no_grad():
        decoder.initial.weight.zero_()  # this reads the whole latent
        decoder.slope.fill_(40.0)  # attention looks at the nearest chunk alone
        before, after = (decoder(targets, decoder.read(z, None))[0] for z in (latents, changed))
    same = torch.isclose(before, after, atol=1e-6).all(-1).all(0)
    # Tokens 3 to 5 have the next chunk beside them, tokens 0 to 2 know nothing of it.
    assert same.tolist()[:4] == [True, True, True, False]
    assert not same[3:].any()


@pytest.mark.parametrize("rest_chunk", [True, False])
def test_beyond_the_last_chunk_the_latent_speaks_only_where_it_is_of_the_rest(tiny_model, rebuilt, rest_chunk):
    decoder = rebuilt(tiny_model, rest_chunk=rest_chunk).decoder
    tokens = torch.full((2, 15), 5)  # four chunks are of twelve tokens
    latents = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name in ("weight_hh_l0", "bias_hh_l0"):  # a GRU that remembers nothing: what it reads is what is beside
            getattr(decoder.gru, name).zero_()
        decoder.gru.bias_ih_l0[32:64] = -40.0
        outputs = decoder(tokens, decoder.read(latents, None))[0]
    # The two texts' latents differ, and nothing else does.
    differs = (outputs[0] - outputs[1]).abs().amax(-1) > 1e-5
    assert differs[:12].all()
    assert differs[12:].tolist() == [rest_chunk] * 3


def test_a_text_step_by_step_is_the_text_at_once(tiny_model, batch):
    decoder = tiny_model.decoder
    targets = decoder.respell(batch["input_ids"])
    with torch.no_grad():
        memory = decoder.read(torch.randn(len(targets), 16, generator=torch.Generator().manual_seed(0)), None)
        whole, _ = decoder(targets, memory)
        state, parts = None, []
        for place in range(targets.shape[1]):
            output, state = decoder(targets[:, place : place + 1], memory, state, place)
            parts.append(output)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


def test_encoder_tokens_stand_where_the_decoder_spells_them(tiny_model, tiny_tokenizer):
    text = tiny_tokenizer(["i loved every moment of this movie."], return_tensors="pt")
    ids, mask = text["input_ids"], text["attention_mask"]
    pieces = (tiny_model.decoder.respelling[ids] >= 0).sum(-1)[0].tolist()
    expected, start = [], 0
    for count in pieces:
        expected.append(start + count / 2)
        start += count
    assert tiny_model.decoder.places(ids, mask)[0].tolist() == expected
    assert pieces[0] == pieces[-1] == 0  # special tokens take no place
    assert max(pieces) > 1


def test_impossible_configurations_are_refused():
    with pytest.raises(ValueError, match="chunk_tokens must be at least 1"):
        TextVAEConfig(chunk_tokens=0)
    with pytest.raises(ValueError, match="latent_chunks must be 0"):
        TextVAEConfig(latent_size=0, latent_chunks=4)
    with pytest.raises(ValueError, match="multiple of latent_chunks"):
        TextVAEConfig(latent_size=10, latent_chunks=4)
    with pytest.raises(ValueError, match="known: 'standard', 'autoregressive'"):
        TextVAEConfig(prior="flow")
    with pytest.raises(ValueError, match="at least 2 latent_chunks, not 1"):
        TextVAEConfig(prior="autoregressive", latent_chunks=1)
    with pytest.raises(ValueError, match="word vectors have 128 dimensions and its states 768"):
        TextVAEConfig(encoder_config={"model_type": "albert", "hidden_size": 768})
    with pytest.raises(ValueError, match="layers 0 to 12"):
        TextVAEConfig(encoder_layers=(13,))


def test_a_frozen_encoder_drops_nothing_even_before_it_is_told(tiny_model):
    assert not any(module.training for module in TextVAEModel(tiny_model.config).encoder.modules())


def test_a_reload_keeps_the_encoder_frozen(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    loaded, _ = TextVAEModel.from_pretrained(tmp_path, output_loading_info=True)
    for model in (loaded, AutoModel.from_pretrained(tmp_path)):
        assert not any(weight.requires_grad for weight in model.encoder.parameters())
        assert all(weight.requires_grad for weight in model.decoder.parameters())


def test_a_tuple_where_it_is_asked_for(tiny_model, batch):
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("prior", ["standard", "autoregressive"])
def test_a_generator_of_the_gpu_draws_there(tiny_model, rebuilt, tiny_tokenizer, sentences, prior):
    model = rebuilt(tiny_model, prior=prior, hidden_chunks=True).cuda()
    generator = torch.Generator("cuda").manual_seed(0)
    size = model.config.latent_size
    fitted = MixturePrior(torch.zeros(1, 1), torch.zeros(1, 1, size), torch.eye(size)[None, None])
    for options in ({"latent_share": 0.5}, {"prior": fitted}):
        assert len(model.generate(num_return_sequences=3, generator=generator, **options)) == 3
    assert len(model.neighbours(sentences[:1], tiny_tokenizer, num=2, generator=generator)[0]) == 2
    rows = model.augment(sentences[:2], [0, 1], tiny_tokenizer, target_size=4, generator=generator)
    assert rows[0]["kept"]
