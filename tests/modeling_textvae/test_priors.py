"""Fitted priors: their density and draws, on disk and back, and what `generate` makes of them."""

from __future__ import annotations

import math

import pytest
import torch

from textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.decoder import END, PAD
from textvae.modeling_textvae.priors import MixturePrior, ResampledPrior


@pytest.fixture
def prior():
    """Class 0: N((0, 0), diag(1, 4)); class 1: half N((5, 5), I), half N((−5, 5), I)."""
    means = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[5.0, 5.0], [-5.0, 5.0]]])
    scales = torch.eye(2).repeat(2, 2, 1, 1)
    scales[0, :, 1, 1] = 2.0
    return MixturePrior(torch.tensor([[0.0, -math.inf], [math.log(0.5)] * 2]), means, scales, {"kind": "mixture"})


def test_density_by_hand(prior):
    latents = torch.tensor([[0.0, 2.0], [5.0, 5.0]])
    density = prior.log_density(latents, torch.tensor([0, 1]))
    # −log(2π) − log 2 − ½ (2/2)²; and −log(2π) + log ½, the other component 10 units away.
    expected = [-math.log(2 * math.pi) - math.log(2) - 0.5, -math.log(2 * math.pi) - math.log(2)]
    assert density.tolist() == pytest.approx(expected)


def test_draws_have_the_moments_of_their_class(prior):
    classes = torch.tensor([0, 1]).repeat(20_000)
    drawn = prior.sample(classes, generator=torch.Generator().manual_seed(0))
    first, second = drawn[::2], drawn[1::2]
    assert first.mean(0).tolist() == pytest.approx([0, 0], abs=0.05)
    assert first.var(0).tolist() == pytest.approx([1, 4], rel=0.05)
    assert second.mean(0).tolist() == pytest.approx([0, 5], abs=0.1)
    assert second.var(0).tolist() == pytest.approx([26, 1], rel=0.05)
    still = prior.sample(classes[:2], temperature=0.0, generator=torch.Generator().manual_seed(0))
    assert still[0].tolist() == [0, 0]
    assert still[1].abs().tolist() == [5, 5]
    with pytest.raises(ValueError, match="0 to 1"):
        prior.sample(torch.tensor([2]))


def test_a_prior_beside_the_weights_comes_back_and_is_drawn_from(tiny_model, tmp_path):
    centres = torch.tensor([[[3.0] * 16], [[-3.0] * 16]])
    prior = MixturePrior(torch.zeros(2, 1), centres, 1e-6 * torch.eye(16).repeat(2, 1, 1, 1), {"kind": "gaussian"})
    tiny_model.save_pretrained(tmp_path)
    prior.save(tmp_path / "classes.prior.safetensors")
    model = TextVAEModel.from_pretrained(tmp_path)
    loaded = model.load_prior("classes")
    assert loaded.facts == {"kind": "gaussian"}
    assert torch.equal(loaded.scales, prior.scales)
    ids = model.generate(prior=loaded, class_ids=torch.tensor([0, 1]), num_return_sequences=2, do_sample=False)
    expected = model.generate(centres[:, 0].repeat_interleave(2, 0), do_sample=False)
    assert torch.equal(ids, expected)
    with pytest.raises(ValueError, match="this prior knows 2 classes"):
        model.generate(prior=loaded, num_return_sequences=3)
    with pytest.raises(ValueError, match="latents and prior were both given"):
        model.generate(torch.zeros(2, 16), prior=loaded, class_ids=torch.tensor([0, 1]))
    with pytest.raises(OSError, match=r"absent\.prior\.safetensors"):
        model.load_prior("absent")


@pytest.fixture
def chooser():
    """Of three classes; token 5 speaks for class 1, token 6 for class 2."""
    weight = torch.zeros(25, 3)
    weight[5, 1], weight[6, 2] = 2.0, 2.0
    return ResampledPrior(weight, torch.tensor([0.0, 0.0, 1.0]), {"candidates": 4, "sharpness": 1.0})


def test_words_class_probabilities_by_hand(chooser):
    found = chooser.class_log_probabilities(torch.tensor([[5, 7, 5, 8, 9, END], [7, END, PAD, PAD, PAD, PAD]]))
    # Token 5 counts once, of four: 2 / √4 for class 1; token 7 says nothing.
    expected = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]).log_softmax(-1)
    torch.testing.assert_close(found, expected)
    assert chooser.class_log_probabilities(torch.tensor([[END, PAD]])).exp().sum().item() == pytest.approx(1.0)


def test_a_class_keeps_texts_in_proportion_to_what_they_say_for_it(chooser):
    texts = torch.tensor([[5], [6], [7], [8]]).repeat(20_000, 1)
    classes = torch.ones(20_000, dtype=torch.long)
    for sharpness in (1.0, 2.0):
        chooser.facts["sharpness"] = sharpness
        kept = chooser.choose(texts, classes, torch.Generator().manual_seed(0))
        assert torch.equal(kept // 4, torch.arange(20_000))
        odds = chooser.class_log_probabilities(texts[:4])[:, 1].exp() ** sharpness
        shares = torch.bincount(kept % 4, minlength=4) / 20_000
        torch.testing.assert_close(shares, odds / odds.sum(), atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="0 to 2"):
        chooser.choose(texts[:4], torch.tensor([3]))


def test_generate_keeps_one_of_the_candidates_of_each_class(tiny_model, chooser, tmp_path):
    size = tiny_model.config.decoder_vocab_size
    weight = torch.randn(size, 3, generator=torch.Generator().manual_seed(0))
    tiny_model.save_pretrained(tmp_path)
    ResampledPrior(weight, torch.zeros(3), {"candidates": 6, "sharpness": 50.0}).save(
        tmp_path / "classes.prior.safetensors"
    )
    model = TextVAEModel.from_pretrained(tmp_path)
    prior, classes = model.load_prior("classes"), torch.tensor([0, 2, 1])
    assert prior.candidates == 6

    def generate(**options):
        return model.generate(generator=torch.Generator().manual_seed(1), temperature=3.0, **options)

    ids, every = generate(prior=prior, class_ids=classes), generate(num_return_sequences=18)
    scores = prior.class_log_probabilities(model.decoder.respell(every))
    best = [int(scores[6 * row : 6 * row + 6, label].argmax()) + 6 * row for row, label in enumerate((0, 2, 1))]
    assert torch.equal(ids, every[best])
