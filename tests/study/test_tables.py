"""Tables and plots of larger studies: by budget and ratio, by generator, by kinds of test rows."""

from __future__ import annotations

import pytest

from textvae.training.common import intervals
from textvae.training.common.recipe import VariantRecipe
from textvae.training.study import statistics, tables
from textvae.training.study.report import write_report


@pytest.fixture
def grid_rows(rows, make_row):
    """Two more budgets of `lstm`: of 4 the lift is 10 at ×1 and 20 at ×4, of 20 it is −5 at ×4."""
    more = []
    for budget, ratio, gain in ((4, 1, 10), (4, 4, 20), (20, 4, -5)):
        size = budget * (1 + ratio)
        for subset in range(3):
            for arm, points in (("duplicate", 50 + subset), ("vae", 50 + subset + gain + 0.1 * subset)):
                more.append(make_row("lstm", arm, size, subset, points) | {"budget": budget})
    return [*rows, *more]


def test_a_grid_has_a_line_a_budget_and_a_column_a_ratio(grid_rows):
    (grid,) = tables.grids(grid_rows)
    assert (grid.classifier, grid.arm) == ("lstm", "vae")
    assert grid.budgets == [4, 10, 20]
    assert grid.ratios == [1, 4]
    texts = [[cell["text"] for cell in line["cells"]] for line in grid.lines]
    assert texts[0][0].startswith("+10.1 (")
    assert texts[1][1].startswith("+3.1 (")
    assert texts[2][0] == ""
    assert texts[2][1].startswith("−4.9 (")


def test_a_grid_is_corrected_for_all_its_cells(grid_rows):
    (grid,) = tables.grids(grid_rows)
    alone = [
        intervals.p_value(
            list(statistics.lift_by_subset(statistics.of_budget(grid_rows, b), "lstm", "vae", n).values())
        )
        for b, n in ((4, 8), (4, 20), (10, 50), (20, 100))
    ]
    # Smallest first: times four, three, …
    assert [grid.p_values[place] for place in ((4, 1), (4, 4), (10, 4), (20, 4))] == intervals.holm(alone)
    assert max(grid.p_values.values()) > max(alone) * 0.99
    assert min(grid.p_values.values()) == pytest.approx(4 * min(alone))


def test_accuracies_by_budget_are_at_the_most_rows_that_all_budgets_have(grid_rows, make_row):
    more = [make_row("setfit", "real", n, k, 60.0 + n + k) | {"budget": n} for n in (4, 20) for k in range(3)]
    more += [make_row("probe", "real", 20, k, 50.0) | {"budget": 20} for k in range(3)]  # of one budget
    odd = [make_row("lstm", "vae", size, 0, 50.0) | {"budget": n} for n, size in ((10, 15), (20, 30))]  # no whole ratio
    found = {one.classifier: one for one in tables.by_budget([*grid_rows, *more, *odd])}
    assert {name: (one.arm, one.ratio) for name, one in found.items()} == {"lstm": ("vae", 4), "setfit": ("real", 0)}
    assert {n: one.mean for n, one in found["setfit"].by_budget.items()} == {4: 65.0, 20: 81.0}
    assert found["lstm"].by_budget[4].mean == pytest.approx(71.1)
    assert list(found["lstm"].by_budget) == [4, 10, 20]


def test_filters_are_held_against_as_many_rows_without(make_row, info):
    def variant(generator, filters, **other):
        return vars(VariantRecipe()) | {"generators": [generator], "filters": filters} | other

    info["recipe"]["variants"] = {
        "bare": variant("vae", []),
        "varied": variant("vae", ["diversity"]),
        "soft": variant("vae", ["diversity"], soft_labels=True),
        "rules": variant("rules", []),
    }
    info["recipe"]["augment"]["filters"] = ["confidence"]
    points = {("vae", 50): 66.0, ("vae", 90): 70.0, ("bare", 50): 64.0, ("varied", 50): 63.0, ("rules", 50): 60.0}
    points[("soft", 50)] = 69.0
    rows = [make_row("lstm", *place, k, value + k) for place, value in points.items() for k in range(3)]
    found = {one.arm: one for one in tables.filter_ablation(rows, info)}
    assert {arm: (one.size, one.gain.mean) for arm, one in found.items()} == {
        "vae": (50, pytest.approx(2.0)), "bare": (50, 0.0), "varied": (50, pytest.approx(-1.0))
    }  # fmt: skip
    # A generator that has none of its own is what its filtered variant is held against.
    info["recipe"]["augment"]["filters"] = []
    info["recipe"]["variants"] = {"rules_sure": variant("rules", ["confidence"])}
    rows += [make_row("lstm", "rules_sure", 50, k, 61.5 + k) for k in range(3)]
    found = {one.arm: one.gain.mean for one in tables.filter_ablation(rows, info)}
    assert found == {"rules": 0.0, "rules_sure": pytest.approx(1.5)}


def test_of_one_budget_there_is_no_grid(rows):
    assert tables.grids(rows) == []


def test_writing_is_told_by_generator_at_one_length(info):
    assert tables.seconds_a_word(info) == {"vae": 8.0 / 1600}
    assert tables.words_a_candidate(info) == 10.0
    (line,) = tables.generators(info)
    assert (line["candidates"], line["kept"], line["subsets"]) == (160, 40, 1)
    assert line["seconds_to_write"] == "5.00"
    assert line["seconds_to_train"] == ""
    assert line["seconds_a_kept_row"] == "0.200"
    assert line["choosing_a_kept_row"] == "0.050"


def test_a_report_of_a_larger_study(write_run, grid_rows, info, on_shared, monkeypatch):
    place = {"classifier": "lstm", "arm": "vae", "size": 50, "budget": 10}
    info["analysis"] = {
        "bootstrap": [{**place, "low": 1.234, "high": 5.678}],
        "slices": [{**place, "slice": "with a negation", "rows": 40.0, "lift": 4.2, "low": 1.0, "high": 7.4, "n": 3}],
        "teachers": [{"budget": 10, "subset": subset, "accuracy": 62.0} for subset in range(3)],
        "quality": [
            {"generator": name, "rows": 40, "lifts": {"lstm": 3.1}, "label_error": 8.5, "distinct_2": 0.5,
             "self_bleu": 23.0, "mauve": 0.9} for name in ("real rows", "vae")
        ],
    } | on_shared([row for row in grid_rows if row["budget"] == 10])  # fmt: skip
    info["absent"] = ["masked_lm: no <model>"]
    next(row for row in grid_rows if (row["arm"], row["size"]) == ("vae", 20))["rows"] = 17
    run_folder = write_run(grid_rows, info)
    write_report(run_folder)
    assert "+1.2 to +5.7" not in (run_folder / "report.md").read_text(encoding="utf-8")  # of three subsets alone
    monkeypatch.setattr(intervals, "FEWEST_DRAWN", 3)
    figures = write_report(run_folder)
    for kind in ("md", "html"):
        report = (run_folder / f"report.{kind}").read_text(encoding="utf-8")
        for fact in (
            "+1.2 to +5.7",
            "with a negation",
            "−4.9 (",
            "71.1 (68.4 to 73.8)",
            "62.0",
            "these beat it there: vae at 50 (+3.1",
            "With generated rows, and without",
            "8.5",
            "5.00",
            "20 (17)",
            "the first 50 test rows",
            "vae: all candidates",
        ):
            assert fact in report, (kind, fact)
    assert "no &lt;model&gt;" in report
    assert {"heat-lstm-vae", "slices-lstm"} <= {path.stem for path in (run_folder / "plots").iterdir()}
    assert figures["teacher_accuracy"] == 62.0
    assert figures["lift_lstm_vae_20_of4"] == pytest.approx(20.1)
    assert figures["lift_lstm_vae_50"] == pytest.approx(3.1)
    assert figures["cpu_seconds_per_candidate_vae"] == 0.05
    assert figures["hours_total"] == round(300.5 / 3600, 2)
