"""Every figure of a report, computed from the rows of `results.jsonl` and the facts of `run.json`.

Accuracies, lifts and their intervals are in points (0 to 100). Seeds are averaged within a subset first: the
subsets, each with a budget of its own, are the repetitions that an interval is about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ..common.intervals import FEWEST_SUBSETS, Interval, holm, p_value, paired_interval

Row = dict[str, Any]

NOT_GENERATED = ("real", "weighted", "duplicate", "oracle")


def by_subset(
    rows: Sequence[Row], classifier: str, arm: str, size: int, metric: str = "accuracy", scale: float = 100.0
) -> dict[int, float]:
    """A metric of each subset, seeds averaged, times `scale` (points for a share)."""
    values = defaultdict(list)
    for row in rows:
        if (row["classifier"], row["arm"], row["size"]) == (classifier, arm, size):
            values[row["subset"]].append(scale * row[metric])
    return {subset: fmean(values[subset]) for subset in sorted(values)}


def lift_by_subset(rows: Sequence[Row], classifier: str, arm: str, size: int) -> dict[int, float]:
    """Points of accuracy that an arm gains over `duplicate` at its size, for the subsets that have both."""
    ours, theirs = by_subset(rows, classifier, arm, size), by_subset(rows, classifier, "duplicate", size)
    return {subset: ours[subset] - theirs[subset] for subset in ours if subset in theirs}


def lift(rows: Sequence[Row], classifier: str, arm: str, size: int) -> Interval:
    return paired_interval(list(lift_by_subset(rows, classifier, arm, size).values()))


def corrected_p_values(rows: Sequence[Row]) -> dict[tuple[str, str, int], float]:
    """(classifier, arm, size) → p-value that the lift of generated rows is 0, corrected for how many are looked at."""
    found = {}
    for name in classifiers(rows):
        for arm, size in arms(rows, name):
            value = p_value(list(lift_by_subset(rows, name, arm, size).values())) if is_generated(arm) else None
            if value is not None:
                found[name, arm, size] = value
    return dict(zip(found, holm(list(found.values())), strict=True))


def mean_lift(rows: Sequence[Row], arm: str, size: int) -> tuple[Interval, list[str]]:
    """Lift averaged over the classifiers that have an interval of their own, and which these are.

    Averaged within a subset first, over the subsets that all of them share.
    """
    lifts = {name: lift_by_subset(rows, name, arm, size) for name in classifiers(rows)}
    lifts = {name: values for name, values in lifts.items() if len(values) >= FEWEST_SUBSETS}
    shared = set.intersection(*(set(values) for values in lifts.values())) if lifts else set()
    means = [fmean(values[subset] for values in lifts.values()) for subset in sorted(shared)]
    return paired_interval(means), list(lifts)


def oracle_fraction(rows: Sequence[Row], classifier: str, arm: str, size: int) -> float | None:
    """Share of the oracle's lift that an arm reaches; None where the oracle's own is not clearly above 0."""
    ours, oracle = (lift_by_subset(rows, classifier, name, size) for name in (arm, "oracle"))
    shared = sorted(set(ours) & set(oracle))
    whole = paired_interval([oracle[subset] for subset in shared])
    if whole.mean is None or whole.low is None or whole.low <= 0:
        return None
    return fmean(ours[subset] for subset in shared) / whole.mean


def of_budget(rows: Sequence[Row], budget: int) -> list[Row]:
    return [row for row in rows if row["budget"] == budget]


def classifiers(rows: Sequence[Row]) -> list[str]:
    """In the order of the rows."""
    return list(dict.fromkeys(row["classifier"] for row in rows))


def arms(rows: Sequence[Row], classifier: str) -> list[tuple[str, int]]:
    """The (arm, size) pairs of a classifier, in the order of the rows."""
    return list(dict.fromkeys((row["arm"], row["size"]) for row in rows if row["classifier"] == classifier))


def is_generated(arm: str) -> bool:
    return arm not in NOT_GENERATED


def largest_size(rows: Sequence[Row]) -> int | None:
    """Of the arm `vae`."""
    return max((row["size"] for row in rows if row["arm"] == "vae"), default=None)


def headline_size(rows: Sequence[Row]) -> int | None:
    """The size that the verdict over all classifiers is about: that of `vae` which most of them share, the largest."""
    shared = Counter(size for size, _ in {(row["size"], row["classifier"]) for row in rows if row["arm"] == "vae"})
    return max(shared, key=lambda size: (shared[size], size), default=None)


def chance(info: dict[str, Any]) -> float:
    """Accuracy, in points, of guessing on the class-balanced test rows."""
    return 100 / len(info["study"]["label_names"])


def stage_seconds(rows: Sequence[Row], info: dict[str, Any]) -> dict[str, float]:
    """Seconds of every stage, the installation first where it was timed.

    A stage that was stopped and gone on with took at least what its parts did, shared out to the workers.
    """
    found = {name: stage["seconds"] for name, stage in info["stages"].items()}
    workers = info["recipe"]["study"]["workers"]
    parts = {"augment": info.get("augmentation", []), "classify": rows}
    seconds = {name: sum(part["seconds"] for part in done) / workers for name, done in parts.items()}
    seconds["vae"] = (info.get("vae") or {}).get("seconds", 0.0)
    setup = {} if info.get("setup_seconds") is None else {"setup": info["setup_seconds"]}
    return setup | {name: max(known, seconds.get(name, 0.0)) for name, known in found.items()}


def training_seconds(rows: Sequence[Row], classifier: str) -> float:
    """Seconds of all cells of a classifier, each counted alone though several run at a time."""
    return sum(row["seconds"] for row in rows if row["classifier"] == classifier)


def thinned(curve: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows of a curve, evenly spaced, its first and last among them."""
    if len(curve) <= count:
        return list(curve)
    return [curve[round(place * (len(curve) - 1) / (count - 1))] for place in range(count)]
