"""Fitting priors to latents whose distribution is known."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from textvae.modeling_textvae.decoder import NUM_SPECIAL
from textvae.training.common.errors import UserError
from textvae.training.vae.priors import fit_prior, fit_resampled_prior


def draws(mean, covariance, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linalg.cholesky(torch.tensor(covariance))
    return torch.tensor(mean) + torch.randn(count, len(mean), generator=generator) @ scale.T


def test_a_gaussian_a_class_has_its_mean_and_covariance():
    latents = torch.cat(
        [draws([1.0, 2.0], [[1.0, 0.8], [0.8, 1.0]], 5000), draws([-3.0, 0.0], [[2.0, 0], [0, 1]], 5000)]
    )
    classes = torch.tensor([0] * 5000 + [1] * 5000)
    prior = fit_prior(latents, classes)
    torch.testing.assert_close(prior.means[:, 0], torch.tensor([[1.0, 2], [-3, 0]]).double(), atol=0.06, rtol=0)
    covariance = prior.scales[0, 0] @ prior.scales[0, 0].T
    torch.testing.assert_close(covariance, torch.tensor([[1.0, 0.8], [0.8, 1]]).double(), atol=0.06, rtol=0)
    assert prior.facts["kind"] == "gaussian"
    assert prior.facts["latents"] == [5000, 5000]
    assert prior.facts["data"] != fit_prior(latents[:-1], classes[:-1]).facts["data"]


def test_a_mixture_finds_two_clouds_that_one_gaussian_cannot_tell():
    latents = torch.cat([draws([4.0, 0.0], [[1.0, 0], [0, 1]], 2000), draws([-4.0, 0.0], [[1.0, 0], [0, 1]], 2000, 1)])
    held_out = draws([4.0, 0.0], [[1.0, 0], [0, 1]], 500, 2)
    unlabelled = torch.zeros(500, dtype=torch.long)
    one, two = (fit_prior(latents, components=k).log_density(held_out, unlabelled).mean() for k in (1, 2))
    assert two > one + 0.3
    assert torch.equal(fit_prior(latents, components=2).means, fit_prior(latents, components=2).means)


def test_fewer_latents_than_dimensions_still_give_a_proper_gaussian():
    latents = torch.randn(30, 100, generator=torch.Generator().manual_seed(0))
    prior = fit_prior(latents)
    held_out = torch.randn(50, 100, generator=torch.Generator().manual_seed(1))
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(held_out).sum(1).mean()
    # Shrinkage: near the truth, where the raw covariance would be singular.
    assert prior.log_density(held_out, torch.zeros(50, dtype=torch.long)).mean() > standard - 8


def test_too_few_latents_are_named():
    with pytest.raises(UserError, match="class 1 has 1 latents, fewer than 4"):
        fit_prior(torch.randn(9, 3), torch.tensor([0] * 8 + [1]), components=2)


@pytest.mark.parametrize(("labels", "counts"), [([0, 0, 2, 2], r"\[2, 0, 2\]"), ([0, 0, 0, 0], r"\[4\]")])
def test_a_class_without_texts_is_named(tiny_model, tiny_tokenizer, labels, counts):
    with pytest.raises(UserError, match=f"the classes have {counts} texts"):
        fit_resampled_prior(tiny_model.decoder, tiny_tokenizer, ["a film."] * 4, labels, candidates=2)


def test_words_tell_held_out_texts_classes(tiny_model, tiny_tokenizer):
    texts, labels = [], []
    for label, word in enumerate(("good", "bad", "long")):
        for rest in ("the film is", "a", "this movie was not", "i saw the", "and so"):
            texts.append(f"{rest} {word}")
            labels.append(label)
    prior = fit_resampled_prior(tiny_model.decoder, tiny_tokenizer, texts, labels, candidates=4, sharpness=2.0)
    held_out = tiny_tokenizer(["it is bad", "long", "the good one"], padding=True, return_tensors="pt")["input_ids"]
    found = prior.class_log_probabilities(tiny_model.decoder.respell(held_out))
    assert found.argmax(-1).tolist() == [1, 2, 0]
    assert prior.facts["texts"] == [5, 5, 5]
    assert prior.facts["kind"] == "resampled"
    assert not prior.weight[:3].any()
    two = fit_resampled_prior(tiny_model.decoder, tiny_tokenizer, texts[:10], labels[:10], candidates=4)
    assert two.class_log_probabilities(tiny_model.decoder.respell(held_out)).argmax(-1).tolist()[::2] == [1, 0]


@pytest.mark.parametrize("count", [2, 3])
def test_words_probabilities_are_those_of_the_regression(tiny_model, tiny_tokenizer, count):
    texts = [f"{a} {b}" for a in ("the film", "a movie", "it") for b in ("is good", "was bad bad", "is long")]
    labels = [row % count for row in range(len(texts))]
    prior = fit_resampled_prior(tiny_model.decoder, tiny_tokenizer, texts, labels, candidates=2)
    tokens = tiny_model.decoder.respell(tiny_tokenizer(texts, padding=True, return_tensors="pt")["input_ids"])
    found = torch.zeros(len(texts), len(tiny_model.decoder.bias)).scatter(1, tokens, 1.0)
    found[:, :NUM_SPECIAL] = 0.0
    known = LogisticRegression(C=10.0, max_iter=1000).fit(normalize(found), labels)
    expected = torch.from_numpy(known.predict_log_proba(normalize(found))).float()
    torch.testing.assert_close(prior.class_log_probabilities(tokens), expected, atol=1e-3, rtol=0)
