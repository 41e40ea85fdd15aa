"""Work that `accelerate launch` shares out among processes and machines, the same for any number of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

T = TypeVar("T")
Keep = Callable[[str, Callable[[], Any]], Any]


def is_main() -> bool:
    """Whether this process is the one that writes files and talks."""
    return _state().is_main_process


def sharded(
    count: int, make: Callable[[int], T], keep: Keep | None = None, done: Callable[[T], None] = lambda _: None
) -> list[T]:
    """[make(0), …, make(count - 1)] in every process; each makes its share.

    Args:
        make: has to follow from its argument alone; its results have to be picklable.
        keep: where those are kept that were made before: called as keep(name, make), it gives what it has of the name.
            They are then plain data, as JSON gives it back.
        done: told each result of this process, made now or before.
    """
    state, own = _state(), []
    for index in range(state.process_index, count, state.num_processes):
        own.append((index, keep(str(index), partial(make, index)) if keep else make(index)))
        done(own[-1][1])
    return [result for _, result in sorted(gather_object(own), key=lambda pair: pair[0])]


def main_first() -> contextlib.AbstractContextManager[Any]:
    """Let the process that writes files be through before the others begin."""
    return _state().main_process_first()


def _state() -> PartialState:
    return PartialState(cpu=not torch.cuda.is_available())
