"""A prior that is learned with the model: each chunk of the latent given those before it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .gru import GRU
from .posterior import device_of

HIDDEN_SIZE = 256
LOG_DEVIATION_RANGE = (-5.0, 3.0)


class ChunkPrior(nn.Module):
    """p(z) = Π p(chunk k | chunks before it): a GRU reads the chunks and predicts the next one's Gaussian.

    Under N(0, I) a latent has to be white to be cheap, and what one chunk tells of the next is paid twice; here the
    encoder may leave in what the GRU can predict (as the sequential prior of Chung et al. 2015). It starts as
    N(0, I).
    """

    def __init__(self, chunks: int, size: int) -> None:
        super().__init__()
        self.chunks, self.size = chunks, size
        self.gru = GRU(size, HIDDEN_SIZE, batch_first=True)
        self.head = nn.Linear(HIDDEN_SIZE, 2 * size)
        self.place = nn.Parameter(torch.empty(chunks, 2 * size))

    def reset_parameters(self) -> None:
        init.zeros_(self.head.weight)
        init.zeros_(self.head.bias)
        init.zeros_(self.place)

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log deviation, each (B, Z) float32, of every chunk of latents (B, Z) given those before it."""
        chunks = latents.to(self.place.dtype).unflatten(1, (self.chunks, -1))
        hidden, _ = self.gru(F.pad(chunks[:, :-1], (0, 0, 1, 0)))
        mean, log_deviation = self._gaussian(hidden, self.place)
        return mean.flatten(1), log_deviation.flatten(1)

    def kl(self, mean: torch.Tensor, log_variance: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """(B, Z) KL in nats of a diagonal Gaussian; exact within a chunk, given the draw `latents` of those before."""
        prior_mean, log_deviation = self(latents)
        squares = (log_variance.exp() + (mean - prior_mean).square()) * (-2 * log_deviation).exp()
        return log_deviation - 0.5 * log_variance + 0.5 * (squares - 1)

    def log_density(self, latents: torch.Tensor) -> torch.Tensor:
        """(B,) float64 nats of latents (B, Z)."""
        mean, log_deviation = (tensor.double() for tensor in self(latents))
        squares = ((latents.double() - mean) * (-log_deviation).exp()).square()
        return -(0.5 * squares + log_deviation + 0.5 * math.log(2 * math.pi)).sum(-1)

    def sample(self, count: int, temperature: float = 1.0, generator: torch.Generator | None = None) -> torch.Tensor:
        """(count, Z) float32 draws; `temperature` scales each chunk's deviation from what was expected of it."""
        chunk, state, drawn = self.place.new_zeros(count, 1, self.size), None, []
        for place in self.place:
            hidden, state = self.gru(chunk.to(place.dtype), state)
            mean, log_deviation = self._gaussian(hidden, place)
            noise = torch.randn(mean.shape, generator=generator, device=device_of(generator)).to(mean.device)
            chunk = mean + temperature * log_deviation.exp() * noise
            drawn.append(chunk[:, 0])
        return torch.cat(drawn, dim=1)

    def _gaussian(self, hidden: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_deviation = (self.head(hidden).float() + place).chunk(2, dim=-1)
        return mean, log_deviation.clamp(*LOG_DEVIATION_RANGE)
