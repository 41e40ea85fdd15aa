"""Fitting priors to latents whose distribution is known."""

from __future__ import annotations

import pytest
import torch

from textvae.modeling_textvae.chunk_prior import ChunkPrior
from textvae.modeling_textvae.posterior import Posterior
from textvae.training.common.errors import UserError
from textvae.training.vae.priors import fit_class_chunk_prior, fit_prior


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


def test_the_models_own_prior_learns_classes_and_stays_as_it_is():
    torch.manual_seed(0)
    own = ChunkPrior(chunks=3, size=2)
    own.reset_parameters()
    kept = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    classes = torch.arange(6000) % 2
    centres = torch.zeros(6000, 6)
    centres[:, 4] = 2.0 * classes - 1.0  # the last chunk's first value tells the class
    posterior = Posterior(centres, torch.full((6000, 6), -2.0))
    prior = fit_class_chunk_prior(own, posterior, classes, guidance=2.0)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in own.state_dict().items())
    with torch.no_grad():
        right, wrong = (prior.log_density(centres, labels).mean() for labels in (classes, 1 - classes))
        drawn = prior.sample(classes, generator=torch.Generator().manual_seed(0))
    assert right > wrong + 0.5
    assert drawn[classes == 1, 4].mean() > drawn[classes == 0, 4].mean() + 1.0
    assert prior.facts["latents"] == [3000, 3000]
    assert prior.facts["kind"] == "autoregressive"
    again = fit_class_chunk_prior(own, posterior, classes, guidance=2.0)
    assert torch.equal(drawn, again.sample(classes, generator=torch.Generator().manual_seed(0)))
