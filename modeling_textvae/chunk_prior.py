"""A prior that is learned with the model: each chunk of the latent given those before it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

HIDDEN_SIZE = 256
LOG_DEVIATION_RANGE = (-5.0, 3.0)


class ChunkPrior(nn.Module):
    """p(z) = Π p(chunk k | chunks before it): a GRU reads the chunks and predicts the next one's Gaussian.

    Under N(0, I) a latent has to be white to be cheap, and what one chunk tells of the next is paid twice; here the
    encoder may leave in what the GRU can predict (as the sequential prior of Chung et al. 2015). It starts as
    N(0, I). With classes, a vector of the class is where the GRU starts and is added to what it gives; the last
    of these vectors stands for a class that nobody knows.
    """

    def __init__(self, chunks: int, size: int, num_classes: int = 0) -> None:
        super().__init__()
        self.chunks, self.size, self.num_classes = chunks, size, num_classes
        self.gru = nn.GRU(size, HIDDEN_SIZE, batch_first=True)
        self.head = nn.Linear(HIDDEN_SIZE, 2 * size)
        self.place = nn.Parameter(torch.empty(chunks, 2 * size))
        self.classes = nn.Embedding(num_classes + 1, HIDDEN_SIZE) if num_classes else None

    def reset_parameters(self) -> None:
        init.zeros_(self.head.weight)
        init.zeros_(self.head.bias)
        init.zeros_(self.place)

    def forward(
        self, latents: torch.Tensor, class_ids: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log deviation, each (B, Z) float32, of every chunk of latents (B, Z) given those before it."""
        chunks = latents.unflatten(1, (self.chunks, -1))
        vectors = self._vectors(class_ids, len(latents))
        hidden, _ = self.gru(F.pad(chunks[:, :-1], (0, 0, 1, 0)), vectors[None])
        mean, log_deviation = self._gaussian(hidden + vectors[:, None], self.place)
        return mean.flatten(1), log_deviation.flatten(1)

    def kl(self, mean: torch.Tensor, log_variance: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """(B, Z) KL in nats of a diagonal Gaussian; exact within a chunk, given the draw `latents` of those before."""
        prior_mean, log_deviation = self(latents)
        squares = (log_variance.exp() + (mean - prior_mean).square()) * (-2 * log_deviation).exp()
        return log_deviation - 0.5 * log_variance + 0.5 * (squares - 1)

    def log_density(self, latents: torch.Tensor, class_ids: torch.Tensor | None = None) -> torch.Tensor:
        """(B,) float64 nats of latents (B, Z); of no class where none is given."""
        mean, log_deviation = (tensor.double() for tensor in self(latents, class_ids))
        squares = ((latents.double() - mean) * (-log_deviation).exp()).square()
        return -(0.5 * squares + log_deviation + 0.5 * math.log(2 * math.pi)).sum(-1)

    def sample(
        self,
        count: int,
        temperature: float = 1.0,
        class_ids: torch.Tensor | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """(count, Z) float32 draws; `temperature` scales each chunk's deviation from what was expected of it.

        With `guidance` above 1, each chunk's mean moves so many times as far as its class moves it from that of the
        unknown class (classifier-free guidance, Ho and Salimans 2022).
        """
        vectors = self._vectors(class_ids, count)
        guided = class_ids is not None and guidance != 1.0
        if guided:
            vectors = torch.cat([vectors, self._vectors(None, count)])
        chunk, state, drawn = self.place.new_zeros(len(vectors), 1, self.size), vectors[None], []
        for place in self.place:
            hidden, state = self.gru(chunk, state)
            mean, log_deviation = self._gaussian(hidden + vectors[:, None], place)
            if guided:
                mean, unknown = mean.chunk(2)
                mean = unknown + guidance * (mean - unknown)
            noise = torch.randn(mean.shape, generator=generator).to(mean.device)
            chunk = mean + temperature * log_deviation[:count].exp() * noise
            drawn.append(chunk[:, 0])
            chunk = chunk.repeat(len(vectors) // max(count, 1), 1, 1)
        return torch.cat(drawn, dim=1)

    def _vectors(self, class_ids: torch.Tensor | None, count: int) -> torch.Tensor:
        if self.classes is None:
            return self.place.new_zeros(count, HIDDEN_SIZE)
        unknown = torch.full((count,), self.num_classes, device=self.place.device)
        return self.classes(unknown if class_ids is None else class_ids.to(self.place.device))

    def _gaussian(self, hidden: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_deviation = (self.head(hidden).float() + place).chunk(2, dim=-1)
        return mean, log_deviation.clamp(*LOG_DEVIATION_RANGE)
