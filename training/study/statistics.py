"""Every figure of a report, computed from the rows of `results.jsonl` and the facts of `run.json`.

Accuracies, lifts and their intervals are in points (0 to 100). Seeds are averaged within a subset first: the
subsets, each with a budget of its own, are the repetitions that an interval is about.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm, spearmanr, ttest_1samp
from scipy.stats import t as student

Row = dict[str, Any]

LEVEL = 0.95
SIGNIFICANT = 0.05
BOOTSTRAPS = 2000
NOT_GENERATED = ("real", "weighted", "duplicate", "oracle")
FEWEST_SUBSETS = 3
FEWEST_PAIRS = 4


@dataclass(frozen=True)
class Interval:
    """A mean over `n` subsets with its 95 % t interval, which is None for fewer than three."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


def paired_interval(differences: Sequence[float]) -> Interval:
    """Mean and 95 % Student t interval of one number a subset: a difference paired by subset, or a value."""
    n = len(differences)
    if n < FEWEST_SUBSETS:
        return Interval(fmean(differences) if n else None, None, None, n)
    mean = fmean(differences)
    half = float(student.ppf((1 + LEVEL) / 2, n - 1)) * stdev(differences) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """How far `ours` is above `theirs`, over the subsets that have both."""
    return paired_interval([ours[subset] - theirs[subset] for subset in ours if subset in theirs])


def resampled_interval(differences: Sequence[float], test_share: float) -> tuple[Interval, float | None]:
    """Mean over cross-validation's folds, its 95 % interval and the p-value that it is 0.

    Folds share training rows, so the variance of their mean is taken as (1/n + test/train) of that of the folds
    (Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366).

    Args:
        test_share: test rows of a fold over its training rows.
    """
    n = len(differences)
    mean = fmean(differences)
    spread = math.sqrt(1 / n + test_share) * stdev(differences) if n > 1 else 0.0
    if not spread:
        return Interval(mean, None, None, n), None
    half = float(student.ppf((1 + LEVEL) / 2, n - 1)) * spread
    return Interval(mean, mean - half, mean + half, n), float(2 * student.sf(abs(mean) / spread, n - 1))


def p_value(differences: Sequence[float]) -> float | None:
    """Two-sided, of the t test that the mean is 0; None for fewer than three, or where all are alike."""
    if len(differences) < FEWEST_SUBSETS or max(differences) == min(differences):
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values such that calling those below a level significant errs in one of them at most that often (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def two_way_bootstrap(differences: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of (subsets, test rows), when both are drawn anew (Owen 2007).

    The t interval is about other budgets and the same test rows; this one is about other test rows, too. Percentiles
    are too near for few subsets, so they are taken as far out as t is beyond the normal (expanded percentiles,
    Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789).
    """
    generator = np.random.default_rng(seed)
    subsets, rows = differences.shape
    drawn = generator.multinomial(subsets, np.full(subsets, 1 / subsets), BOOTSTRAPS) / subsets
    weights = generator.multinomial(rows, np.full(rows, 1 / rows), BOOTSTRAPS) / rows
    means = np.einsum("bs,sr,br->b", drawn, differences, weights, optimize=True)
    far = math.sqrt(subsets / (subsets - 1)) * float(student.ppf((1 + LEVEL) / 2, subsets - 1))
    low, high = np.quantile(means, [norm.cdf(-far), norm.cdf(far)])
    return float(low), float(high)


def rank_correlation(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Spearman's; None for fewer than four pairs, or where one side is all alike."""
    if len(ours) < FEWEST_PAIRS or min(len(set(ours)), len(set(theirs))) < 2:
        return None
    return float(spearmanr(ours, theirs).statistic)


def wilson_interval(accuracy: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share that was found on so many rows (Wilson 1927)."""
    found = binomtest(round(accuracy * rows), rows).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


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


def largest_size(rows: Sequence[Row], arm: str = "vae") -> int | None:
    return max((row["size"] for row in rows if row["arm"] == arm), default=None)


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
