"""Tables that a report prints beside the main one: by budget and ratio, by kinds of test rows, by generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from . import statistics
from .statistics import Interval, Row
from .verdict import signed


@dataclass(frozen=True)
class Grid:
    """Lifts of one classifier by one arm: a line a budget, a column a ratio of generated to real rows."""

    classifier: str
    arm: str
    ratios: list[int]
    budgets: list[int]
    lifts: list[list[Interval | None]]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [
            {"budget": budget, "cells": [{"text": lift_text(gain)} for gain in line]}
            for budget, line in zip(self.budgets, self.lifts, strict=True)
        ]


def grids(rows: Sequence[Row]) -> list[Grid]:
    """Of every classifier and generated arm that was run on more than one budget."""
    found = []
    for name in statistics.classifiers(rows):
        own = [row for row in rows if row["classifier"] == name]
        for arm in dict.fromkeys(row["arm"] for row in own if statistics.is_generated(row["arm"])):
            places = sorted({(row["budget"], row["size"]) for row in own if row["arm"] == arm})
            budgets = sorted({budget for budget, _ in places})
            if len(budgets) < 2:
                continue
            ratios = sorted({size // budget - 1 for budget, size in places if size % budget == 0})
            lifts = []
            for budget in budgets:
                of_budget = statistics.of_budget(own, budget)
                line: list[Interval | None] = []
                for ratio in ratios:
                    gain = statistics.lift(of_budget, name, arm, budget * (ratio + 1))
                    line.append(gain if gain.n else None)
                lifts.append(line)
            found.append(Grid(name, arm, ratios, budgets, lifts))
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
                line[rival] = statistics.paired_interval(_macro_f1_above(rows, name, (arm, size), rival))
            lines.append(line | {"texts": {rival: lift_text(line[rival]) for rival in ("weighted", "duplicate")}})
    return lines


def _macro_f1_above(rows: Sequence[Row], name: str, ours: tuple[str, int], rival: str) -> list[float]:
    """By subset, points of macro-F1 above the rival `weighted` or `duplicate`; none where nothing was generated."""
    sizes = [size for arm, size in statistics.arms(rows, name) if arm == rival and size in (ours[1], rows[0]["budget"])]
    if not sizes or not statistics.is_generated(ours[0]):
        return []
    size = sizes[0]
    mine = statistics.by_subset(rows, name, *ours, "macro_f1")
    theirs = statistics.by_subset(rows, name, rival, size, "macro_f1")
    return [mine[subset] - theirs[subset] for subset in mine if subset in theirs]


def teachers(info: dict[str, Any]) -> dict[int, float]:
    """Subset → accuracy, in points, of the teacher that chose generated rows, at the study's own budget."""
    found = info.get("analysis", {}).get("teachers", [])
    return {one["subset"]: one["accuracy"] for one in found if one["budget"] == info["study"]["budget"]}


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
    return [_generator(name, budget, own) for (name, budget), own in lines.items()]


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


def _generator(name: str, budget: int, own: list[dict[str, Any]]) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    for row in own:
        rejected.update(row["rejected"])
    scored = [row["perplexity"] for row in own if row["perplexity"] is not None]
    words = sum(row["writing"]["words"] for row in own)
    seconds = sum(row["writing"]["cpu_seconds"] for row in own)
    training = fmean(row["writing"]["training_cpu_seconds"] for row in own)
    kept = sum(row["kept"] for row in own)
    choosing = [row["choosing_cpu_seconds"] for row in own if "choosing_cpu_seconds" in row]  # not in older runs
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
        "seconds_a_kept_row": f"{(seconds + training * len(own)) / kept:.3f}" if words and kept else "",
        "choosing_a_kept_row": f"{sum(choosing) / kept:.3f}" if kept and len(choosing) == len(own) else "",
    }


def lift_text(gain: Interval | None) -> str:
    """+1.2 (+0.3 to +2.1)."""
    if gain is None or gain.mean is None:
        return ""
    if gain.low is None or gain.high is None:
        return signed(gain.mean)
    return f"{signed(gain.mean)} ({signed(gain.low)} to {signed(gain.high)})"
