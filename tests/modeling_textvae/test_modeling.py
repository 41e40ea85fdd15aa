"""The model: its loss, its vocabulary, its conditions."""

from __future__ import annotations

import pytest
import torch
from transformers import Trainer, TrainingArguments

from textvae.modeling_textvae import Posterior, TextVAEConfig, TextVAEModel
from textvae.modeling_textvae.priors import MixturePrior


def test_kl_agrees_with_monte_carlo():
    posterior = Posterior(torch.tensor([[0.7, -1.2]]), torch.tensor([[-0.5, 0.3]]))
    deviation = (0.5 * posterior.log_variance).exp()
    draws = posterior.mean + deviation * torch.randn(400_000, 2, generator=torch.Generator().manual_seed(0))
    inside = torch.distributions.Normal(posterior.mean, deviation).log_prob(draws)
    estimate = (inside - torch.distributions.Normal(0.0, 1.0).log_prob(draws)).mean(0)
    torch.testing.assert_close(posterior.kl()[0], estimate, atol=0.01, rtol=0)


def test_loss_is_the_mean_of_nll_and_kl_and_nll_that_of_the_logits(tiny_model, batch, run):
    out = run(tiny_model, batch)
    torch.testing.assert_close(out.loss, (out.nll + out.kl).mean())
    targets = tiny_model.decoder.respell(batch.input_ids)
    spelled = out.logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(out.nll, -(spelled * (targets != 0)).sum(1))


def test_padding_changes_nothing(tiny_model, tiny_tokenizer, sentences, run):
    alone = run(tiny_model, tiny_tokenizer(sentences[:1], return_tensors="pt"))
    padded = tiny_tokenizer(sentences[:1], padding="max_length", max_length=24, return_tensors="pt")
    beside = run(tiny_model, padded)
    for name in ("mean", "log_variance", "nll", "kl"):
        torch.testing.assert_close(alone[name], beside[name], rtol=1e-5, atol=1e-5)
    shared = alone.logits.shape[1]
    torch.testing.assert_close(alone.logits, beside.logits[:, :shared], rtol=1e-4, atol=1e-5)


def test_candidates_that_are_the_whole_vocabulary_give_the_full_softmax(tiny_model, batch, run):
    everything = torch.arange(tiny_model.config.decoder_vocab_size)
    by_candidates = run(tiny_model, batch, candidates=everything)
    assert by_candidates.logits is None
    torch.testing.assert_close(by_candidates.nll, run(tiny_model, batch).nll)


def test_word_dropout_hides_inputs_but_not_targets(tiny_model, batch, run):
    nothing_kept = torch.zeros(len(batch.input_ids), 64, dtype=torch.bool)
    kept = run(tiny_model, batch, input_keep=~nothing_kept)
    torch.testing.assert_close(kept.nll, run(tiny_model, batch).nll)
    hidden = run(tiny_model, batch, input_keep=nothing_kept)
    assert hidden.logits.shape == kept.logits.shape
    torch.testing.assert_close(hidden.logits[:, 0], kept.logits[:, 0])  # begin is never hidden
    assert not torch.allclose(hidden.logits[:, 1:], kept.logits[:, 1:])


def test_a_hidden_chunk_tells_the_decoder_nothing(tiny_model, rebuilt, batch, run):
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


def test_noise_from_a_generator_is_repeatable(tiny_model, batch, run):
    draws = [run(tiny_model, batch, noise=None, generator=torch.Generator().manual_seed(s)).nll for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_any_word_is_spelled_by_kept_tokens(tiny_model, tiny_tokenizer):
    text = "zebras quiz 42 unfunny films"
    ids = tiny_tokenizer([text], return_tensors="pt").input_ids
    back = tiny_model.decoder.to_encoder_ids(tiny_model.decoder.respell(ids))
    assert tiny_tokenizer.decode(back[0], skip_special_tokens=True) == text


def test_classes_condition_the_model_and_may_be_unknown(tiny_model, rebuilt, batch, run):
    model = rebuilt(tiny_model, num_classes=2)
    ones = torch.ones(len(batch.input_ids), dtype=torch.long)
    first, second, unknown = (run(model, batch, class_ids=c * ones).nll for c in (0, 1, 2))
    assert not torch.allclose(first, second)
    torch.testing.assert_close(run(model, batch).nll, unknown)
    with pytest.raises(ValueError, match="takes no class_ids"):
        run(tiny_model, batch, class_ids=ones)


def test_the_bag_of_words_is_the_texts_tokens_in_any_order(tiny_model, rebuilt, batch, run):
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
def test_the_encoder_is_frozen_partly_or_wholly_trainable(tiny_model, batch, trainable, expected, run):
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


def test_without_a_latent_it_is_a_language_model(tiny_model, rebuilt, tiny_tokenizer, batch, sentences, tmp_path, run):
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
