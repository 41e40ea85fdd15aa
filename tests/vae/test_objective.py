"""The loss's weights: the controller of β, free bits, softmax candidates, keyed noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from textvae.training.common.recipe import VaeRecipe
from textvae.training.vae.objective import KlController, candidate_set, learning_rate, objective, row_noise


def test_the_target_falls_geometrically_after_the_autoencoder_phase():
    recipe = VaeRecipe(steps=100, target_kl=50.0, target_kl_start=200.0, autoencoder_share=0.1, anneal_share=0.4)
    controller = KlController(recipe)
    assert controller.target(5) is None
    assert controller.target(10) == pytest.approx(200.0)
    assert controller.target(30) == pytest.approx(100.0)  # half way in log space
    assert controller.target(50) == controller.target(99) == pytest.approx(50.0)


def test_beta_settles_where_the_kl_is_the_target():
    recipe = VaeRecipe(steps=3000, target_kl=40.0, target_kl_start=40.0, autoencoder_share=0, anneal_share=0, beta=0.01)
    controller = KlController(recipe)
    kl = 0.0
    for step in range(3000):
        kl = 100.0 / (1.0 + 5.0 * controller.beta)  # a model whose KL falls as beta grows
        controller.update(step, kl)
    assert kl == pytest.approx(40.0, rel=0.02)


def test_without_a_target_beta_is_constant():
    controller = KlController(VaeRecipe(target_kl=None, beta=0.7))
    for step in range(100):
        controller.update(step, 500.0)
    assert controller.beta == 0.7


def test_free_bits_cost_nothing_and_pass_no_gradient():
    kl = torch.tensor([[0.1, 2.0]], requires_grad=True)
    loss = objective(torch.tensor([10.0]), kl, beta=0.5, free_bits=0.3)
    assert loss.item() == pytest.approx(10.0 + 0.5 * (0.3 + 2.0))
    loss.sum().backward()
    assert kl.grad.tolist() == [[0.0, 0.5]]


def test_learning_rate_warms_up_and_falls_to_its_share():
    recipe = VaeRecipe(steps=1000, warmup_steps=100, learning_rate=1.0, final_learning_rate_share=0.1)
    assert learning_rate(recipe, 49) == pytest.approx(0.5)
    assert learning_rate(recipe, 100) == pytest.approx(1.0)
    assert learning_rate(recipe, 550) == pytest.approx(0.55)
    assert learning_rate(recipe, 999) == pytest.approx(0.1, abs=1e-4)


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
    noise, keep = row_noise(1, rows, visits, 500, 2000, word_dropout=0.25)
    alone, alone_kept = row_noise(1, rows[2:], visits[2:], 500, 2000, word_dropout=0.25)
    assert torch.equal(noise[2:], alone)
    assert torch.equal(keep[2:], alone_kept)
    assert not torch.equal(noise[0], noise[2])
    assert not torch.equal(row_noise(2, rows, visits, 500, 1, 0.0)[0], noise)
    assert abs(noise.mean()) < 0.1
    assert noise.std().item() == pytest.approx(1.0, abs=0.1)
    assert keep.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert math.isfinite(noise.sum())
