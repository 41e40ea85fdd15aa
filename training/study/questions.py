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
from .statistics import SIGNIFICANT, Interval, Row

MINUS = "\N{MINUS SIGN}"
QUALITIES = {
    "label_error": "wrong labels", "distinct_2": "distinct-2", "self_bleu": "self-BLEU", "mauve": "MAUVE"
}  # fmt: skip
RIVALS = ("self_training", "rules", "masked_lm", "language_model")


@dataclass(frozen=True)
class Answer:
    question: str
    sentence: str


Place = tuple[str, str, int]  # classifier, arm, size
Accuracies = dict[Place, dict[int, float]]  # in points, by subset


def answers(of_all_budgets: Sequence[Row], info: dict[str, Any]) -> list[Answer]:
    """Those that the study's arms can answer."""
    rows = statistics.of_budget(of_all_budgets, info["study"]["budget"])
    names = statistics.classifiers(rows)
    trained = [name for name in names if any(statistics.is_generated(arm) for arm, _ in statistics.arms(rows, name))]
    if not trained:
        return []
    cells = {name: [row["subset"] for row in rows if row["classifier"] == name] for name in trained}
    judge = max(trained, key=lambda name: (len(set(cells[name])), len(cells[name])))
    found = [
        _which_kind(rows, judge),
        _how_many(rows, judge),
        _how_few(of_all_budgets, info),
        _against_rivals(rows, judge),
        _filters(rows, info, judge),
        _without_any(info),
        _noise(info, judge),
        _where(info, judge),
        _cost(info),
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


def _how_few(of_all_budgets: Sequence[Row], info: dict[str, Any]) -> Answer | None:
    """By budget, the best with `vae` against the best without generated rows, of those scored on all test rows, and the
    teacher where it was scored on these, too."""
    count = max(row["test_rows"] for row in of_all_budgets)
    shared = info.get("analysis", {}).get("shared_rows") == count
    told = []
    for budget in sorted({row["budget"] for row in of_all_budgets}):
        own = [row for row in statistics.of_budget(of_all_budgets, budget) if row["test_rows"] == count]
        plain: Accuracies = {}
        grown: Accuracies = {}
        for name in statistics.classifiers(own):
            for arm, size in statistics.arms(own, name):
                values = statistics.by_subset(own, name, arm, size)
                if arm in ("vae", "real", "duplicate") and len(values) >= statistics.FEWEST_SUBSETS:
                    (grown if arm == "vae" else plain)[name, arm, size] = values
        if plain and grown:
            (name, _, size), (other, *_), ahead = _best(plain, grown)
            line = f"{tables.lift_text(ahead)} with {budget} ({name} with {size} rows, {other} without, n = {ahead.n}"
            teachers = tables.teachers(info, budget) if shared else {}
            told.append(line + (f"; the teacher {fmean(teachers.values()):.1f} %)" if teachers else ")"))
    question = "With how few labelled rows does it pay?"
    said = (
        f"Of the classifiers that were scored on {count} test rows the best with vae, in points above the best without "
    )
    said += "generated rows, both chosen on these rows"
    return Answer(question, f"{said}: {'; '.join(told)}.") if len(told) > 1 else None


def _best(plain: Accuracies, grown: Accuracies) -> tuple[Place, Place, Interval]:
    """The best of either, by their means over the subsets that all have, and how far the grown one is ahead."""
    of_all = set.intersection(*(set(values) for values in [*plain.values(), *grown.values()]))

    def worth(one: tuple[Place, dict[int, float]]) -> float:
        return fmean(one[1][subset] for subset in of_all or one[1])

    (ours, mine), (theirs, others) = max(grown.items(), key=worth), max(plain.items(), key=worth)
    return ours, theirs, _paired(mine, others)


def _against_rivals(rows: Sequence[Row], judge: str) -> Answer | None:
    """`vae` minus each rival at every size that both have."""
    arms = statistics.arms(rows, judge)
    told = []
    for rival in RIVALS:
        sizes = [size for arm, size in arms if arm == rival and ("vae", size) in arms]
        ahead = []
        for size in sorted(sizes):
            ours, theirs = (statistics.by_subset(rows, judge, arm, size) for arm in ("vae", rival))
            ahead.append(f"{tables.lift_text(_paired(ours, theirs))} at {size}")
        if ahead:
            told.append(f"{rival} {', '.join(ahead)} rows")
    if not told:
        return None
    return Answer("Is it the VAE?", f"vae, in points above its rivals for {judge}: {'; '.join(told)}.")


def _filters(rows: Sequence[Row], info: dict[str, Any], judge: str) -> Answer | None:
    found = [one for one in tables.filter_ablation(rows, info) if one.classifier == judge]
    told = [f"{one.arm} {tables.lift_text(one.gain)}" for one in found if tables.filters(info, one.arm)]
    if not told:
        return None
    return Answer(
        "Do filters matter?", f"At {found[0].size} rows, {judge}, in points above no filters: {'; '.join(told)}."
    )


def _without_any(info: dict[str, Any]) -> Answer | None:
    """The best classifier that needs no generated rows, the teacher among them, against the best that has them.

    All on the same test rows. The best are those of the subsets that all have.
    """
    budget = info["study"]["budget"]
    teachers = tables.teachers(info)
    plain: Accuracies = {}
    grown: Accuracies = {}
    if len(teachers) >= statistics.FEWEST_SUBSETS:
        plain["the teacher", "real", budget] = teachers
    for place, values in tables.on_shared_rows(info).items():
        if place[1] != "oracle" and len(values) >= statistics.FEWEST_SUBSETS:
            (grown if statistics.is_generated(place[1]) else plain)[place] = values
    if not plain or not grown:
        return None
    best, rival, ahead = _best(plain, grown)
    (name, arm, size), (other, kind, count) = best, rival
    alone = f"the {budget} real rows alone" if kind == "real" else f"{kind} at {count}"
    told = f"{name} with {arm} at {size} is right on {fmean(grown[best].values()):.1f} %, {other} on {alone} on "
    told += f"{fmean(plain[rival].values()):.1f} %: {tables.lift_text(ahead)} on the {ahead.n} subsets of both and "
    told += f"{info['analysis']['shared_rows']} test rows"
    question = "Should one augment at all?"
    if ahead.low is None or ahead.high is None or ahead.low <= 0 <= ahead.high:
        return Answer(question, f"The best with generated rows is not shown to beat the best without: {told}.")
    return Answer(question, f"{'Yes' if ahead.low > 0 else 'No'}: {told}.")


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
        name: statistics.rank_correlation([one[figure] for one in lifted], [one["lifts"][judge] for one in lifted])
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


def _paired(ours: dict[int, float], theirs: dict[int, float]) -> Interval:
    return statistics.paired_interval([ours[subset] - theirs[subset] for subset in ours if subset in theirs])


def _mean(gain: Interval) -> float:
    return gain.mean or 0.0
