"""Work that `accelerate launch` shares out among processes and machines, the same for any number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

T = TypeVar("T")


def is_main() -> bool:
    """Whether this process is the one that writes files and talks."""
    return _state().is_main_process


def sharded(count: int, make: Callable[[int], T]) -> list[T]:
    """[make(0), …, make(count - 1)] in every process; each makes its share.

    `make` has to follow from its argument alone, and its results have to be picklable.
    """
    state = _state()
    own = [(index, make(index)) for index in range(state.process_index, count, state.num_processes)]
    return [result for _, result in sorted(gather_object(own), key=lambda pair: pair[0])]


def _state() -> PartialState:
    return PartialState(cpu=not torch.cuda.is_available())
