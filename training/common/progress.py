"""Progress on stderr: bars with the remaining time, and single lines that do not tear them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


class _WholeLines:
    """Gives a log file one line an update, where a terminal gets a bar drawn over and over."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(iterable: Iterable[Any] | None = None, *, total: int | None, label: str, unit: str = "it") -> tqdm:
    """A progress bar; where stderr is no terminal, a line at most every 30 s. Off with TEXTVAE_PROGRESS=0."""
    # Of the processes of a distributed training the first speaks for all.
    off = os.environ.get("TEXTVAE_PROGRESS") == "0" or os.environ.get("RANK", "0") != "0"
    if sys.stderr.isatty():
        return tqdm(
            iterable,
            desc=label,
            total=total,
            unit=unit,
            disable=off,
            dynamic_ncols=True,
            mininterval=0.5,
            leave=False,
        )
    wait = SECONDS_BETWEEN_LINES
    return tqdm(
        iterable, desc=label, total=total, unit=unit, disable=off, file=_WholeLines(), miniters=1,
        mininterval=wait, maxinterval=wait, delay=wait, leave=False,
    )  # fmt: skip


def say(message: str) -> None:
    """One line on stderr, above any bar that stands there."""
    tqdm.write(message, file=sys.stderr)
