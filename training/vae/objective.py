"""What is minimised: reconstruction plus a weighted KL, and how the weight is steered."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ..common.recipe import VaeRecipe

KL_SMOOTHING = 0.95  # of the running KL that the controller looks at, about 20 steps
BETA_RANGE = (1e-5, 3.0)


@dataclass
class KlController:
    """β steered so that the KL meets a target: an autoencoder first, then a falling target, then a constant one.

    For `autoencoder_share` of the steps β stays at its start. Then the target falls geometrically from
    `target_kl_start` to `target_kl` over `anneal_share`, and each step log β moves by
    `control_rate` · clip(2 log(KL / target), −1, 1): an integral controller, as in ControlVAE (Shao et al.
    2020). Without a target β is constant.
    """

    recipe: VaeRecipe
    beta: float = 0.0
    running_kl: float = 0.0

    def __post_init__(self) -> None:
        self.beta = self.beta or self.recipe.beta

    def target(self, step: int) -> float | None:
        """Nats a sentence wanted at `step`; None while β is constant."""
        recipe, share = self.recipe, step / self.recipe.steps
        if recipe.target_kl is None or share < recipe.autoencoder_share:
            return None
        fallen = min((share - recipe.autoencoder_share) / max(recipe.anneal_share, 1e-9), 1.0)
        start = max(recipe.target_kl_start, recipe.target_kl)
        return start * (recipe.target_kl / start) ** fallen

    def update(self, step: int, kl: float) -> None:
        """Take the mean KL of a step's texts into account."""
        self.running_kl = kl if step == 0 else KL_SMOOTHING * self.running_kl + (1 - KL_SMOOTHING) * kl
        target = self.target(step)
        if target is not None:
            error = 2 * math.log(max(self.running_kl, 1e-6) / target)
            self.beta *= math.exp(self.recipe.control_rate * max(-1.0, min(1.0, error)))
            self.beta = max(BETA_RANGE[0], min(BETA_RANGE[1], self.beta))

    def state_dict(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if name != "recipe"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.beta, self.running_kl = state["beta"], state["running_kl"]


def objective(nll: torch.Tensor, kl: torch.Tensor, beta: float, free_bits: float) -> torch.Tensor:
    """(B,) nats: nll (B,) + β · KL, of KL (B, Z) a dimension, of which `free_bits` nats each cost nothing.

    Free bits: Kingma et al. 2016, applied to the mean over the batch would couple its rows, and with them
    micro-batches and processes; so they are applied a row.
    """
    return nll + beta * kl.clamp(min=free_bits).sum(-1)


def learning_rate(recipe: VaeRecipe, step: int) -> float:
    """Linear warm-up, then cosine to `final_learning_rate_share`."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(recipe.steps - recipe.warmup_steps, 1)
    low = recipe.final_learning_rate_share
    return recipe.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def candidate_set(
    targets: torch.Tensor, vocabulary_size: int, recipe: VaeRecipe, seed: int, step: int
) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    """Softmax candidates of a step, and their log importance weights.

    All tokens of the step's targets and the `candidate_words` most frequent ones (the lowest ids) stand for
    themselves; `sampled_words` drawn from the others stand for all of those (Jean et al. 2015). The set
    depends on the whole step's targets, seed and step alone, so that it is the same however the step is cut
    into micro-batches and processes.
    """
    if recipe.candidate_words == 0 or recipe.candidate_words + recipe.sampled_words >= vocabulary_size:
        return None, None
    chosen = torch.zeros(vocabulary_size, dtype=torch.bool)
    chosen[: recipe.candidate_words] = True
    chosen[targets.flatten()] = True
    rest = (~chosen).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(_key(seed, step))
    sampled = rest[torch.randperm(len(rest), generator=generator)[: recipe.sampled_words]]
    weights = torch.zeros(vocabulary_size)
    if len(sampled):
        weights[sampled] = math.log(len(rest) / len(sampled))
        chosen[sampled] = True
    candidates = chosen.nonzero()[:, 0]
    return candidates, weights[candidates]


def row_noise(
    seed: int, rows: np.ndarray, visits: np.ndarray, latent_size: int, max_pieces: int, word_dropout: float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Reparameterisation noise (B, latent_size) and kept decoder inputs (B, max_pieces), keyed by row and visit.

    A row's noise depends on (seed, row, how often it was seen before) alone: not on the batch, the process or
    anything that was drawn before it, so a resumed or distributed training draws the same.
    """
    noise = torch.empty(len(rows), latent_size)
    keep = torch.empty(len(rows), max_pieces, dtype=torch.bool) if word_dropout else None
    for index, (row, visit) in enumerate(zip(rows, visits, strict=True)):
        generator = torch.Generator().manual_seed(_key(seed, int(row), int(visit)))
        torch.randn(latent_size, generator=generator, out=noise[index])
        if keep is not None:
            keep[index] = torch.rand(max_pieces, generator=generator) >= word_dropout
    return noise, keep


def _key(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
