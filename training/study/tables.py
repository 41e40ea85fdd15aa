"""Tables that a report prints beside the main one: by budget and ratio, by kinds of test rows, by generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from ..common import intervals
from ..common.intervals import Interval
from . import arm_settings, statistics
from .statistics import Row
from .verdict import signed

PLAIN_VARIANT = {"soft_labels": False, "synthetic_weight": 1.0}  # generated rows count as real ones do


@dataclass(frozen=True)
class Grid:
    """Lifts of one classifier by one arm: a line a budget, a column a ratio of generated to real rows."""

    classifier: str
    arm: str
    ratios: list[int]
    budgets: list[int]
    lifts: list[list[Interval | None]]
    p_values: dict[tuple[int, int], float]  # budget, ratio → corrected for all cells of all grids

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [
            {"budget": budget, "cells": [{"text": lift_text(gain)} for gain in line]}
            for budget, line in zip(self.budgets, self.lifts, strict=True)
        ]


def grids(rows: Sequence[Row]) -> list[Grid]:
    """Of every classifier and generated arm that was run on more than one budget."""
    found: list[Grid] = []
    places: list[tuple[Grid, int, int]] = []
    p_values: list[float] = []
    for name in statistics.classifiers(rows):
        own = [row for row in rows if row["classifier"] == name]
        for arm in dict.fromkeys(row["arm"] for row in own if statistics.is_generated(row["arm"])):
            sizes = sorted({(row["budget"], row["size"]) for row in own if row["arm"] == arm})
            budgets = sorted({budget for budget, _ in sizes})
            if len(budgets) < 2:
                continue
            ratios = sorted({size // budget - 1 for budget, size in sizes if size % budget == 0})
            grid = Grid(name, arm, ratios, budgets, [], {})
            for budget in budgets:
                of_budget = statistics.of_budget(own, budget)
                line: list[Interval | None] = []
                for ratio in ratios:
                    values = list(statistics.lift_by_subset(of_budget, name, arm, budget * (ratio + 1)).values())
                    line.append(intervals.paired_interval(values) if values else None)
                    if (p := intervals.p_value(values)) is not None:
                        places.append((grid, budget, ratio))
                        p_values.append(p)
                grid.lifts.append(line)
            found.append(grid)
    for (grid, budget, ratio), p in zip(places, intervals.holm(p_values), strict=True):
        grid.p_values[budget, ratio] = p
    return found


@dataclass(frozen=True)
class Accuracies:
    """Of one classifier on the real rows alone (ratio 0), or with rows of one arm, at each budget."""

    classifier: str
    arm: str
    ratio: int
    by_budget: dict[int, Interval]


def by_budget(rows: Sequence[Row]) -> list[Accuracies]:
    """Of every classifier that was run on more than one budget: on real rows alone, and with the most generated rows a
    real one that all budgets of an arm have."""
    found = []
    for name in statistics.classifiers(rows):
        own = [row for row in rows if row["classifier"] == name]
        for arm in dict.fromkeys(
            row["arm"] for row in own if row["arm"] == "real" or statistics.is_generated(row["arm"])
        ):
            sizes = {(row["budget"], row["size"]) for row in own if row["arm"] == arm}
            places = {(budget, size // budget - 1) for budget, size in sizes if size % budget == 0}
            budgets = sorted({budget for budget, _ in places})
            shared = [ratio for _, ratio in places if all((budget, ratio) in places for budget in budgets)]
            if len(budgets) < 2 or not shared:
                continue
            ratio = max(shared)
            accuracies = {
                budget: statistics.by_subset(statistics.of_budget(own, budget), name, arm, budget * (ratio + 1))
                for budget in budgets
            }
            found.append(
                Accuracies(
                    name,
                    arm,
                    ratio,
                    {k: intervals.paired_interval(list(one.values())) for k, one in accuracies.items()},
                )
            )
    return found


@dataclass(frozen=True)
class Filtered:
    """Rows of one generator by other filters, against as many of its rows without any."""

    classifier: str
    arm: str
    size: int
    rows: float  # that there were, a mean: fewer than the size where candidates ran out
    accuracy: float
    gain: Interval  # points above no filters, paired by subset


def filter_ablation(rows: Sequence[Row], info: dict[str, Any]) -> list[Filtered]:
    """Of every classifier and generator, each arm that differs from one without filters in its filters alone."""
    found = []
    for name in statistics.classifiers(rows):
        own = [row for row in rows if row["classifier"] == name]
        of_generator: dict[str, list[str]] = {}
        for arm in dict.fromkeys(row["arm"] for row in own if statistics.is_generated(row["arm"])):
            variant = info["recipe"]["variants"].get(arm, PLAIN_VARIANT | {"generators": [arm]})
            if PLAIN_VARIANT.items() <= variant.items() and len(variant["generators"]) == 1:
                of_generator.setdefault(variant["generators"][0], []).append(arm)
        for arms in of_generator.values():
            plain = next((arm for arm in arms if not arm_settings.filters(info, arm)), None)
            if plain is None or len(arms) == 1:
                continue
            size = max(row["size"] for row in own if row["arm"] == plain)
            theirs = statistics.by_subset(own, name, plain, size)
            for arm in arms:
                if ours := statistics.by_subset(own, name, arm, size):
                    had = [row["rows"] for row in own if (row["arm"], row["size"]) == (arm, size)]
                    found.append(
                        Filtered(name, arm, size, fmean(had), fmean(ours.values()), intervals.paired(ours, theirs))
                    )
    return found


def imbalance(rows: Sequence[Row], info: dict[str, Any]) -> list[dict[str, Any]]:
    """Macro-F1 of every arm of a study of unequal classes, beside class weights and beside repeated rows."""
    if not info["recipe"]["study"].get("class_shares"):
        return []
    lines = []
    for name in statistics.classifiers(rows):
        for arm, size in statistics.arms(rows, name):
            score = fmean(statistics.by_subset(rows, name, arm, size, "macro_f1").values())
            line: dict[str, Any] = {"classifier": name, "arm": arm, "size": size, "macro_f1": score}
            for rival in ("weighted", "duplicate"):
                line[rival] = _macro_f1_above(rows, name, (arm, size), rival)
            lines.append(line | {"texts": {rival: lift_text(line[rival]) for rival in ("weighted", "duplicate")}})
    return lines


def _macro_f1_above(rows: Sequence[Row], name: str, ours: tuple[str, int], rival: str) -> Interval:
    """Points of macro-F1 above the rival `weighted` or `duplicate`; of nothing where no rows were generated."""
    sizes = [size for arm, size in statistics.arms(rows, name) if arm == rival and size in (ours[1], rows[0]["budget"])]
    if not sizes or not statistics.is_generated(ours[0]):
        return intervals.paired({}, {})
    mine = statistics.by_subset(rows, name, *ours, "macro_f1")
    return intervals.paired(mine, statistics.by_subset(rows, name, rival, sizes[0], "macro_f1"))


def teachers(info: dict[str, Any], budget: int | None = None) -> dict[int, float]:
    """Subset → accuracy, in points, of the teacher that chose generated rows (default: at the study's own budget)."""
    found = info.get("analysis", {}).get("teachers", [])
    return {one["subset"]: one["accuracy"] for one in found if one["budget"] == (budget or info["study"]["budget"])}


def on_shared_rows(info: dict[str, Any]) -> dict[tuple[str, str, int], dict[int, float]]:
    """(classifier, arm, size) → subset → points of accuracy on the test rows that all were scored on."""
    return {
        (one["classifier"], one["arm"], one["size"]): {int(k): value for k, value in one["accuracies"].items()}
        for one in info.get("analysis", {}).get("shared", [])
    }


def slices(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Lifts by kinds of test rows, ready to be printed."""
    return [
        one
        | {
            "lift_text": "" if one["lift"] is None else signed(one["lift"]),
            "interval": f"{signed(one['low'])} to {signed(one['high'])}" if one["low"] is not None else "",
        }
        for one in info.get("analysis", {}).get("slices", [])
    ]


def quality(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures of each generator's rows in themselves, with the lifts that they gave."""
    return [
        one | {"lift_text": ", ".join(f"{name} {signed(gain)}" for name, gain in one["lifts"].items())}
        for one in info.get("analysis", {}).get("quality", [])
    ]


def generators(info: dict[str, Any]) -> list[dict[str, Any]]:
    """A line for every generator and budget: what it proposed and what became of that, and what writing it took."""
    lines: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in info.get("augmentation", []):
        lines.setdefault((row["generator"], row["budget"]), []).append(row)
    return [_generator(name, budget, own, arm_settings.filters(info, name)) for (name, budget), own in lines.items()]


def seconds_a_word(info: dict[str, Any]) -> dict[str, float]:
    """Generator → CPU seconds that a word of new text takes, of those that write any."""
    found = {}
    for name in dict.fromkeys(row["generator"] for row in info.get("augmentation", [])):
        costs = [row["writing"] for row in info["augmentation"] if row["generator"] == name]
        words = sum(cost["words"] for cost in costs)
        if words:
            found[name] = sum(cost["cpu_seconds"] for cost in costs) / words
    return found


def words_a_candidate(info: dict[str, Any]) -> float | None:
    """Mean words of a candidate of the study's own budget, over all generators: the length that costs are told at."""
    own = [row for row in info.get("augmentation", []) if row["budget"] == info["study"]["budget"]]
    candidates = sum(row["candidates"] for row in own)
    return sum(row["words"] for row in own) / candidates if candidates else None


def _generator(name: str, budget: int, own: list[dict[str, Any]], filters: list[str]) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    for row in own:
        rejected.update(row["rejected"])
    scored = [row["perplexity"] for row in own if row["perplexity"] is not None]
    words = sum(row["writing"]["words"] for row in own)
    seconds = sum(row["writing"]["cpu_seconds"] for row in own)
    training = fmean(row["writing"]["training_cpu_seconds"] for row in own)
    kept = sum(row["kept"] for row in own)
    choosing = sum(row["choosing_cpu_seconds"] for row in own)
    made = seconds + training * len(own) + choosing
    return {
        "generator": name,
        "budget": budget,
        "subsets": len(own),
        "candidates": sum(row["candidates"] for row in own),
        "kept": kept,
        "rejected": dict(sorted(rejected.items())),
        "perplexity": f"{median(scored):.1f}" if scored else "not scored",
        "seconds_to_write": f"{1000 * seconds / words:.2f}" if words else "none written",
        "seconds_to_train": f"{training:.0f}" if training else "",
        "cpu_seconds_a_kept_row": made / kept if kept else None,
        "confident_share": _confident_share(own) if "confidence" in filters else "",
        "seconds_a_kept_row": f"{(seconds + training * len(own)) / kept:.3f}" if words and kept else "",
        "choosing_a_kept_row": f"{choosing / kept:.3f}" if kept else "",
    }


def _confident_share(own: list[dict[str, Any]]) -> str:
    """Of the candidates that other filters left, those that this one did: more where more were needed."""
    dropped = sum(row["rejected"].get("confidence", 0) for row in own)
    left = sum(row["kept"] + row["rejected"].get("over quota", 0) for row in own)
    return f"{100 * left / (left + dropped):.0f} %"


def lift_text(gain: Interval | None) -> str:
    """+1.2 (+0.3 to +2.1)."""
    if gain is None or gain.mean is None:
        return ""
    if gain.low is None or gain.high is None:
        return signed(gain.mean)
    return f"{signed(gain.mean)} ({signed(gain.low)} to {signed(gain.high)})"
