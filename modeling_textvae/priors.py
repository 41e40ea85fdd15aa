"""Priors fitted to the latents of texts: where a class, or a whole data set, really lies under the model's prior."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from os import PathLike
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from .chunk_prior import ChunkPrior


class LatentPrior(nn.Module, ABC):
    """A density over latents, one a class, that is saved beside a model's weights.

    Args:
        num_classes: classes it knows; 1 where it was fitted without labels.
        facts: what it was fitted to, for the record: strings, numbers and lists of them.
    """

    def __init__(self, num_classes: int, facts: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.num_classes, self.facts = num_classes, dict(facts or {})

    @abstractmethod
    def sample(
        self, class_ids: torch.Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """(N, Z) float32 draws of the classes (N,); `temperature` scales the deviations from the means."""

    @abstractmethod
    def log_density(self, latents: torch.Tensor, class_ids: torch.Tensor) -> torch.Tensor:
        """(N,) float64 nats of latents (N, Z) under their classes (N,)."""

    def check_classes(self, class_ids: torch.Tensor) -> None:
        if len(class_ids) and not 0 <= int(class_ids.min()) <= int(class_ids.max()) < self.num_classes:
            raise ValueError(f"class_ids must lie in 0 to {self.num_classes - 1}, the classes of this prior")

    def save(self, path: str | PathLike[str]) -> None:
        """Write one safetensors file, the facts in its header."""
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, path, metadata={"format": "pt", "facts": json.dumps(self.facts)})

    @staticmethod
    def load(path: str | PathLike[str]) -> LatentPrior:
        """The prior in a file that `save` wrote, of whatever kind it is."""
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if "prior.place" not in tensors:
            return MixturePrior(tensors["log_weights"], tensors["means"], tensors["scales"], facts)
        chunks, width = tensors["prior.place"].shape
        prior = ClassChunkPrior(ChunkPrior(chunks, width // 2, len(tensors["prior.classes.weight"]) - 1), facts=facts)
        prior.load_state_dict(tensors)
        return prior


class MixturePrior(LatentPrior):
    """Mixtures of Gaussians with full covariances, one mixture a class; float64 buffers.

    Args:
        log_weights: (C, K) log shares of a class's components.
        means: (C, K, Z)
        scales: (C, K, Z, Z) lower Cholesky factors of the covariances.
    """

    def __init__(
        self, log_weights: torch.Tensor, means: torch.Tensor, scales: torch.Tensor, facts: dict[str, Any] | None = None
    ) -> None:
        super().__init__(len(log_weights), facts)
        for name, tensor in (("log_weights", log_weights), ("means", means), ("scales", scales)):
            self.register_buffer(name, tensor.double())

    def sample(
        self, class_ids: torch.Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        class_ids = class_ids.cpu()
        self.check_classes(class_ids)
        chosen = torch.multinomial(self.log_weights.exp().cpu()[class_ids], 1, generator=generator)[:, 0]
        noise = torch.randn(len(class_ids), self.means.shape[-1], dtype=torch.float64, generator=generator)
        means, scales = self.means.cpu()[class_ids, chosen], self.scales.cpu()
        deviations = torch.empty_like(means)
        for label in range(self.num_classes):
            for component in range(scales.shape[1]):  # a row's own factor at a time would be N · Z² numbers
                rows = (class_ids == label) & (chosen == component)
                deviations[rows] = noise[rows] @ scales[label, component].T
        return (means + temperature * deviations).float()

    def log_density(self, latents: torch.Tensor, class_ids: torch.Tensor) -> torch.Tensor:
        latents = latents.double()
        result = latents.new_empty(len(latents))
        for label in range(self.num_classes):
            rows = (class_ids == label).nonzero()[:, 0]
            centred = latents[rows][None] - self.means[label][:, None]  # (K, n, Z)
            solved = torch.linalg.solve_triangular(self.scales[label], centred.transpose(1, 2), upper=False)
            log_volume = self.scales[label].diagonal(dim1=-2, dim2=-1).log().sum(-1)
            constant = 0.5 * latents.shape[1] * math.log(2 * math.pi)
            densities = -0.5 * solved.square().sum(1) - log_volume[:, None] - constant
            result[rows] = (densities + self.log_weights[label][:, None]).logsumexp(0)
        return result


class ClassChunkPrior(LatentPrior):
    """The model's own prior over chunks, taught what classes do to it.

    Args:
        prior: with classes.
        guidance: how far draws go in the direction of their class: 1 as the prior has it, more for plainer classes.
    """

    def __init__(self, prior: ChunkPrior, guidance: float = 1.0, facts: dict[str, Any] | None = None) -> None:
        super().__init__(prior.num_classes, facts)
        self.prior = prior
        self.facts.setdefault("guidance", guidance)

    @torch.no_grad()
    def sample(
        self, class_ids: torch.Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        self.check_classes(class_ids)
        return self.prior.sample(len(class_ids), temperature, class_ids, self.facts["guidance"], generator)

    def log_density(self, latents: torch.Tensor, class_ids: torch.Tensor) -> torch.Tensor:
        return self.prior.log_density(latents, class_ids)
