"""Intervals and tests against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from textvae.training.common import intervals
from textvae.training.common.intervals import FEWEST_DRAWN, Interval, paired_interval


def test_the_interval_is_students():
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.302653: 2 ± 4.302653 / √3.
    gain = paired_interval([1.0, 2.0, 3.0])
    assert gain.mean == 2.0
    assert gain.low == pytest.approx(2 - 2.484138, abs=1e-5)
    assert gain.high == pytest.approx(2 + 2.484138, abs=1e-5)
    assert gain.n == 3


def test_intervals_and_p_values_are_scipys():
    values = np.random.default_rng(0).normal(1, 2, 10).tolist()
    found = stats.ttest_1samp(values, 0.0)
    gain, p = paired_interval(values), intervals.p_value(values)
    assert (gain.low, gain.high) == pytest.approx(tuple(found.confidence_interval(0.95)))
    assert p == pytest.approx(found.pvalue)
    # Of folds that share no training row nothing is to be corrected.
    assert intervals.resampled_interval(values, 0.0)[0] == gain
    assert intervals.resampled_interval(values, 0.0)[1] == pytest.approx(p)
    # Nadeau and Bengio: (1/10 + 1/4) in place of 1/10 of the variance.
    corrected, _ = intervals.resampled_interval(values, 0.25)
    assert corrected.high - corrected.mean == pytest.approx(np.sqrt(3.5) * (gain.high - gain.mean))


def test_under_three_subsets_there_is_no_interval():
    assert paired_interval([1.0, 3.0]) == Interval(2.0, None, None, 2)
    assert paired_interval([]) == Interval(None, None, None, 0)


def test_p_values_and_their_correction():
    # t = 2 / (1 / √3) with 2 degrees of freedom.
    assert intervals.p_value([1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)
    assert intervals.p_value([1.0, 2.0]) is None
    assert intervals.p_value([1.0, 1.0, 1.0]) is None
    # Worked example: .005 × 4, .01 × 3, .03 × 2, and .04 not below the one before it.
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert intervals.holm([0.9, 0.8]) == [1.0, 1.0]
    assert intervals.holm([]) == []


def test_the_two_way_bootstrap_counts_subsets_and_test_rows():
    draw = np.random.default_rng(0)
    subsets, rows = draw.normal(0, 1, (30, 1)), draw.normal(0, 1, (1, 200))
    noise = draw.normal(0, 1, (30, 200))
    for values, spread in (
        (2 + subsets + 0 * noise, subsets.std() / np.sqrt(30)),
        (2 + rows + 0 * noise, rows.std() / np.sqrt(200)),
        (2 + subsets + rows + noise, np.hypot(subsets.std() / np.sqrt(30), rows.std() / np.sqrt(200))),
    ):
        low, high = intervals.two_way_bootstrap(values)
        assert low < values.mean() < high
        assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.12)
    assert intervals.two_way_bootstrap(values) == (low, high)


def test_the_two_way_bootstrap_holds_the_mean_as_often_as_it_says():
    draw = np.random.default_rng(0)
    found = [intervals.two_way_bootstrap(draw.normal(0, 3, (FEWEST_DRAWN, 1)) + np.zeros((1, 9))) for _ in range(400)]
    assert 0.88 < np.mean([low <= 0 <= high for low, high in found]) < 0.98


def test_rank_correlation_needs_pairs_that_differ():
    assert intervals.rank_correlation([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert intervals.rank_correlation([1, 2, 3, 4], [1.0, 3.0, 2.0, 4.0]) == pytest.approx(0.8)
    assert intervals.rank_correlation([1, 2, 3], [1.0, 2.0, 3.0]) is None
    assert intervals.rank_correlation([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0]) is None
