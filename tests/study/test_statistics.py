"""Intervals, lifts and verdicts against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from textvae.training.study import statistics
from textvae.training.study.statistics import Interval, paired_interval
from textvae.training.study.summary import summary
from textvae.training.study.verdict import outcome, overall, signed, verdicts


def test_the_interval_is_students():
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.302653: 2 ± 4.302653 / √3.
    gain = paired_interval([1.0, 2.0, 3.0])
    assert gain.mean == 2.0
    assert gain.low == pytest.approx(2 - 2.484138, abs=1e-5)
    assert gain.high == pytest.approx(2 + 2.484138, abs=1e-5)
    assert gain.n == 3


def test_under_three_subsets_there_is_no_interval():
    assert paired_interval([1.0, 3.0]) == Interval(2.0, None, None, 2)
    assert paired_interval([]) == Interval(None, None, None, 0)


def test_p_values_and_their_correction():
    # t = 2 / (1 / √3) with 2 degrees of freedom.
    assert statistics.p_value([1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)
    assert statistics.p_value([1.0, 2.0]) is None
    assert statistics.p_value([1.0, 1.0, 1.0]) is None
    # Worked example: .005 × 4, .01 × 3, .03 × 2, and .04 not below the one before it.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_the_two_way_bootstrap_counts_subsets_and_test_rows():
    draw = np.random.default_rng(0)
    subsets, rows = draw.normal(0, 1, (30, 1)), draw.normal(0, 1, (1, 200))
    noise = draw.normal(0, 1, (30, 200))
    for values, spread in (
        (2 + subsets + 0 * noise, subsets.std() / np.sqrt(30)),
        (2 + rows + 0 * noise, rows.std() / np.sqrt(200)),
        (2 + subsets + rows + noise, np.hypot(subsets.std() / np.sqrt(30), rows.std() / np.sqrt(200))),
    ):
        low, high = statistics.two_way_bootstrap(values)
        assert low < values.mean() < high
        assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.12)
    assert statistics.two_way_bootstrap(values) == (low, high)


def test_seeds_are_averaged_first_and_lift_is_paired_by_subset(make_row):
    rows = [make_row("lstm", "vae", 50, 0, 70, seed=0), make_row("lstm", "vae", 50, 0, 72, seed=1)]
    rows += [make_row("lstm", "duplicate", 50, 0, 68), make_row("lstm", "duplicate", 50, 1, 10)]
    rows += [make_row("lstm", "duplicate", 20, 0, 0), make_row("bert", "duplicate", 50, 0, 0)]
    assert statistics.lift_by_subset(rows, "lstm", "vae", 50) == {0: pytest.approx(3.0)}
    assert statistics.lift(rows, "lstm", "vae", 50).n == 1


def test_oracle_fraction_and_when_there_is_none(rows, make_row):
    assert statistics.oracle_fraction(rows, "lstm", "vae", 50) == pytest.approx(3.1 / 10)
    assert statistics.oracle_fraction(rows, "bert", "vae", 50) is None  # no oracle
    few = [row for row in rows if row["subset"] < 2]
    assert statistics.oracle_fraction(few, "lstm", "vae", 50) is None
    useless = [row for row in rows if row["arm"] != "oracle"]
    useless += [make_row("lstm", "oracle", 50, subset, points) for subset, points in enumerate((61, 70, 60))]
    assert statistics.oracle_fraction(useless, "lstm", "vae", 50) is None


def test_a_stage_that_was_gone_on_with_took_what_its_parts_did(rows, info):
    assert statistics.stage_seconds(rows, info) == {
        "setup": 90.0, "sources": 20.0, "vae": 100.5, "augment": 30.0, "classify": 60.0
    }  # fmt: skip
    info["recipe"]["study"]["workers"] = 2
    info["stages"]["classify"]["seconds"] = info["stages"]["vae"]["seconds"] = 1.0
    again = statistics.stage_seconds(rows, info)
    assert again["classify"] == sum(row["seconds"] for row in rows) / 2
    assert again["vae"] == 77.0


def test_summary_is_flat_and_null_where_nothing_can_be_said(rows, info):
    figures = summary(rows, info)
    assert figures["accuracy_lstm_real_10"] == 61.0
    assert figures["lift_lstm_vae_50"] == pytest.approx(3.1)
    assert figures["lift_lstm_vae_50_low"] < 3.1 < figures["lift_lstm_vae_50_high"]
    assert figures["oracle_fraction_lstm_50"] == pytest.approx(0.31)
    for name in ("bert", "gpt2_lora"):  # two subsets; no duplicate
        assert [figures[f"lift_{name}_vae_50{end}"] for end in ("", "_low", "_high")] == [None] * 3
    assert (figures["subsets_lstm"], figures["subsets_bert"], figures["subsets_gpt2_lora"]) == (3, 2, 1)
    assert figures["total_seconds"] == 300.5
    assert figures["peak_memory_gb"] == 4.25
    assert figures["stand_ins"] == ["org/bert: a smaller body"]
    assert all(not isinstance(value, dict) for value in figures.values())


def _sentences(rows: list[dict]) -> list[str]:
    return [one.sentence for one in (overall(rows, 50, 10), *verdicts(rows, 10))]


def test_the_sentences_follow_the_rows(rows):
    whole, lstm, bert, gpt2 = _sentences(rows)
    assert lstm.startswith("For lstm, generated rows helped: 40 of them beside 10 real ones gave +3.1 points")
    assert "n = 3 subsets" in lstm
    assert whole.startswith("Overall, generated rows helped")
    assert "lstm alone" in whole
    assert "cannot tell" in bert
    assert "n = 2 subsets, too few for an interval" in bert
    assert "not trained on the arm 'duplicate' at 50 rows" in gpt2
    # Each is told of its own largest size, and one without generated rows of nothing.
    small = [row | {"size": 30} if row["classifier"] == "bert" else row for row in rows]
    small.append(rows[0] | {"classifier": "setfit"})
    sentences = [one.sentence for one in verdicts(small, 10)]
    assert len(sentences) == 3
    assert "20 of them beside 10 real ones gave +2.0 points" in sentences[1]
    assert statistics.headline_size(small) == 50

    harmed = [row | {"accuracy": 0.5} if row["arm"] == "vae" else row for row in rows]
    assert all("did not help" in sentence and "\N{MINUS SIGN}" in sentence for sentence in _sentences(harmed)[:2])
    noisy = [row | {"accuracy": 0.5 if row["subset"] else 0.9} if row["arm"] == "vae" else row for row in rows]
    assert all("cannot tell" in sentence for sentence in _sentences(noisy))


def test_overall_averages_the_classifiers_within_a_subset(rows, make_row):
    probe = [make_row("probe", "duplicate", 50, k, 60) for k in range(3)]
    probe += [make_row("probe", "vae", 50, k, 61) for k in range(3)]
    gain, names = statistics.mean_lift(rows + probe, "vae", 50)
    assert names == ["lstm", "probe"]
    assert gain.mean == pytest.approx((3.1 + 1.0) / 2)
    assert gain.n == 3


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Interval(1.0, 0.1, 2.0, 3), "helped"),
        (Interval(1.0, 0.0, 2.0, 3), "cannot tell"),
        (Interval(-1.0, -2.0, -0.1, 3), "did not help"),
        (Interval(9.0, None, None, 2), "cannot tell"),
    ],
)
def test_outcomes(gain, said):
    assert outcome(gain) == said


def test_signed_points():
    assert [signed(value) for value in (1.25, -0.34, -0.04, 0)] == ["+1.2", "\N{MINUS SIGN}0.3", "0.0", "0.0"]


def test_a_thinned_curve_keeps_its_ends():
    curve = [{"step": step} for step in range(101)]
    thin = statistics.thinned(curve, 10)
    assert len(thin) == 10
    assert (thin[0], thin[-1]) == (curve[0], curve[-1])
    assert statistics.thinned(curve[:5], 10) == curve[:5]


def test_rank_correlation_needs_pairs_that_differ():
    assert statistics.rank_correlation([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert statistics.rank_correlation([1, 2, 3, 4], [1.0, 3.0, 2.0, 4.0]) == pytest.approx(0.8)
    assert statistics.rank_correlation([1, 2, 3], [1.0, 2.0, 3.0]) is None
    assert statistics.rank_correlation([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0]) is None
