"""The loss's terms, softmax candidates, keyed noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEOutput
from textvae.training.common.recipe import VaeRecipe
from textvae.training.vae.objective import candidate_set, mmd, objective, row_noise


def terms(recipe, nll=10.0, kl=((0.1, 2.0),), beta=0.5, **output):
    kl = torch.tensor(kl, requires_grad=True)
    out = TextVAEOutput(nll=torch.full((len(kl),), nll), kl_by_dimension=kl, **output)
    latents, prior = torch.zeros(len(kl), 2), torch.ones(len(kl), 2)
    return objective(out, latents, prior, beta, recipe), kl


def test_free_bits_cost_nothing_and_pass_no_gradient():
    loss, kl = terms(VaeRecipe(free_bits=0.3))
    assert loss.item() == pytest.approx(10.0 + 0.5 * (0.3 + 2.0))
    loss.sum().backward()
    assert kl.grad.tolist() == [[0.0, 0.5]]


def test_hidden_chunks_cost_nothing():
    out = TextVAEOutput(nll=torch.tensor([10.0, 10.0]), kl_by_dimension=torch.tensor([[1.0, 2.0, 4.0, 8.0]] * 2))
    shown = torch.tensor([[True, False], [True, True]])
    losses = objective(out, torch.zeros(2, 4), None, 0.5, VaeRecipe(), shown)
    assert losses.tolist() == [10.0 + 0.5 * 3.0, 10.0 + 0.5 * 15.0]


def test_the_bag_of_words_and_the_discrepancy_are_weighed():
    loss, _ = terms(VaeRecipe(bag_of_words_weight=0.25), bag_nll=torch.tensor([8.0]))
    assert loss.item() == pytest.approx(10.0 + 0.5 * 2.1 + 0.25 * 8.0)
    # Two rows at 0 against two prior draws at 1 in two dimensions: 1 + 1 − 2 · 4 / (4 + 2).
    loss, _ = terms(VaeRecipe(mmd_weight=3.0), kl=((0.0, 0.0), (0.0, 0.0)))
    torch.testing.assert_close(loss, torch.full((2,), 10.0 + 3.0 * (2 - 8 / 6)))


def test_the_discrepancy_is_nothing_between_draws_of_one_distribution():
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(3, 800, 16, generator=generator)
    assert abs(mmd(draws[0], draws[1])) < 2e-4
    assert mmd(draws[0], draws[1] * 0.5) > 0.02
    assert mmd(draws[0], draws[2] + 0.5) > 0.02


def test_candidates_hold_every_target_and_estimate_the_full_softmax():
    size, targets = 2000, torch.tensor([[1500, 7, 0], [1999, 3, 2]])
    recipe = VaeRecipe(candidate_words=50, sampled_words=400)
    scores = torch.randn(size, generator=torch.Generator().manual_seed(1)) * 2
    estimates = []
    for step in range(200):
        candidates, weights = candidate_set(targets, size, recipe, seed=0, step=step)
        assert torch.equal(candidates, candidates.unique())
        assert set(targets.flatten().tolist()) <= set(candidates.tolist())
        assert set(range(50)) <= set(candidates.tolist())
        estimates.append(torch.exp(scores[candidates] + weights).sum().item())
    full = torch.exp(scores).sum().item()
    assert np.mean(estimates) == pytest.approx(full, rel=0.03)  # importance weights make it unbiased
    again, _ = candidate_set(targets, size, recipe, seed=0, step=199)
    assert torch.equal(candidates, again)
    assert not torch.equal(candidates, candidate_set(targets, size, recipe, seed=1, step=199)[0])


def test_a_small_vocabulary_uses_the_full_softmax():
    assert candidate_set(torch.tensor([[5]]), 100, VaeRecipe(), seed=0, step=0) == (None, None)
    assert candidate_set(torch.tensor([[5]]), 10_000, VaeRecipe(candidate_words=0), 0, 0) == (None, None)


def test_noise_depends_on_seed_row_and_visit_alone():
    rows, visits = np.array([4, 9, 4]), np.array([0, 0, 1])
    recipe = VaeRecipe(mmd_weight=1.0, chunk_dropout=1.0, conditional=True)
    drawn = row_noise(1, rows, visits, 500, 2000, recipe, word_dropout=0.25)
    # Alone it is of another width: that of a step's decoder inputs is its longest text's.
    alone = row_noise(1, rows[2:], visits[2:], 500, 1500, recipe, word_dropout=0.25)
    for together, by_itself in zip(drawn, alone, strict=True):
        assert torch.equal(together[2:, : by_itself.shape[1]] if by_itself.dim() > 1 else together[2:], by_itself)
    noise = drawn.posterior
    assert not torch.equal(noise[0], noise[2])
    assert not torch.equal(noise, drawn.prior)
    plain = row_noise(2, rows, visits, 500, 1, VaeRecipe())
    assert plain.prior is plain.keep is plain.shown is plain.known is None
    assert not torch.equal(plain.posterior, noise)
    assert abs(noise.mean()) < 0.1
    assert noise.std().item() == pytest.approx(1.0, abs=0.1)
    assert drawn.keep.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert math.isfinite(noise.sum())


def test_the_class_of_a_tenth_of_the_rows_is_not_told():
    rows = np.arange(4000)
    known = row_noise(0, rows, np.zeros(4000, dtype=np.int64), 4, 1, VaeRecipe(conditional=True)).known
    assert known.float().mean().item() == pytest.approx(0.9, abs=0.02)


def test_chunk_dropout_shows_any_share_of_some_texts_chunks():
    rows, visits = np.arange(2000), np.zeros(2000, dtype=np.int64)
    shown = row_noise(0, rows, visits, 4, 1, VaeRecipe(chunk_dropout=0.5, latent_size=100, latent_chunks=50)).shown
    shares = shown.float().mean(1)
    whole = shares == 1.0
    assert whole.float().mean().item() == pytest.approx(0.5 + 0.5 / 50, abs=0.03)
    assert shares[~whole].mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares[~whole].std().item() == pytest.approx(12**-0.5, abs=0.03)  # a uniform share
