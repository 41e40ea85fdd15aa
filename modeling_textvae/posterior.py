"""The posterior of a text."""

from __future__ import annotations

from typing import NamedTuple

import torch


def device_of(generator: torch.Generator | None) -> torch.device:
    """Where a generator draws; without one it is the CPU, on which a seed means the same for any model's device."""
    return torch.device("cpu") if generator is None else generator.device


class Posterior(NamedTuple):
    """Diagonal Gaussian over the latent, one a row."""

    mean: torch.Tensor  # (B, Z) float32
    log_variance: torch.Tensor  # (B, Z) float32

    def sample(self, temperature: float = 1.0, generator: torch.Generator | None = None) -> torch.Tensor:
        """(B, Z) draws of mean + temperature · σ · ε; temperature 0 gives the mean."""
        device = device_of(generator)
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype, device=device)
        return self.at(temperature * noise.to(self.mean.device))

    def at(self, noise: torch.Tensor) -> torch.Tensor:
        """(B, Z) the latents `noise` (B, Z) standard deviations from the mean."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> torch.Tensor:
        """KL(q ‖ N(0, I)) in nats a dimension, (B, Z) (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)
