"""What a report says in words: who saw what, how rows were chosen, and whether students beat who chose."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ..common import intervals
from . import arm_settings, tables
from .statistics import Row

ARMS = {
    "real": "the {budget} labelled rows alone",
    "weighted": "the same rows, counting so that the classes weigh the same",
    "duplicate": "the same rows repeated to the size, which shows what more optimiser steps alone give",
    "vae": "generated rows added",
    "rules": "the real rows added again with words changed by rule",
    "masked_lm": "the real rows added again with words replaced by what a masked language model finds likely",
    "self_training": "real sentences that the VAE was trained on added, put together by the teacher's labels",
    "language_model": "rows of sentences that a language model wrote for their label added",
    "oracle": "real labelled rows added, the best that could be hoped for",
}


def who_saw_what(info: dict[str, Any]) -> list[tuple[str, str]]:
    study, vae = info["study"], info["recipe"]["vae"]
    texts = vae["texts"] + (
        f" and reviews of the role 'unlabelled' of {vae['unlabelled']}" if vae["unlabelled"] else ""
    )
    unread = f"; no validation or test row of {' or '.join(vae['exclude'])}" if vae["exclude"] else ""
    tests = f"{study['test_rows']} class-balanced test rows, fixed before any training"
    if study["role"] == "development":
        tests = f"{study['test_rows']} rows of the role 'development', as the budgets, to choose a recipe by"
    return [
        ("The VAE", f"{texts}, {'their' if vae['conditional'] else 'no'} labels{unread}."),
        ("The teacher that chooses generated rows", "the labelled rows of its subset and budget, nothing else."),
        (
            "The classifiers",
            f"the rows of their arm; budgets and oracle rows of the {study['subsets']} subsets are disjoint "
            f"and come from the role '{study['role']}'. {_trainings(info['recipe'])}",
        ),
        (
            "Test rows",
            f"{tests}; rows whose text stands in the training part are left out, and what is then over of a class. "
            "Their texts are compared with generated rows to drop copies; their labels are used for the figures only. "
            f"{_scorings(info)}",
        ),
    ]


def _trainings(recipe: dict[str, Any]) -> str:
    """How often each classifier was trained on the same rows."""
    seeds = {name: one["seeds"] or recipe["study"]["seeds"] for name, one in recipe["classifiers"].items()}
    said = f"Trainings of a cell, each by a seed of its own: {', '.join(f'{name} {n}' for name, n in seeds.items())}"
    return said + ("; the probe's fit is the same by every seed." if "probe" in seeds else ".")


def _scorings(info: dict[str, Any]) -> str:
    replaced, later = len(info.get("replaced_cells", [])), len(info.get("later_cells", []))
    if not replaced and not later:
        return "Every cell was scored on them once."
    said = []
    if replaced:
        said.append(
            f"{replaced} cell{' was' if replaced == 1 else 's were'} trained and scored on them before; those figures "
            "are not among these."
        )
    if later:
        said.append(f"{later} cell{' was' if later == 1 else 's were'} planned after figures of others were known.")
    return " ".join(said)


def teacher_of(info: dict[str, Any], classifier: str) -> str | None:
    """The teacher's accuracy, and whether this classifier beats it on rows that it chose or labelled."""
    teachers, count = tables.teachers(info), info.get("analysis", {}).get("shared_rows")
    if not teachers or count is None:
        return None
    said = f"The teacher that chose generated rows is right on {fmean(teachers.values()):.1f} % of the first {count} "
    said += "test rows"
    ahead = {
        f"{arm} at {size}": intervals.paired(own, teachers)
        for (name, arm, size), own in tables.on_shared_rows(info).items()
        if name == classifier and arm_settings.taught(info, arm)
    }
    means = {student: gain.mean for student, gain in ahead.items() if gain.mean is not None}
    if not means:
        return f"{said}."
    chosen_for = f"{len(ahead)} arm{'s' if len(ahead) > 1 else ''} that it chose rows for"
    better = [f"{student} ({tables.lift_text(gain)})" for student, gain in ahead.items() if (gain.low or 0.0) > 0]
    if better:
        return f"{said}; of {chosen_for} these beat it there: {', '.join(better)}."
    worse = sum(gain.high is not None and gain.high < 0 for gain in ahead.values())
    best = max(means, key=means.__getitem__)
    said += f"; of {chosen_for} none is shown to beat it there, and {worse} "
    said += f"{'does' if worse == 1 else 'do'} worse; the best is {best} ({tables.lift_text(ahead[best])})"
    return f"{said}."


def how_chosen(info: dict[str, Any]) -> list[str]:
    """How each generator's rows were chosen: what is chosen most strictly has that advantage in every comparison."""
    settings, found = info["recipe"]["augment"], []
    for name in dict.fromkeys(row["generator"] for row in info.get("augmentation", [])):
        asked = arm_settings.filters(info, name)
        if arm_settings.from_bank(info, name):
            said = f"of a bank of {settings['bank_sentences']:,} sentences "
            share = settings["bank_share"]
            said += f"the {100 * share:.0f} % that its two teachers find clearest" if share < 1 else "all"
        elif name == "language_model":
            said = f"all sentences that it wrote, {settings['language_model_sentences']:,} at most for a budget"
        else:
            said = "all candidates"
        if asked:
            said += f", then the filters {', '.join(asked)}"
            if "confidence" in asked:
                said += _most_confident(settings["confident_share"])
        found.append(f"{name}: {said}")
    return found


def arms(rows: Sequence[Row], info: dict[str, Any]) -> list[tuple[str, str]]:
    """What each arm of the rows is, in words; of one that is a variant under a generator's name both."""
    found = {row["arm"] for row in rows}
    lines = [(name, text.format(budget=info["study"]["budget"])) for name, text in ARMS.items()]
    lines += [(name, _variant(name, info)) for name in info["recipe"]["variants"]]
    return [(name, text) for name, text in lines if name in found]


def _most_confident(share: float) -> str:
    return f" (the most confident {100 * share:.0f} %, more where rows run short)"


def _variant(name: str, info: dict[str, Any]) -> str:
    variant, filters = info["recipe"]["variants"][name], arm_settings.filters(info, name)
    text = " and ".join(variant["generators"])
    text += f" with the filters {', '.join(filters)}" if filters else " without filters"
    share = variant.get("confident_share")  # not in older runs
    text += _most_confident(share) if share and "confidence" in filters else ""
    text += ", the teacher's probability as the target of a generated row" if variant["soft_labels"] else ""
    weight = variant["synthetic_weight"]
    return text + (f", a generated row counting {weight:g}" if weight != 1 else "")
