"""What `textvae advise` makes of its cells' results: findings, a verdict, and the table that is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from ..common import intervals
from ..common.intervals import SIGNIFICANT, Interval
from . import statistics, tables
from .statistics import Row


@dataclass(frozen=True)
class Finding:
    """What one arm gave one classifier."""

    classifier: str
    arm: str
    size: int
    accuracy: float  # mean over folds, in points
    lift: Interval | None  # over `duplicate`; None for arms that generate nothing
    p: float | None  # corrected for all arms looked at


@dataclass(frozen=True)
class Advice:
    """The answer, and what it rests on."""

    use: bool
    sentence: str
    finding: Finding | None  # the arm that the sentence speaks of
    findings: list[Finding]
    dataset: Path | None
    cpu_seconds: dict[str, float]  # generator → to write, choose and put together the rows of a budget


def findings(results: Sequence[Row], test_share: float) -> list[Finding]:
    """Every arm of every classifier, with the interval that suits overlapping folds."""
    found: list[Finding] = []
    for name in statistics.classifiers(results):
        for arm, size in statistics.arms(results, name):
            accuracy = fmean(statistics.by_subset(results, name, arm, size).values())
            gain, p = None, None
            if statistics.is_generated(arm):
                values = list(statistics.lift_by_subset(results, name, arm, size).values())
                gain, p = intervals.resampled_interval(values, test_share)
            found.append(Finding(name, arm, size, accuracy, gain, p))
    tested = [place for place, one in enumerate(found) if one.p is not None]
    corrected = intervals.holm([p for one in found if (p := one.p) is not None])
    for place, p in zip(tested, corrected, strict=True):
        found[place] = replace(found[place], p=p)
    return found


def verdict(
    found: Sequence[Finding], results: Sequence[Row], budget: int, test_share: float
) -> tuple[bool, str, Finding | None]:
    """Whether to augment, one sentence that says so, and the arm that it speaks of.

    Generated rows have to gain over repeated ones, and what is gained has to be more than another classifier has alone.
    """
    plain = max((one for one in found if one.lift is None), key=lambda one: one.accuracy)
    best = best_generated(found)
    assert best.lift is not None
    ratio = best.size // budget - 1
    what = f"{best.arm} at {ratio}× for {best.classifier}"
    gain = f"lift {tables.lift_text(best.lift)} points over repeating the real rows"
    clear = best.p is not None and best.p < SIGNIFICANT and best.lift.low is not None and best.lift.low > 0
    if not clear:
        loss = best.lift.high is not None and best.lift.high < 0
        said = "a clear loss" if loss else "which may be chance"
        return False, f"do not augment: the most accurate arm of generated rows, {what}, has a {gain}, {said}", best
    ours, theirs = (statistics.by_subset(results, one.classifier, one.arm, one.size) for one in (best, plain))
    ahead, _ = intervals.resampled_interval([ours[fold] - theirs[fold] for fold in ours], test_share)
    if ahead.low is None or ahead.low <= 0:
        return False, (
            f"do not augment: {what} has a {gain}, but is not shown to beat {plain.classifier} without generated rows "
            f"({best.accuracy:.1f} % against {plain.accuracy:.1f} %: {tables.lift_text(ahead)})"
        ), best  # fmt: skip
    among = sum(one.lift is not None for one in found)
    return True, (
        f"use {best.arm} at {ratio}×: expected {gain} for {best.classifier} ({best.accuracy:.1f} %); it is the best of "
        f"{among} arms on these folds, so that new rows may gain less"
    ), best  # fmt: skip


def table(advice: Advice) -> str:
    """What the command prints: a line an arm, then the verdict and where the rows are."""
    lines = [f"{'classifier':<10} {'arm':<15} {'rows':>6} {'accuracy':>9}  lift over duplicate (95 % interval)"]
    for one in advice.findings:
        gain = tables.lift_text(one.lift) if one.lift else ""
        lines.append(f"{one.classifier:<10} {one.arm:<15} {one.size:>6} {one.accuracy:>8.1f}%  {gain}".rstrip())
    costs = ", ".join(f"{name} {seconds:.0f}" for name, seconds in advice.cpu_seconds.items())
    lines += ["", f"CPU seconds to make the rows of a budget: {costs}", "", advice.sentence]
    if advice.dataset:
        lines.append(f"the grown dataset: {advice.dataset}")
    return "\n".join(lines)


def generating_costs(augmentation: Sequence[Row]) -> dict[str, float]:
    """Generator → CPU seconds for one budget, a mean over the folds; what serves all of them is counted whole."""
    found: dict[str, list[float]] = {}
    for row in augmentation:
        writing = row["writing"]
        seconds = writing["cpu_seconds"] + writing["training_cpu_seconds"] + row["choosing_cpu_seconds"]
        found.setdefault(row["generator"], []).append(seconds)
    return {name: round(fmean(values), 2) for name, values in found.items()}


def best_generated(found: Sequence[Finding]) -> Finding:
    return max((one for one in found if one.lift is not None), key=lambda one: one.accuracy)
