"""The questions that people come with, each answered in one sentence that is computed from the rows.

Answers are about the classifier that was trained on most subsets, and most often, the study's own budget, and lifts
over `duplicate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from . import statistics, tables
from .statistics import Interval, Row

SIGNIFICANT = 0.05
MINUS = "\N{MINUS SIGN}"
RIVALS = ("self_training", "rules", "masked_lm", "language_model")


@dataclass(frozen=True)
class Answer:
    question: str
    sentence: str


def answers(rows: Sequence[Row], info: dict[str, Any]) -> list[Answer]:
    """Those that the study's arms can answer; `rows` are of one budget."""
    names = statistics.classifiers(rows)
    trained = [name for name in names if any(statistics.is_generated(arm) for arm, _ in statistics.arms(rows, name))]
    if not trained:
        return []
    cells = {name: [row["subset"] for row in rows if row["classifier"] == name] for name in trained}
    judge = max(trained, key=lambda name: (len(set(cells[name])), len(cells[name])))
    found = [
        _which_kind(rows, judge),
        _how_many(rows, judge),
        _against_rivals(rows, judge),
        _filters(rows, info, judge),
        _without_any(rows, info),
        _noise(info, judge),
        _imbalance(rows, info, judge),
    ]
    return [answer for answer in found if answer]


def _which_kind(rows: Sequence[Row], judge: str) -> Answer | None:
    """The size that most arms share; arms whose interval is above 0, and p below .05 when corrected, help."""
    lifts = _lifts(rows, judge)
    sizes = [size for _, size in lifts]
    if not sizes:
        return None
    size = max(sorted(set(sizes), reverse=True), key=sizes.count)
    own = sorted(((arm, gain) for (arm, at), gain in lifts.items() if at == size), key=lambda one: -_mean(one[1]))
    p_values = statistics.corrected_p_values(rows)

    def helps(arm: str, gain: Interval) -> bool:
        return gain.low is not None and gain.low > 0 and p_values.get((judge, arm, size), 1.0) < SIGNIFICANT

    helping = [f"{arm} {tables.lift_text(gain)}" for arm, gain in own if helps(arm, gain)]
    others = [f"{arm} {tables.lift_text(gain)}" for arm, gain in own if not helps(arm, gain)]
    said = f"At {size} rows {judge} gains by {', '.join(helping)}" if helping else f"At {size} rows none helps {judge}"
    rest = f"; not shown to help: {', '.join(others)}" if others else ""
    return Answer("Which kind of generated text helps?", f"{said}{rest}.")


def _how_many(rows: Sequence[Row], judge: str) -> Answer | None:
    """Lifts of `vae` by size, and the accuracy that the largest step of size added."""
    sizes = sorted(size for arm, size in _lifts(rows, judge) if arm == "vae")
    if len(sizes) < 2:
        return None
    told = ", ".join(f"{tables.lift_text(_lifts(rows, judge)['vae', size])} at {size}" for size in sizes)
    accuracies = {size: statistics.by_subset(rows, judge, "vae", size) for size in sizes}
    best = max(sizes, key=lambda size: fmean(accuracies[size].values()))
    more = []
    for small, large in pairwise(sizes):
        step = _paired(accuracies[large], accuracies[small])
        if step.high is not None and step.low is not None and step.low <= 0:
            chance = ", which may be chance" if step.high >= 0 else ""
            more.append(f"from {small} to {large} rows accuracy changes by {tables.lift_text(step)}{chance}")
    pays = f"; {more[0]}" if more else ""
    return Answer("How many rows?", f"vae lifts {judge} by {told}; its accuracy is highest with {best} rows{pays}.")


def _against_rivals(rows: Sequence[Row], judge: str) -> Answer | None:
    """`vae` minus each rival at the largest size that both have."""
    arms = statistics.arms(rows, judge)
    told = []
    for rival in RIVALS:
        sizes = [size for arm, size in arms if arm == rival and ("vae", size) in arms]
        if sizes:
            ours, theirs = (statistics.by_subset(rows, judge, arm, max(sizes)) for arm in ("vae", rival))
            told.append(f"{rival} {tables.lift_text(_paired(ours, theirs))} at {max(sizes)} rows")
    if not told:
        return None
    return Answer("Is it the VAE?", f"vae, in points above its rivals for {judge}: {'; '.join(told)}.")


def _filters(rows: Sequence[Row], info: dict[str, Any], judge: str) -> Answer | None:
    """Variants of one generator that differ in their filters alone, against the one without any."""
    variants = info["recipe"].get("variants", {})
    plain = next((arm for arm, one in variants.items() if one["filters"] == [] and arm not in one["generators"]), None)
    if plain is None:
        return None
    size = statistics.largest_size([row for row in rows if row["classifier"] == judge], plain)
    if size is None:
        return None
    theirs = statistics.by_subset(rows, judge, plain, size)
    generators = variants[plain]["generators"]
    same = [name for name, one in variants.items() if one["generators"] == generators and name != plain]
    told = []
    for name in [*(generators if len(generators) == 1 else []), *same]:
        ours = statistics.by_subset(rows, judge, name, size)
        if ours:
            told.append(f"{name} {tables.lift_text(_paired(ours, theirs))}")
    if not told:
        return None
    return Answer("Do filters matter?", f"At {size} rows, {judge}, in points above no filters: {'; '.join(told)}.")


def _without_any(rows: Sequence[Row], info: dict[str, Any]) -> Answer | None:
    """The best classifier that needs no generated rows, the teacher among them, against the best that has them."""
    budget = info["study"]["budget"]
    teachers = tables.teachers(info)
    plain: dict[tuple[str, str, int], dict[int, float]] = {}
    grown: dict[tuple[str, str, int], dict[int, float]] = {}
    if len(teachers) >= statistics.FEWEST_SUBSETS:
        plain["the teacher", "real", budget] = teachers
    for name in statistics.classifiers(rows):
        for arm, size in statistics.arms(rows, name):
            values = statistics.by_subset(rows, name, arm, size)
            if arm != "oracle" and len(values) >= statistics.FEWEST_SUBSETS:
                (grown if statistics.is_generated(arm) else plain)[name, arm, size] = values
    if not plain or not grown:
        return None
    (name, arm, size), ours = max(grown.items(), key=lambda one: fmean(one[1].values()))
    (other, kind, count), theirs = max(plain.items(), key=lambda one: fmean(one[1].values()))
    alone = f"the {budget} real rows alone" if kind == "real" else f"{kind} at {count}"
    ahead = _paired(ours, theirs)
    told = f"{name} with {arm} at {size} is right on {fmean(ours.values()):.1f} %, {other} on {alone} on "
    told += f"{fmean(theirs.values()):.1f} %: {tables.lift_text(ahead)} on the {ahead.n} subsets of both"
    question = "Should one augment at all?"
    if ahead.low is None or ahead.high is None or ahead.low <= 0 <= ahead.high:
        return Answer(question, f"The best with generated rows is not shown to beat the best without: {told}.")
    return Answer(question, f"{'Yes' if ahead.low > 0 else 'No'}: {told}.")


def _noise(info: dict[str, Any], judge: str) -> Answer | None:
    """Wrong labels of each generator beside its lift."""
    quality = info.get("analysis", {}).get("quality", [])
    told = [
        f"{one['generator']} {one['label_error']:.1f} %"
        + (f" (lift {tables.signed(one['lifts'][judge])})" if judge in one["lifts"] else "")
        for one in quality
    ]
    if not told:
        return None
    pairs = [(one["label_error"], one["lifts"][judge]) for one in quality if judge in one["lifts"]]
    rank = statistics.rank_correlation(*zip(*pairs, strict=True)) if pairs else None
    shown = ""
    if rank is not None:
        shown = f"; rank correlation of wrong labels and lift over {len(pairs)} generators: {rank:.2f}"
    return Answer("How many labels are wrong?", f"By the auditor: {'; '.join(told)}{shown.replace('-', MINUS)}.")


def _imbalance(rows: Sequence[Row], info: dict[str, Any], judge: str) -> Answer | None:
    """Generated rows of the rare class against class weights and repeated rows."""
    told = [
        f"{line['arm']} {line['texts']['weighted']} above class weights, {line['texts']['duplicate']} above repeating"
        for line in tables.imbalance(rows, info)
        if line["classifier"] == judge and line["weighted"].n and line["duplicate"].n
    ]
    question = "Do generated rows make up for a rare class?"
    return Answer(question, f"In points of macro-F1 of {judge}: {'; '.join(told)}.") if told else None


def _lifts(rows: Sequence[Row], judge: str) -> dict[tuple[str, int], Interval]:
    return {
        (arm, size): gain
        for arm, size in statistics.arms(rows, judge)
        if statistics.is_generated(arm) and (gain := statistics.lift(rows, judge, arm, size)).n
    }


def _paired(ours: dict[int, float], theirs: dict[int, float]) -> Interval:
    return statistics.paired_interval([ours[subset] - theirs[subset] for subset in ours if subset in theirs])


def _mean(gain: Interval) -> float:
    return gain.mean or 0.0
