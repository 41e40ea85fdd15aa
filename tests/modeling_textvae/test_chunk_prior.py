"""The learned prior: its KL, density and draws agree with each other."""

from __future__ import annotations

import pytest
import torch

from textvae.modeling_textvae import Posterior
from textvae.modeling_textvae.chunk_prior import ChunkPrior


@pytest.fixture
def prior():
    torch.manual_seed(0)
    prior = ChunkPrior(chunks=2, size=2)
    prior.reset_parameters()
    return prior


def disturb(prior):
    with torch.no_grad():
        for weight in (prior.head.weight, prior.head.bias, prior.place):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return prior


def test_it_starts_as_the_standard_normal(prior):
    mean, log_variance, latents = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = Posterior(mean, log_variance).kl()
    torch.testing.assert_close(prior.kl(mean, log_variance, latents), expected)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(latents).sum(1)
    torch.testing.assert_close(prior.log_density(latents), normal.double())


def test_a_chunk_depends_on_those_before_it_alone(prior):
    disturb(prior)
    latents = torch.zeros(1, 4)
    changed = latents.clone()
    changed[0, 3] = 5.0
    for before, after in zip(prior(latents), prior(changed), strict=True):
        torch.testing.assert_close(before, after)  # the last chunk's values move no prediction
    changed[0, 0] = 5.0
    before, after = prior(latents)[0], prior(changed)[0]
    torch.testing.assert_close(before[0, :2], after[0, :2])
    assert not torch.allclose(before[0, 2:], after[0, 2:])


def test_kl_density_and_draws_agree(prior):
    disturb(prior)
    generator = torch.Generator().manual_seed(0)
    posterior = Posterior(torch.tensor([[0.5, -1.0, 0.2, 0.8]]), torch.tensor([[-1.0, 0.2, -0.5, -2.0]]))
    many = Posterior(*(tensor.repeat(40_000, 1) for tensor in posterior))
    latents = many.sample(generator=generator)
    inside = torch.distributions.Normal(many.mean, (0.5 * many.log_variance).exp()).log_prob(latents).sum(1)
    with torch.no_grad():
        estimate = (inside - prior.log_density(latents)).mean()
        kl = prior.kl(*many, latents).sum(1).mean()
        assert kl.item() == pytest.approx(estimate.item(), abs=0.03)
        drawn = prior.sample(40_000, generator=generator)
        # The entropy of the draws, twice: by their density, and by their Gaussians.
        _, log_deviation = prior(drawn)
        entropy = (log_deviation + 0.5 * torch.log(torch.tensor(2 * torch.pi * torch.e))).sum(1).mean()
        assert -prior.log_density(drawn).mean().item() == pytest.approx(entropy.item(), abs=0.03)


def test_a_model_samples_and_measures_by_it(tiny_model, rebuilt, tmp_path):
    from textvae.modeling_textvae import TextVAEModel

    model = rebuilt(tiny_model, prior="autoregressive")
    disturb(model.prior)
    drawn = model.sample_prior(3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn, model.prior.sample(3, generator=torch.Generator().manual_seed(0)))
    model.save_pretrained(tmp_path)
    loaded = TextVAEModel.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.prior_log_density(drawn), model.prior_log_density(drawn))
    assert not torch.allclose(loaded.prior_log_density(drawn), tiny_model.prior_log_density(drawn))
