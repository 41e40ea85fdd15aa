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

from ..common import intervals
from ..common.intervals import SIGNIFICANT, Interval
from . import arm_settings, rivals, statistics, tables
from .statistics import Row

MINUS = "\N{MINUS SIGN}"
QUALITIES = {
    "label_error": "wrong labels", "distinct_2": "distinct-2", "self_bleu": "self-BLEU", "mauve": "MAUVE"
}  # fmt: skip
RIVALS = ("self_training", "rules", "masked_lm", "language_model")


@dataclass(frozen=True)
class Answer:
    question: str
    sentence: str


def answers(of_all_budgets: Sequence[Row], info: dict[str, Any]) -> list[Answer]:
    """Those that the study's arms can answer."""
    rows = statistics.of_budget(of_all_budgets, info["study"]["budget"])
    names = statistics.classifiers(rows)
    trained = [name for name in names if any(statistics.is_generated(arm) for arm, _ in statistics.arms(rows, name))]
    if not trained:
        return []
    cells = {name: [row["subset"] for row in rows if row["classifier"] == name] for name in trained}
    judge = max(trained, key=lambda name: (len(set(cells[name])), len(cells[name])))
    size = statistics.headline_size(rows)
    found = [
        _which_kind(rows, info, judge),
        _how_many(rows, judge),
        _asked("With how few labelled rows does it pay?", rivals.how_few(of_all_budgets, info)),
        _against_rivals(rows, judge),
        _filters(rows, info, judge),
        _asked("Should one augment at all?", rivals.augment_at_all(info)),
        _asked("Would something simpler do?", rivals.simpler(info, size) if size else None),
        _noise(info, judge),
        _where(info, judge),
        _cost(info),
        _imbalance(rows, info, judge),
    ]
    return [answer for answer in found if answer]


def _asked(question: str, sentence: str | None) -> Answer | None:
    return Answer(question, sentence) if sentence else None


def _which_kind(rows: Sequence[Row], info: dict[str, Any], judge: str) -> Answer | None:
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

    generated = [(arm, gain) for arm, gain in own if arm_settings.written(info, arm)]
    helping = [f"{arm} {tables.lift_text(gain)}" for arm, gain in generated if helps(arm, gain)]
    others = [f"{arm} {tables.lift_text(gain)}" for arm, gain in generated if not helps(arm, gain)]
    real = [f"{arm} {tables.lift_text(gain)}" for arm, gain in own if not arm_settings.written(info, arm)]
    said = f"At {size} rows {judge} gains by {', '.join(helping)}" if helping else f"At {size} rows none helps {judge}"
    said += f"; not shown to help (p corrected): {', '.join(others)}" if others else ""
    said += f"; real unlabelled text, which nothing generates: {', '.join(real)}" if real else ""
    return Answer("Which kind of generated text helps?", f"{said}.")


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
        step = intervals.paired(accuracies[large], accuracies[small])
        if step.high is not None and step.low is not None and step.low <= 0:
            chance = ", which may be chance" if step.high >= 0 else ""
            more.append(f"from {small} to {large} rows accuracy changes by {tables.lift_text(step)}{chance}")
    pays = f"; {more[0]}" if more else ""
    return Answer("How many rows?", f"vae lifts {judge} by {told}; its accuracy is highest with {best} rows{pays}.")


def _against_rivals(rows: Sequence[Row], judge: str) -> Answer | None:
    """`vae` minus each rival at every size that both have."""
    arms = statistics.arms(rows, judge)
    told = []
    for rival in RIVALS:
        sizes = [size for arm, size in arms if arm == rival and ("vae", size) in arms]
        ahead = []
        for size in sorted(sizes):
            ours, theirs = (statistics.by_subset(rows, judge, arm, size) for arm in ("vae", rival))
            ahead.append(f"{tables.lift_text(intervals.paired(ours, theirs))} at {size}")
        if ahead:
            told.append(f"{rival} {', '.join(ahead)} rows")
    if not told:
        return None
    return Answer("Is it the VAE?", f"vae, in points above its rivals for {judge}: {'; '.join(told)}.")


def _filters(rows: Sequence[Row], info: dict[str, Any], judge: str) -> Answer | None:
    found = [one for one in tables.filter_ablation(rows, info) if one.classifier == judge]
    told = [f"{one.arm} {tables.lift_text(one.gain)}" for one in found if arm_settings.filters(info, one.arm)]
    if not told:
        return None
    return Answer(
        "Do filters matter?", f"At {found[0].size} rows, {judge}, in points above no filters: {'; '.join(told)}."
    )


def _noise(info: dict[str, Any], judge: str) -> Answer | None:
    """Wrong labels of each generator beside its lift, and how figures of its rows go with lifts."""
    quality = info.get("analysis", {}).get("quality", [])
    told = [
        f"{one['generator']} {one['label_error']:.1f} %"
        + (f" (lift {tables.signed(one['lifts'][judge])})" if judge in one["lifts"] else "")
        for one in quality
    ]
    if not told:
        return None
    lifted = [one for one in quality if judge in one["lifts"]]
    ranks = {
        name: intervals.rank_correlation([one[figure] for one in lifted], [one["lifts"][judge] for one in lifted])
        for figure, name in QUALITIES.items()
        if all(one.get(figure) is not None for one in lifted)
    }
    shown = ", ".join(f"{name} {f'{rank:.2f}'.replace('-', MINUS)}" for name, rank in ranks.items() if rank is not None)
    shown = f"; rank correlation with lift over {len(lifted)} generators: {shown}" if shown else ""
    return Answer("How many labels are wrong?", f"By the auditor: {'; '.join(told)}{shown}.")


def _where(info: dict[str, Any], judge: str) -> Answer | None:
    """The kinds of test rows that gain most and least."""
    found = [one for one in tables.slices(info) if one["classifier"] == judge and one["lift"] is not None]
    if not found:
        return None
    most, least = (choose(found, key=lambda one: one["lift"]) for choose in (max, min))
    told = " and ".join(
        f"{word} where rows are of the kind “{one['slice']}” ({one['lift_text']}, {one['interval'] or 'no interval'})"
        for word, one in (("most", most), ("least", least))
    )
    return Answer("Which test rows gain?", f"Of {len(found)} kinds that overlap, {judge} gains {told}.")


def _cost(info: dict[str, Any]) -> Answer | None:
    """CPU seconds a candidate of one length, and a kept row with all that it took."""
    words, a_word = tables.words_a_candidate(info), tables.seconds_a_word(info)
    own = [line for line in tables.generators(info) if line["budget"] == info["study"]["budget"]]
    whole = [
        f"{line['generator']} {line['cpu_seconds_a_kept_row']:.3f}"
        for line in own
        if line["cpu_seconds_a_kept_row"] is not None
    ]
    if words is None or not a_word:
        return None
    written = ", ".join(f"{name} {seconds * words:.4f}" for name, seconds in a_word.items())
    said = f"To write a candidate of {words:.0f} words, in CPU seconds: {written}"
    if "vae" in a_word and "language_model" in a_word:
        said += f" (language_model {a_word['language_model'] / a_word['vae']:.2g} times what vae does)"
    return Answer("What does it cost?", said + (f"; a kept row, chosen: {', '.join(whole)}." if whole else "."))


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


def _mean(gain: Interval) -> float:
    return gain.mean or 0.0
