"""Candidates from around, and between, the posteriors of the budget's sentences."""

from __future__ import annotations

from typing import Any

from textvae.modeling_textvae import augmentation
from textvae.modeling_textvae.augmentation import Progress, Row
from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ...common.recipe import AugmentRecipe
from ...common.sources import LabelledTexts


def propose(
    model: TextVAEModel,
    tokenizer: Any,
    budget: LabelledTexts,
    count: int,
    settings: AugmentRecipe,
    seed: int,
    progress: Progress | None = None,
) -> list[Row]:
    """`count` undecided rows; labels are class indices."""
    return augmentation.propose(
        model,
        budget.texts,
        budget.labels or [],
        tokenizer,
        count,
        temperature=settings.temperature,
        interpolation_share=settings.interpolation_share,
        seed=seed,
        progress=progress,
    )
