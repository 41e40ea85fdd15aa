"""The flat figures of a run, as `summary.json` holds them: points (0 to 100), null where nothing can be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ..common.intervals import FEWEST_SUBSETS, Interval
from . import arm_settings, statistics, tables
from .statistics import Row


def summary(rows: Sequence[Row], info: dict[str, Any]) -> dict[str, Any]:
    """Figures of the study's own budget; those of other budgets have `_of{budget}` at the end of their names."""
    main = info["study"]["budget"]
    figures: dict[str, Any] = {}
    total = sum(statistics.stage_seconds(rows, info).values())
    for budget in sorted({row["budget"] for row in rows}, key=lambda budget: (budget != main, budget)):
        figures |= _of_budget(statistics.of_budget(rows, budget), "" if budget == main else f"_of{budget}")
    rows = statistics.of_budget(rows, main)
    for name in statistics.classifiers(rows):
        figures[f"subsets_{name}"] = len({row["subset"] for row in rows if row["classifier"] == name})
        figures |= _interval(f"filters_lift_{name}", _filters_lift(rows, info, name))
    for name in ("probe", "setfit"):
        figures[f"{name}_accuracy"] = _mean(statistics.by_subset(rows, name, "real", main))
    for line in tables.imbalance(rows, info):
        arm = line["classifier"], line["arm"], line["size"]
        place = "{}_{}_{}".format(*arm)
        figures[f"macro_f1_{place}"] = _mean(statistics.by_subset(rows, *arm, "macro_f1"))
        for rival in ("weighted", "duplicate"):
            if line[rival].n:
                figures |= _interval(f"macro_f1_over_{rival}_{place}", line[rival])
    figures["teacher_accuracy"] = _mean(tables.teachers(info))
    words, a_word = tables.words_a_candidate(info), tables.seconds_a_word(info)
    for name in dict.fromkeys(row["generator"] for row in info.get("augmentation", [])):
        seconds = None if words is None or name not in a_word else round(a_word[name] * words, 5)
        figures[f"cpu_seconds_per_candidate_{name}"] = seconds
    figures["total_seconds"] = round(total, 1)
    figures["hours_total"] = round(total / 3600, 2)
    figures["peak_memory_gb"] = info.get("peak_memory_gb")
    figures["stand_ins"] = [f"{source['id']}: {source['stand_in']}" for source in info["sources"] if source["stand_in"]]
    return figures


def _of_budget(rows: Sequence[Row], end: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in statistics.classifiers(rows):
        for arm, size in statistics.arms(rows, name):
            figures[f"accuracy_{name}_{arm}_{size}{end}"] = _mean(statistics.by_subset(rows, name, arm, size))
    for name in statistics.classifiers(rows):
        for arm, size in statistics.arms(rows, name):
            if not statistics.is_generated(arm):
                continue
            figures |= _interval(f"lift_{name}_{arm}_{size}{end}", statistics.lift(rows, name, arm, size))
            if arm == "vae":
                fraction = statistics.oracle_fraction(rows, name, arm, size)
                figures[f"oracle_fraction_{name}_{size}{end}"] = _rounded(fraction)
    return figures


def _filters_lift(rows: Sequence[Row], info: dict[str, Any], classifier: str) -> Interval:
    """Of the recipe's own filters, which were chosen before the test; where it has none, of the first variant's."""
    variants = info["recipe"]["variants"]
    found = [one for one in tables.filter_ablation(rows, info) if one.classifier == classifier]
    gains = {one.arm: one.gain for one in found if arm_settings.filters(info, one.arm)}
    first = min(gains, key=lambda arm: arm in variants, default=None)
    return Interval(None, None, None, 0) if first is None else gains[first]


def _interval(name: str, gain: Interval) -> dict[str, Any]:
    known = gain.low is not None
    return {
        name: _rounded(gain.mean) if known else None,
        f"{name}_low": _rounded(gain.low),
        f"{name}_high": _rounded(gain.high),
    }


def _mean(by_subset: Mapping[int, float]) -> float | None:
    return _rounded(fmean(by_subset.values())) if len(by_subset) >= FEWEST_SUBSETS else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
