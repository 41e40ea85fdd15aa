"""Candidates from around, and between, the posteriors of the budget's sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from textvae.modeling_textvae import augmentation
from textvae.modeling_textvae.augmentation import Progress
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.selection import Row

from ...common.recipe import AugmentRecipe
from ...common.shards import Keep, sharded
from ...common.sources import LabelledTexts
from . import Cost


@dataclass(frozen=True)
class Vae:
    """A text VAE as a generator; `keep` as for `sharded`."""

    model: TextVAEModel
    tokenizer: Any
    settings: AugmentRecipe
    keep: Keep | None = None
    cost: Cost = field(default_factory=Cost)

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        with self.cost.writing():
            make = augmentation.proposer(
                self.model, budget.texts, budget.labels or [], self.tokenizer, temperature=self.settings.temperature,
                interpolation_share=self.settings.interpolation_share, seed=seed,
            )  # fmt: skip
        blocks = augmentation.blocks(count)

        def block(number: int) -> list[Row]:
            with self.cost.writing():
                rows = make(blocks[number])
            self.cost.words += sum(len(row["text"].split()) for row in rows)
            return rows

        def done(rows: list[Row]) -> None:
            if progress:
                progress("generate", len(rows), count)

        return [row for rows in sharded(len(blocks), block, self.keep, done) for row in rows]
