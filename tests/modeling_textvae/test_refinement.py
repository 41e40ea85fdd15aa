"""Refined posteriors: better for their text, and a function of it alone."""

from __future__ import annotations

import pytest
import torch

from textvae.modeling_textvae import decoder as decoder_module
from textvae.modeling_textvae.generation import encode_texts


def objective(model, batch, posterior):
    """nll + β · KL of each text, averaged over draws."""
    targets = model.decoder.respell(batch.input_ids)
    generator = torch.Generator().manual_seed(5)
    draws = []
    with torch.no_grad():
        for _ in range(20):
            latents = posterior.sample(generator=generator)
            nll = model.decoder.nll(targets, model.read_latents(latents))
            draws.append(nll + model.config.refinement_beta * model.kl(posterior, latents).sum(-1))
    return torch.stack(draws).mean(0)


def test_every_text_is_better_off_and_no_weight_moves(tiny_model, tiny_tokenizer, sentences):
    batch = tiny_tokenizer(sentences, padding=True, return_tensors="pt")
    before = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    losses = [
        objective(tiny_model, batch, tiny_model.posterior(batch.input_ids, batch.attention_mask, refinement_steps=n))
        for n in (0, 5, 40)
    ]
    assert (losses[1] < losses[0]).all()
    assert (losses[2] < losses[1]).all()
    for name, tensor in tiny_model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(weight.grad is None for weight in tiny_model.parameters())


def test_the_configuration_decides_and_neighbours_in_the_batch_do_not(tiny_model, tiny_tokenizer, sentences):
    guess = encode_texts(tiny_model, sentences, tiny_tokenizer)
    tiny_model.config.refinement_steps = 8
    together = encode_texts(tiny_model, sentences, tiny_tokenizer)
    assert not torch.allclose(guess.mean, together.mean)
    alone = encode_texts(tiny_model, sentences[2:3], tiny_tokenizer)
    torch.testing.assert_close(alone.mean[0], together.mean[2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(alone.log_variance[0], together.log_variance[2], rtol=1e-3, atol=1e-4)
    assert not together.mean.requires_grad


def test_inference_mode_changes_nothing(tiny_model, tiny_tokenizer, sentences):
    tiny_model.config.refinement_steps = 4
    expected = encode_texts(tiny_model, sentences, tiny_tokenizer).mean
    labels = ["good", "bad"] * 4
    with torch.inference_mode():
        found = encode_texts(tiny_model, sentences, tiny_tokenizer).mean
        rows = tiny_model.augment(sentences, labels, tiny_tokenizer, target_size=10)
    assert torch.equal(found, expected)
    assert len(rows) >= 10


def test_a_shortlist_of_everything_is_the_whole_softmax(tiny_model, tiny_tokenizer, sentences):
    targets = tiny_model.decoder.respell(tiny_tokenizer(sentences, padding=True, return_tensors="pt").input_ids)
    memory = tiny_model.read_latents(torch.randn(len(targets), tiny_model.config.latent_size))
    found = tiny_model.decoder.shortlist_nll(targets, memory, tiny_model.decoder.shortlist())
    torch.testing.assert_close(found, tiny_model.decoder.nll(targets, memory))


def test_a_shortlist_by_hand(tiny_model, monkeypatch):
    monkeypatch.setattr(decoder_module, "SHORTLIST_FREQUENT", 6)
    monkeypatch.setattr(decoder_module, "SHORTLIST_STRIDE", 4)
    decoder = tiny_model.decoder
    shortlist = decoder.shortlist()
    size = len(decoder.bias)
    assert shortlist.rows.tolist() == [*range(6), *range(6, size, 4)]
    memory = tiny_model.read_latents(torch.randn(1, tiny_model.config.latent_size))
    scores = decoder.logits(decoder.outputs(torch.tensor([[5, 10, 11, 2, 0]]), memory))[0].detach().double()
    expected = []
    # A frequent token, one that stands for others, one that is not listed, and the end.
    for place, wanted in enumerate((5, 10, 11, 2)):
        weights = torch.zeros(size, dtype=torch.float64)
        weights[:6], weights[6::4] = 1.0, 4.0
        weights[wanted] = 1.0
        odds = (weights * scores[place].exp()).sum()
        expected.append(odds.log().item() - scores[place, wanted].item())
    found = decoder.shortlist_nll(torch.tensor([[5, 10, 11, 2, 0]]), memory, shortlist)
    assert found.item() == pytest.approx(sum(expected), rel=1e-5)
    sloping = decoder.shortlist_nll(torch.tensor([[5, 10, 11, 2, 0]]), memory, shortlist, slope=0.8)
    by_hand = sum(weight * loss for weight, loss in zip((1.6, 1.2, 0.8, 0.4), expected, strict=True))
    assert sloping.item() == pytest.approx(by_hand, rel=1e-5)


def test_a_slope_gives_to_beginnings_what_it_takes_from_ends(tiny_model, tiny_tokenizer, sentences):
    batch = tiny_tokenizer(sentences, padding=True, return_tensors="pt")
    targets = tiny_model.decoder.respell(batch.input_ids)
    tiny_model.config.refinement_steps = 40
    halves = {}
    for slope in (0.0, 1.0):
        tiny_model.config.refinement_slope = slope
        posterior = tiny_model.posterior(batch.input_ids, batch.attention_mask)
        with torch.no_grad():
            outputs = tiny_model.decoder.outputs(targets, tiny_model.read_latents(posterior.mean))
            losses = torch.nn.functional.cross_entropy(
                tiny_model.decoder.logits(outputs).transpose(1, 2), targets, reduction="none"
            )
        halves[slope] = (losses[:, :2].sum().item(), losses[:, -2:][targets[:, -2:] > 0].sum().item())
    assert halves[1.0][0] < halves[0.0][0]
    assert halves[1.0][1] > halves[0.0][1]
