"""Generators of candidate rows, one a file."""

from __future__ import annotations

from typing import Protocol

from textvae.modeling_textvae.augmentation import Progress, Row

from ...common.sources import LabelledTexts


class Generator(Protocol):
    """What makes candidates of a label budget."""

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        """`count` rows, neither kept nor rejected yet, made from the budget alone; labels are class indices.

        Candidate i follows from (seed, i): a larger `count` adds candidates and changes none.
        """
        ...
