"""How β, the weight of the KL, word dropout and the learning rate change over a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ..common.recipe import VaeRecipe

KL_SMOOTHING = 0.95  # of the running KL that the controller looks at, about 20 steps
BETA_RANGE = (1e-5, 3.0)
CYCLE_PEAK = 0.4  # of the learning rate, where a cycle whose end is averaged begins


@dataclass
class Beta:
    """β of each step: an autoencoder first, then a schedule, or steered so that the KL meets a target.

    For `autoencoder_share` of the steps β stays at its start. With a target, this then falls geometrically from
    `target_kl_start` to `target_kl` over `anneal_share`, and each step log β moves by
    `control_rate` · clip(2 log(KL / target), −1, 1): an integral controller, as in ControlVAE (Shao et al. 2020).
    Without a target β follows `beta_schedule` to `beta_end`: at once, on a line over `anneal_share` (Bowman et al.
    2016), or in `beta_cycles` cycles, rising over the first half of each (Fu et al. 2019).
    """

    recipe: VaeRecipe
    value: float = field(init=False)  # at the end of a training, what its last step had
    running_kl: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.value = self.scheduled(0)

    def _progress(self, step: int) -> float:
        """Share of what follows the autoencoder phase; below 0 in it."""
        start = self.recipe.autoencoder_share
        return (step / self.recipe.steps - start) / max(1 - start, 1e-9)

    def target(self, step: int) -> float | None:
        """Nats a sentence wanted at `step`; None while nothing is steered."""
        recipe, share = self.recipe, step / self.recipe.steps
        if recipe.target_kl is None or share < recipe.autoencoder_share:
            return None
        fallen = min((share - recipe.autoencoder_share) / max(recipe.anneal_share, 1e-9), 1.0)
        start = max(recipe.target_kl_start, recipe.target_kl)
        return start * (recipe.target_kl / start) ** fallen

    def scheduled(self, step: int) -> float:
        """β at `step` where no target steers it."""
        recipe, progress = self.recipe, self._progress(step)
        if progress < 0 or recipe.target_kl is not None:
            return recipe.beta
        risen = 1.0
        if recipe.beta_schedule == "linear":
            risen = progress * (1 - recipe.autoencoder_share) / max(recipe.anneal_share, 1e-9)
        elif recipe.beta_schedule == "cyclical":
            risen = 2 * (progress * recipe.beta_cycles % 1)
        return recipe.beta + (recipe.beta_end - recipe.beta) * min(risen, 1.0)

    def update(self, step: int, kl: float) -> None:
        """Take the mean KL of step `step`'s texts into account, and move on to the next."""
        if step + 1 == self.recipe.steps:
            return
        self.running_kl = kl if step == 0 else KL_SMOOTHING * self.running_kl + (1 - KL_SMOOTHING) * kl
        target = self.target(step)
        if self.recipe.target_kl is None:
            self.value = self.scheduled(step + 1)
        elif target is not None:
            error = 2 * math.log(max(self.running_kl, 1e-6) / target)
            moved = self.value * math.exp(self.recipe.control_rate * max(-1.0, min(1.0, error)))
            self.value = max(BETA_RANGE[0], min(BETA_RANGE[1], moved))

    def state_dict(self) -> dict[str, float]:
        return {"value": self.value, "running_kl": self.running_kl}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.running_kl = state["value"], state["running_kl"]


def learning_rate(recipe: VaeRecipe, step: int) -> float:
    """Linear warm-up, then cosine to `final_learning_rate_share`, and so again from `CYCLE_PEAK` in each last cycle."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    first, *cycles = cycle_ends(recipe)
    peak, start, end = 1.0, recipe.warmup_steps, first
    if step >= first:
        peak, end = CYCLE_PEAK, next(end for end in cycles if step < end)
        start = end - recipe.cycle_steps
    low = recipe.final_learning_rate_share
    falling = 0.5 * (1 + math.cos(math.pi * (step - start) / max(end - start, 1)))
    return recipe.learning_rate * (low + (peak - low) * falling)


def word_dropout(recipe: VaeRecipe, step: int) -> float:
    """Share of decoder inputs that are replaced."""
    final = recipe.word_dropout if recipe.final_word_dropout is None else recipe.final_word_dropout
    return final if step >= recipe.final_start else recipe.word_dropout


def cycle_ends(recipe: VaeRecipe) -> range:
    """Numbers of steps after which the learning rate is low: before the first of the last cycles, and after each."""
    return range(recipe.steps - recipe.average_cycles * recipe.cycle_steps, recipe.steps + 1, recipe.cycle_steps)
