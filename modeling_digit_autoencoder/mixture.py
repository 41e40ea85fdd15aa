"""A mixture of Gaussians over latents, to draw from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GaussianMixture(nn.Module):
    """Gaussians with full covariances; its buffers are float32, and travel with a model's weights.

    Args:
        components: K
        size: Z, of a latent
    """

    weights: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, components: int, size: int):
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1.0 / components))  # (K,), they sum to 1
        self.register_buffer("means", torch.zeros(components, size))  # (K, Z)
        # (K, Z, Z) lower Cholesky factors of the covariances
        self.register_buffer("scales", torch.eye(size).repeat(components, 1, 1))

    def sample(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """(num, Z) draws, made where the generator is; on the CPU a seed means the same for a model on any device."""
        device = torch.device("cpu") if generator is None else generator.device
        chosen = torch.multinomial(self.weights.to(device), num, replacement=True, generator=generator)
        noise = torch.randn(num, self.means.shape[1], 1, generator=generator, device=device)
        chosen, noise = chosen.to(self.means.device), noise.to(self.means.device)
        return self.means[chosen] + (self.scales[chosen] @ noise).squeeze(-1)

    def log_density(self, latents: Tensor) -> Tensor:
        """(N, Z) → (N,) in nats."""
        offsets = (latents[:, None] - self.means).transpose(0, 1).transpose(1, 2)  # (K, Z, N)
        distances = torch.linalg.solve_triangular(self.scales, offsets, upper=False).square().sum(1)  # (K, N)
        log_scales = self.scales.diagonal(dim1=1, dim2=2).log().sum(1) + latents.shape[1] / 2 * math.log(2 * math.pi)
        return (self.weights.log()[:, None] - log_scales[:, None] - distances / 2).logsumexp(0)
