"""How likely a VAE finds a text, and how much of the text its latent holds."""

from __future__ import annotations

import math

import torch

CHUNK = 256  # samples held against all posteriors at a time


def log_density(latents: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """log N(latents; mean, diagonal variance) in nats; (…, Z), broadcast, to (…) float64."""
    latents, mean, log_variance = latents.double(), mean.double(), log_variance.double()
    squares = (latents - mean).square() * (-log_variance).exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


def importance_weighted_nll(log_weights: torch.Tensor) -> torch.Tensor:
    """−log p(x) in nats a text, from S latents drawn from each text's posterior (Burda et al. 2016).

    It is −log of the mean importance weight: at least the true value on average, at most the negative ELBO
    of the same draws (their mean −log weight), and closer to the truth the more draws there are.

    Args:
        log_weights: (S, N) log p(x | z) + log p(z) − log q(z | x) of draw s for text n.

    Returns:
        (N,) float64.
    """
    return math.log(len(log_weights)) - log_weights.double().logsumexp(0)


def mutual_information(mean: torch.Tensor, log_variance: torch.Tensor, samples: torch.Tensor) -> float:
    """I_q(x; z) in nats: how well a latent tells which of N texts it was drawn for (Hoffman and Johnson 2016).

    The mean over n of log q(z_n | x_n) − log 1/N Σ_m q(z_n | x_m), as Dieng et al. (2019) estimate it. It cannot
    exceed log N: a value near that says that N texts are too few to measure the information, not how much it is.

    Args:
        mean, log_variance: (N, Z) of the texts' posteriors.
        samples: (N, Z) one draw from each.

    Raises:
        ValueError: the three are not of one shape.
    """
    if not mean.shape == log_variance.shape == samples.shape:
        raise ValueError(f"shapes differ: {tuple(mean.shape)}, {tuple(log_variance.shape)}, {tuple(samples.shape)}")
    mean, log_variance, samples = mean.double(), log_variance.double(), samples.double()
    # The square multiplied out: two products of matrices in place of an (N, N, Z) array.
    precision = (-log_variance).exp()
    scaled = mean * precision
    constant = (mean * scaled + log_variance + math.log(2 * math.pi)).sum(-1)
    total = 0.0
    for start in range(0, len(samples), CHUNK):
        chunk = samples[start : start + CHUNK]
        densities = -0.5 * (chunk.square() @ precision.T - 2 * chunk @ scaled.T + constant)
        # Both terms from one matrix: rounding can then not lift the estimate over its cap.
        total += float((densities.diagonal(start) - densities.logsumexp(1)).sum())
    return total / len(samples) + math.log(len(samples))


def active_units(mean: torch.Tensor, threshold: float = 0.01) -> float:
    """Share of latent dimensions whose posterior mean varies over texts by more than `threshold`, a variance.

    The measure and its threshold are those of Burda et al. (2016).

    Args:
        mean: (N, Z) of the texts' posteriors.
    """
    return float((mean.double().var(0, correction=0) > threshold).double().mean())
