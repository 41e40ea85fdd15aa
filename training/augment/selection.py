"""Which candidates are kept: filters over what the candidates' table holds, so that another choice needs no generating.

Copies were rejected before (`common/copies.py`) and stay rejected. Then, in this order: *agreement*, *perplexity* and
*novelty* reject single rows, *diversity* rejects rows that repeat themselves, *confidence* leaves the most confident
share of a class. What is left is kept in the order of the candidates or, with *diversity*, in an order in which every
row is as far as can be from those before it, until the quotas of the classes are full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from textvae.modeling_textvae.selection import Row, fill_quotas, undecided

from ..common.copies import near_copies
from ..common.recipe import AugmentRecipe
from ..common.text import words_of

# What a candidate is rejected for whatever the filters are.
COPIES = ("empty", "duplicate", "copy of a test row", "near-copy of a test row")
BAND = (0.05, 0.95)  # quantiles of the budget's own texts between which a row's perplexity must lie
REPETITIVE = 0.05  # quantile of the budget's own shares of different bigrams below which a row repeats itself
DIVERSITY_POOL = 2  # farthest points are chosen among so many rows a wanted one


def select(
    rows: pd.DataFrame,
    filters: Collection[str],
    target: int,
    settings: AugmentRecipe,
    features: np.ndarray | None,
    balance: bool = False,
) -> pd.DataFrame:
    """The table with `kept`, `reject_reason` and `rank` decided anew, up to `target` rows.

    Args:
        rows: what `grow` returns: originals first.
        filters: names of `Filter`.
        features: (len(rows), H) of a teacher's body, for *diversity*; not read without it.
        balance: generated rows make the classes equal; otherwise these keep the originals' shares.

    Raises:
        ValueError: a filter needs a column, or features, that nobody has computed.
    """
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    for place, row in enumerate(records):
        row["place"] = place
        if row["method"] != "original" and row["reject_reason"] not in COPIES:
            row.update(kept=False, reject_reason=None, rank=None)
    for name, reject in REJECTIONS.items():
        if name in filters:
            reject(records, settings)
    wanted = rows_wanted([row["label"] for row in records if row["method"] == "original"], target, balance)
    if "confidence" in filters:
        _keep_confident(records, wanted, settings.confident_share)
    order = {row["place"]: -row["place"] for row in records}
    if "diversity" in filters:
        if features is None:
            raise ValueError("diversity: the table has no features; generate it with this filter in the recipe")
        order = _farthest_first(records, wanted, features)
    fill_quotas(records, target, lambda row: order[row["place"]], balance)
    decided = pd.DataFrame(records)[list(rows.columns)]
    return decided.astype(rows.dtypes.to_dict())


def _reject_disagreement(rows: list[Row], settings: AugmentRecipe) -> None:
    for row in undecided(rows):
        if not _known(row, "agreed"):
            row["reject_reason"] = "teachers disagree"


def _reject_perplexity(rows: list[Row], settings: AugmentRecipe) -> None:
    own = [row["perplexity"] for row in rows if row["method"] == "original" and row["perplexity"] is not None]
    if not own:
        raise ValueError("perplexity: the table has none; generate it with this filter in the recipe")
    low, high = np.quantile(own, BAND)
    # Of a table that no filter asked it of, a part alone is scored; of a single word there is none.
    if unscored := sum(row["perplexity"] is None and len(row["text"].split()) > 1 for row in undecided(rows)):
        raise ValueError(f"perplexity: {unscored} rows have none; generate the table with this filter in the recipe")
    for row in undecided(rows):
        if row["perplexity"] is None or not low <= row["perplexity"] <= high:
            row["reject_reason"] = "perplexity"


def _reject_near_copies(rows: list[Row], settings: AugmentRecipe) -> None:
    candidates = undecided(rows)
    known = [row["text"] for row in rows if row["method"] == "original"]
    for row, copied in zip(
        candidates, near_copies([row["text"] for row in candidates], known, settings.near_copy_overlap), strict=True
    ):
        if copied:
            row["reject_reason"] = "near-copy of a row"


def _reject_repetitive(rows: list[Row], settings: AugmentRecipe) -> None:
    lowest = np.quantile([distinct_2(row["text"]) for row in rows if row["method"] == "original"], REPETITIVE)
    for row in undecided(rows):
        if distinct_2(row["text"]) < lowest:
            row["reject_reason"] = "repetitive"


REJECTIONS: dict[str, Callable[[list[Row], AugmentRecipe], None]] = {
    "agreement": _reject_disagreement,
    "perplexity": _reject_perplexity,
    "novelty": _reject_near_copies,
    "diversity": _reject_repetitive,
}


def distinct_2(text: str) -> float:
    """Share of different ones among a text's word bigrams; 1 for a text that has none."""
    words = words_of(text)
    pairs = list(pairwise(words))
    return len(set(pairs)) / len(pairs) if pairs else 1.0


def _keep_confident(rows: list[Row], wanted: dict[int, int], share: float) -> None:
    """Of each class the most confident share, or as many as are wanted where that is more."""
    for label, count in wanted.items():
        candidates = [row for row in undecided(rows) if row["label"] == label]
        candidates.sort(key=lambda row: -_known(row, "teacher_confidence"))
        for row in candidates[max(round(share * len(candidates)), count) :]:
            row["reject_reason"] = "confidence"


def _farthest_first(rows: list[Row], wanted: dict[int, int], features: np.ndarray) -> dict[int, int]:
    """Place in the table → minus its turn: each row the one farthest from the budget's and from those before it.

    Greedy k-centre (Gonzalez 1985) with cosine distances, in each class by itself, among the first rows of it.
    """
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    turns = {row["place"]: -len(rows) for row in rows}
    for label, count in wanted.items():
        pool = [row["place"] for row in undecided(rows) if row["label"] == label][: DIVERSITY_POOL * count]
        own = [row["place"] for row in rows if row["method"] == "original" and row["label"] == label]
        nearest = (units[pool] @ units[own].T).max(axis=1)
        for turn in range(len(pool)):
            chosen = int(nearest.argmin())
            turns[pool[chosen]] = -turn
            nearest = np.maximum(nearest, units[pool] @ units[pool[chosen]])
            nearest[chosen] = np.inf
    return turns


def rows_wanted(labels: Sequence[int], target: int, balance: bool) -> dict[int, int]:
    """Class → generated rows that it needs, where the originals have `labels`, for `target` rows in all."""
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    if balance:
        return {label: max(math.ceil(target / len(counts)) - count, 0) for label, count in counts.items()}
    return {label: math.ceil(count * (target - len(labels)) / len(labels)) for label, count in counts.items()}


def _known(row: Row, column: str) -> Any:
    if row.get(column) is None:
        raise ValueError(f"{column}: the table has none; generate it with this filter in the recipe")
    return row[column]
