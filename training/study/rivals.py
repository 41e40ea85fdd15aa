"""With generated rows against without: who is best at each, and whether something simpler would do.

Accuracies of different classifiers are compared on the test rows that all of them were scored on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..common import intervals
from ..common.intervals import FEWEST_SUBSETS, Interval
from . import arm_settings, statistics, tables
from .statistics import Row

TEACHER = "the teacher"
SIMPLER = ("setfit", "probe")  # classifiers that are quicker to set up than any generator

Place = tuple[str, str, int]  # classifier, arm, size
Accuracies = dict[Place, dict[int, float]]  # in points, by subset


@dataclass(frozen=True)
class Line:
    """One classifier at its best without generated rows, with them, or with real rows without labels in their place."""

    place: Place
    accuracy: Interval
    ahead: Interval  # points above the best that has generated rows, on the subsets of both; of that one nothing


def lines(info: dict[str, Any]) -> list[Line]:
    """The teacher and every classifier, in every way, the best first; none where nothing was generated."""
    plain, grown, unlabelled = _ways(info)
    if not grown:
        return []
    top, found = _best(grown), []
    for every in (plain, grown, unlabelled):
        for name in dict.fromkeys(name for name, *_ in every):
            place = _best({place: values for place, values in every.items() if place[0] == name})
            ahead = intervals.paired(every[place], grown[top] if place != top else {})
            found.append(Line(place, intervals.paired_interval(list(every[place].values())), ahead))
    return sorted(found, key=lambda line: -(line.accuracy.mean or 0.0))


def augment_at_all(info: dict[str, Any]) -> str | None:
    """The best classifier that needs no generated rows, the teacher among them, against the best that has them."""
    plain, grown, unlabelled = ({k: v for k, v in one.items() if len(v) >= FEWEST_SUBSETS} for one in _ways(info))
    if not plain or not grown:
        return None
    best, rival = _best(grown), _best(plain)
    ahead = intervals.paired(grown[best], plain[rival])
    (name, arm, size), (other, kind, count) = best, rival
    alone = f"the {count} real rows alone" if kind == "real" else f"{kind} at {count}"
    told = f"{name} with {arm} at {size} is right on {fmean(grown[best].values()):.1f} %, {other} on {alone} on "
    told += f"{fmean(plain[rival].values()):.1f} %: {tables.lift_text(ahead)} on the {ahead.n} subsets of both and "
    told += f"{info['analysis']['shared_rows']} test rows"
    if unlabelled:
        real = _best(unlabelled)
        (name, arm, size), values = real, unlabelled[real]
        told += f"; {name} with {arm} at {size}, real rows that nobody generated, on {fmean(values.values()):.1f} %"
    if ahead.low is None or ahead.high is None or ahead.low <= 0 <= ahead.high:
        return f"The best with generated rows is not shown to beat the best without: {told}."
    return f"{'Yes' if ahead.low > 0 else 'No'}: {told}."


def simpler(info: dict[str, Any], size: int) -> str | None:
    """What each classifier gains by `size` rows of `vae` over a probe and SetFit on the real rows alone."""
    shared, budget = tables.on_shared_rows(info), info["study"]["budget"]
    told = []
    for rival in SIMPLER:
        theirs = shared.get((rival, "real", budget), {})
        ahead = {
            name: intervals.paired(ours, theirs)
            for (name, arm, at), ours in shared.items()
            if (arm, at) == ("vae", size)
        }
        known = [f"{name} {tables.lift_text(gain)}" for name, gain in ahead.items() if gain.low is not None]
        if known:
            told.append(f"{rival}: {', '.join(known)}")
    if not told:
        return None
    said = f"With {size} rows of vae, in points above what learned from the {budget} real rows alone, on the first "
    return f"{said}{info['analysis']['shared_rows']} test rows: above {'; above '.join(told)}."


def how_few(of_all_budgets: Sequence[Row], info: dict[str, Any]) -> str | None:
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
                if arm in ("vae", "real", "duplicate") and len(values) >= FEWEST_SUBSETS:
                    (grown if arm == "vae" else plain)[name, arm, size] = values
        if plain and grown:
            ours, theirs = _best(grown), _best(plain)
            (name, _, size), (other, *_), ahead = ours, theirs, intervals.paired(grown[ours], plain[theirs])
            line = f"{tables.lift_text(ahead)} with {budget} ({name} with {size} rows, {other} without, n = {ahead.n}"
            teachers = tables.teachers(info, budget) if shared else {}
            told.append(line + (f"; the teacher {fmean(teachers.values()):.1f} %)" if teachers else ")"))
    said = (
        f"Of the classifiers that were scored on {count} test rows the best with vae, in points above the best without "
    )
    said += "generated rows, both chosen on these rows"
    return f"{said}: {'; '.join(told)}." if len(told) > 1 else None


def _ways(info: dict[str, Any]) -> tuple[Accuracies, Accuracies, Accuracies]:
    """Without generated rows, with them, and with real unlabelled rows in their place."""
    plain: Accuracies = {}
    grown: Accuracies = {}
    unlabelled: Accuracies = {}
    if teachers := tables.teachers(info):
        plain[TEACHER, "real", info["study"]["budget"]] = teachers
    for place, values in tables.on_shared_rows(info).items():
        arm = place[1]
        if arm_settings.written(info, arm):
            grown[place] = values
        elif statistics.is_generated(arm):
            unlabelled[place] = values
        elif arm != "oracle":
            plain[place] = values
    return plain, grown, unlabelled


def _best(every: Accuracies) -> Place:
    """That of the highest mean over its own subsets; one with too few for an interval only where all have too few."""
    enough = {place: values for place, values in every.items() if len(values) >= FEWEST_SUBSETS} or every
    return max(enough, key=lambda place: fmean(enough[place].values()))
