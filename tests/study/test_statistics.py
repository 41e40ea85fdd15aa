"""Intervals, lifts and verdicts against figures worked out by hand."""

from __future__ import annotations

import pytest

from textvae.training.common.intervals import Interval
from textvae.training.study import statistics
from textvae.training.study.summary import summary
from textvae.training.study.verdict import outcome, overall, signed, verdicts


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


def test_summary_is_flat_and_null_where_nothing_can_be_said(rows, info, make_row):
    info["analysis"] = {"teachers": [{"budget": 10, "subset": subset, "accuracy": 80.0} for subset in range(2)]}
    figures = summary([*rows, *(make_row("setfit", "real", 10, subset, 70) for subset in range(2))], info)
    assert figures["accuracy_lstm_real_10"] == 61.0
    assert figures["lift_lstm_vae_50"] == pytest.approx(3.1)
    assert figures["lift_lstm_vae_50_low"] < 3.1 < figures["lift_lstm_vae_50_high"]
    assert figures["oracle_fraction_lstm_50"] == pytest.approx(0.31)
    for name in ("bert", "gpt2_lora"):  # two subsets; no duplicate
        assert [figures[f"lift_{name}_vae_50{end}"] for end in ("", "_low", "_high")] == [None] * 3
    assert (figures["subsets_lstm"], figures["subsets_bert"], figures["subsets_gpt2_lora"]) == (3, 2, 1)
    assert (figures["accuracy_setfit_real_10"], figures["setfit_accuracy"]) == (None, None)  # two subsets
    assert (figures["probe_accuracy"], figures["teacher_accuracy"]) == (None, None)
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
