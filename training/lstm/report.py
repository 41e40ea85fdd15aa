"""The report of LSTMs, alone or side by side: a page, its plots, and the figures in one flat file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..common.files import read_json
from ..common.intervals import wilson_interval
from ..common.pages import write_page
from ..common.progress import say
from . import plots
from .calibration import BINS
from .evaluation import difference
from .recipe import LstmRecipe
from .rivals import RIVALS
from .speed import matmul_share

Json = dict[str, Any]
MINUS = "\N{MINUS SIGN}"
SCORED = {"test": "test rows", "validation": "validation rows (choices are made on these)"}


@dataclass(frozen=True)
class Classifier:
    """What is known of a classifier of the report: of an LSTM, or of a rival, which has no recipe."""

    facts: Json  # what its `evaluation.json` holds, or `validation.json`
    probabilities: np.ndarray  # (rows, classes) of the rows that it was scored on
    labels: list[int]  # of these
    recipe: LstmRecipe | None
    curve: list[Json]  # rows of `metrics.jsonl`


def write_report(folder: Path, found: Mapping[str, Classifier]) -> None:
    """Write `report.html` and `plots/` for classifiers by name."""
    part = scored_part(found)
    lstms = {name: one for name, one in found.items() if one.recipe}
    drawings = {f"learning-{name}": plots.learning_curves(name, one.curve) for name, one in lstms.items()}
    drawings["reliability"] = plots.reliability({name: one.facts[part]["reliability"] for name, one in lstms.items()})
    sentence, info = verdict(found), read_json(folder / "run.json")
    facts = {name: one.facts for name, one in found.items()}
    write_page(
        __package__,
        "report.html.j2",
        folder / "report.html",
        drawings,
        info=info,
        found=facts,
        part=part,
        scored=SCORED[part],
        bins=BINS,
        lstms=list(lstms),
        rivals=RIVALS,
        verdict=sentence,
        reference=reference(found),
        changes=changes(found),
        differences=differences(found),
        reads={name: one.facts.get("reads") or reads(one.recipe) for name, one in found.items()},
        starts={
            name: recipe.tokenizer
            for name, one in found.items()
            if (recipe := one.recipe) and recipe.pretrained_embeddings
        },
        tricky={name: one["tricky"] for name, one in facts.items() if one.get("tricky")},
        solved_interval=solved_interval,
        matmul_shares={name: matmul_share(facts[name]) for name in lstms},
        reported=info["recipe"].get("reported", {}) if part == "test" else {},
        drawn=len(plots.SHADES),
    )
    say(f"lstm: {sentence} → {folder / 'report.html'}")


def reads(recipe: LstmRecipe | None) -> str | None:
    """What an LSTM sees of a long text."""
    if recipe is None:
        return None
    return f"the {'last' if recipe.truncation_side == 'left' else 'first'} {recipe.max_length} tokens"


def solved_interval(scores: Json) -> tuple[float, float]:
    """95 % Wilson interval of the share of pairs that are solved, over pairs."""
    return wilson_interval(scores["pairs_solved"], scores["pairs"])


def scored_part(found: Mapping[str, Classifier]) -> str:
    """The rows that all of them were scored on."""
    return "test" if all("test" in one.facts for one in found.values()) else "validation"


def best(found: Mapping[str, Classifier]) -> str:
    """The LSTM with the lowest loss on validation rows: the test rows do not choose it."""
    return min((name for name, one in found.items() if one.recipe), key=lambda name: _validation_loss(found[name]))


def _validation_loss(one: Classifier) -> float:
    return float(one.facts["validation"]["loss"])


def reference(found: Mapping[str, Classifier]) -> str:
    """Whom the others are held against: the best on test rows, the first where choices are being made."""
    return best(found) if scored_part(found) == "test" else next(iter(found))


def differences(found: Mapping[str, Classifier]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Classifier → how far it is above the reference, with 95 % intervals: see `evaluation.difference`."""
    against = found[reference(found)]
    return {
        name: difference(one.probabilities, against.probabilities, one.labels)
        for name, one in found.items()
        if one is not against
    }


def changes(found: Mapping[str, Classifier]) -> dict[str, dict[str, Any]]:
    """LSTM → fields of its recipe, their names aside, that are not as the reference has them."""
    first = found[reference(found)].recipe
    return {
        name: {
            field.name: getattr(one.recipe, field.name)
            for field in fields(LstmRecipe)
            if field.name != "name" and getattr(one.recipe, field.name) != getattr(first, field.name)
        }
        for name, one in found.items()
        if one.recipe
    }


def flat(found: Mapping[str, Classifier]) -> dict[str, float | str | None]:
    """`quantity_classifier` → its value: accuracies, their differences and pairs in points (0 to 100), losses in nats.

    None for the tricky reviews of a dataset whose classes are others than theirs.
    """
    figures: dict[str, float | str | None] = {"differences_from": reference(found)}
    part, beside = scored_part(found), differences(found)
    for name, one in found.items():
        facts, scores = one.facts, one.facts[part]
        figures |= {
            f"parameters_{name}": facts["parameters"],
            f"accuracy_{name}": 100 * scores["accuracy"],
            f"loss_{name}": scores["loss"],
            f"ece_{name}": scores["ece"],
            f"loss_unscaled_{name}": scores["loss_unscaled"],
            f"ece_unscaled_{name}": scores["ece_unscaled"],
            f"train_minutes_{name}": facts["seconds"] / 60,
        }
        if one.recipe:
            figures |= {
                f"recurrent_parameters_{name}": facts["recurrent_parameters"],
                f"tokens_per_cpu_second_{name}": facts["tokens"] / facts["step_cpu_seconds"],
                f"matmul_share_{name}": matmul_share(facts),
            }
        if name in beside:
            mean, low, high = beside[name]["accuracy"]
            figures |= {
                f"accuracy_difference_{name}": 100 * mean,
                f"accuracy_difference_low_{name}": 100 * low,
                f"accuracy_difference_high_{name}": 100 * high,
            }
        if part == "test":
            tricky = facts["tricky"]
            shares = (tricky["accuracy"], tricky["pairs_solved"], *solved_interval(tricky)) if tricky else (None,) * 4
            for key, share in zip(("accuracy", "pairs", "pairs_low", "pairs_high"), shares, strict=True):
                figures[f"tricky_{key}_{name}"] = None if share is None else 100 * share
    return figures


def verdict(found: Mapping[str, Classifier]) -> str:
    """What the best LSTM gives on the rows that are scored, and which rivals are ahead of it there."""
    part, chosen = scored_part(found), best(found)
    accuracy = {name: 100 * one.facts[part]["accuracy"] for name, one in found.items()}
    said = f"{chosen}: {accuracy[chosen]:.1f} % of the {SCORED[part].partition(' (')[0]} are right"
    if sum(one.recipe is not None for one in found.values()) > 1:
        loss = _validation_loss(found[chosen])
        said = f"Of the LSTMs {chosen} has the lowest loss on validation rows ({loss:.3f}); {said}"
    rivals = {name: one for name, one in found.items() if not one.recipe}
    beside = differences(found) if rivals else {}
    for name in rivals:
        mean, low, high = (100 * value for value in beside[name]["accuracy"])
        rival = f"{RIVALS[name]} ({accuracy[name]:.1f} %)"
        if low > 0:
            said += f"; {rival} is ahead of it by {mean:.1f} points ({low:.1f} to {high:.1f})"
        elif high < 0:
            said += f"; it is ahead of {rival} by {-mean:.1f} points ({-high:.1f} to {-low:.1f})"
        else:
            told = f"{mean:+.1f} points, {low:+.1f} to {high:+.1f}".replace("-", MINUS)
            said += f"; {rival} cannot be told from it ({told})"
    return f"{said}."
