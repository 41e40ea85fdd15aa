"""Importance-weighted likelihood, mutual information, active units."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.vae.metrics import information
from textvae.training.vae.metrics.information import (
    active_units,
    importance_weighted_nll,
    log_density,
    mutual_information,
)


def test_density_is_torchs():
    mean, log_variance, latents = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.distributions.Normal(mean.double(), (0.5 * log_variance.double()).exp()).log_prob(latents.double())
    assert torch.allclose(log_density(latents, mean, log_variance), expected.sum(-1), atol=1e-12)


def test_the_mean_of_the_weights_is_taken_not_of_their_logarithms():
    # Text 1: weights 1/2 and 1/8, mean 5/16. Text 2: both e^-900, which no float holds.
    log_weights = torch.tensor([[math.log(1 / 2), -900.0], [math.log(1 / 8), -900.0]])
    assert importance_weighted_nll(log_weights).tolist() == pytest.approx([math.log(16 / 5), 900.0])


def test_the_nll_is_exact_when_q_is_the_true_posterior():
    # z ~ N(0, 1), x | z ~ N(z, 1): x ~ N(0, 2) and z | x ~ N(x / 2, 1 / 2); then every weight is p(x).
    x, z = torch.tensor([0.3, -2.0]), torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).double()
    zero, one = torch.zeros(1), torch.ones(1)
    log_weights = (
        log_density(x[:, None], z[..., None], zero)
        + log_density(z[..., None], zero, zero)
        - log_density(z[..., None], x[:, None] / 2, -math.log(2) * one)
    )
    expected = -log_density(x[:, None], zero, math.log(2) * one)
    assert importance_weighted_nll(log_weights).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@given(st.lists(st.floats(-500, 0), min_size=1, max_size=8), st.randoms())
def test_the_nll_lies_between_the_best_draw_and_the_elbo(weights, random):
    value = importance_weighted_nll(torch.tensor(weights)[:, None]).item()
    elbo = -sum(weights) / len(weights)
    assert -max(weights) - 1e-3 <= value <= elbo + 1e-3
    random.shuffle(weights)
    assert importance_weighted_nll(torch.tensor(weights)[:, None]).item() == pytest.approx(value, abs=1e-6)


def test_mutual_information_of_two_texts_by_hand():
    # q(z|x1) = N(0, 1), q(z|x2) = N(2, 1); draws 0 and 1. With e(d) = exp(-d²/2), the constants cancelling:
    # text 1: log e(0) / ((e(0) + e(2)) / 2); text 2: log e(1) / ((e(1) + e(1)) / 2) = 0.
    expected = (math.log(1 / ((1 + math.exp(-2)) / 2)) + 0) / 2
    value = mutual_information(torch.tensor([[0.0], [2.0]]), torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]))
    assert value == pytest.approx(expected)


def test_mutual_information_is_0_for_one_posterior_and_log_n_for_separate_ones():
    draws = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert mutual_information(torch.zeros(50, 3), torch.zeros(50, 3), draws) == pytest.approx(0, abs=1e-9)
    apart = 1000 * torch.arange(50.0)[:, None] + draws
    assert mutual_information(apart, torch.full((50, 3), -18.0), apart) == pytest.approx(math.log(50))


def test_chunks_and_their_order_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    mean, log_variance, noise = torch.randn(3, 40, 6, generator=generator)
    samples = mean + (0.5 * log_variance).exp() * noise
    value = mutual_information(mean, log_variance, samples)
    every = torch.stack([log_density(samples, mean[m], log_variance[m]) for m in range(40)], dim=1)
    assert value == pytest.approx(float((every.diagonal() - every.logsumexp(1)).mean()) + math.log(40))
    monkeypatch.setattr(information, "CHUNK", 7)
    order = torch.randperm(40, generator=generator)
    assert mutual_information(mean[order], log_variance[order], samples[order]) == pytest.approx(value)


@given(st.integers(0, 1000), st.integers(1, 30), st.floats(-8, 2))
def test_mutual_information_never_passes_its_cap(seed, texts, log_variance):
    mean, noise = torch.randn(2, texts, 2, generator=torch.Generator().manual_seed(seed))
    samples = mean + math.exp(0.5 * log_variance) * noise
    assert mutual_information(mean, torch.full_like(mean, log_variance), samples) <= math.log(texts) + 1e-9


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        mutual_information(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(1, 2))


def test_a_unit_is_active_when_its_mean_moves():
    # Variances over the two texts: 0, 0.0025 (± 0.05), 0.04 (± 0.2), 1 (± 1).
    mean = torch.tensor([[3.0, 0.05, 0.2, 1.0], [3.0, -0.05, -0.2, -1.0]])
    assert active_units(mean) == 0.5
    assert active_units(mean, threshold=0.003) == 0.5
    assert active_units(mean, threshold=0.002) == 0.75
    assert active_units(mean, threshold=0.5) == 0.25
