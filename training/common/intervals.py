"""Means with their 95 % intervals, and tests of them: by subset, by fold of a cross-validation, by test row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from scipy.stats import binomtest, norm, spearmanr, ttest_1samp
from scipy.stats import t as student

LEVEL = 0.95
SIGNIFICANT = 0.05
BOOTSTRAPS = 2000
FEWEST_SUBSETS = 3  # that an interval needs
FEWEST_DRAWN = 6  # that a bootstrap needs: of three it holds the mean 75 times in a hundred, of six 94
FEWEST_PAIRS = 4  # that a rank correlation needs


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


def two_way_bootstrap(differences: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of the mean of (subsets, test rows), when both are drawn anew (Owen 2007).

    The t interval is about other budgets and the same test rows; this one is about other test rows, too. Percentiles
    are too near for few subsets, so they are taken as far out as t is beyond the normal (expanded percentiles,
    Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789).
    """
    generator = np.random.default_rng(0)
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
