"""Which candidate rows are kept: no copies, and the best of each class until its quota is full.

Needs the standard library only, because the file travels to the Hub with the weights.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Container
from typing import Any

Row = dict[str, Any]


def undecided(rows: list[Row]) -> list[Row]:
    """Rows neither kept nor rejected so far."""
    return [row for row in rows if not row["kept"] and row["reject_reason"] is None]


def reject_copies(rows: list[Row], marks_count: Container[str] = ()) -> None:
    """Reject, in place, candidates without letters or digits and those that repeat a row before them.

    Case, spaces and punctuation make no difference.

    Args:
        marks_count: methods whose rows are told apart by their punctuation, too, as it is what they change.
    """
    seen = {key for row in rows if row["kept"] for key in (_identity(row["text"]), row["text"])}
    for row in undecided(rows):
        identity = _identity(row["text"])
        key = row["text"] if row["method"] in marks_count else identity
        if not identity:
            row["reject_reason"] = "empty"
        elif key in seen:
            row["reject_reason"] = "duplicate"
        seen.add(key)


def _identity(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", text.lower())))


def fill_quotas(
    rows: list[Row],
    target_size: int,
    worth: Callable[[Row], float] = lambda row: row["teacher_confidence"],
    balance: bool = False,
) -> None:
    """Keep, in place, the candidates of most worth up to `target_size` rows, in the originals' class shares.

    Places are filled one at a time by the class that lags most behind its share, so the rows of rank < n are
    the dataset of size n for every n up to the target, and its shares are the originals' to within a row. A
    class that has run out of candidates leaves its places empty: the dataset is then smaller.

    Args:
        balance: all classes have equal shares, whatever the originals' are.
    """
    originals = [row for row in rows if row["kept"]]
    filled = Counter(row["label"] for row in originals)
    shares = {label: 1 / len(filled) if balance else count / len(originals) for label, count in filled.items()}
    queues: dict[Any, list[Row]] = {label: [] for label in shares}
    for row in sorted(undecided(rows), key=worth):
        queues[row["label"]].append(row)
    for rank in range(len(originals), target_size):
        label = max(shares, key=lambda name: shares[name] * (rank + 1) - filled[name])
        filled[label] += 1
        if queues[label]:
            queues[label].pop().update(kept=True, rank=rank)
    for row in undecided(rows):
        row["reject_reason"] = "over quota"
