"""Generators of candidate rows, one a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from textvae.modeling_textvae.augmentation import Progress
from textvae.modeling_textvae.selection import Row

from ...common.sources import LabelledTexts


@dataclass
class Cost:
    """What writing new text took, scoring rows and putting them together not counted."""

    cpu_seconds: float = 0.0
    words: int = 0
    training_cpu_seconds: float = 0.0  # for this budget alone
    encoding_cpu_seconds: float = 0.0  # of a bank, for its teachers

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        started = time.process_time()
        yield
        self.cpu_seconds += time.process_time() - started

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        started = time.process_time()
        yield
        self.training_cpu_seconds += time.process_time() - started


class Generator(Protocol):
    """What makes candidates of a label budget."""

    @property
    def cost(self) -> Cost: ...

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        """`count` rows, neither kept nor rejected yet, made from the budget alone; labels are class indices. One that
        is put together from `sentences` names them: they are what teachers judge it by.

        Candidate i follows from (seed, i): a larger `count` adds candidates and changes none, unless the generator has
        to write more sentences for it.
        """
        ...
