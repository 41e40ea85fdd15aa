"""The report of LSTMs, alone or side by side: a page, its plots, and the figures in one flat file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..common.drawing import standalone, stylesheet
from ..common.files import read_json, write_text
from ..common.pages import environment
from ..common.progress import say
from . import plots
from .calibration import BINS
from .rivals import RIVALS

Json = dict[str, Any]
SCORED = {"test": "test rows", "validation": "validation rows (choices are made on these)"}


def write_report(folder: Path, found: Mapping[str, Json], curves: Mapping[str, list[Json]]) -> None:
    """Write `report.html` and `plots/` for classifiers by name.

    Args:
        found: classifier → what its `evaluation.json` holds; rivals have a name in RIVALS.
        curves: LSTM → its rows of `metrics.jsonl`.
    """
    part = scored_part(found)
    drawings = {f"learning-{name}": plots.learning_curves(name, rows) for name, rows in curves.items()}
    drawings["reliability"] = plots.reliability({name: found[name][part]["reliability"] for name in curves})
    for name, drawing in drawings.items():
        write_text(folder / "plots" / f"{name}.svg", standalone(drawing))
    sentence, info = verdict(found, part), read_json(folder / "run.json")
    page = environment(__package__, autoescape=True).get_template("report.html.j2")
    text = page.render(
        info=info,
        found=found,
        part=part,
        scored=SCORED[part],
        bins=BINS,
        lstms=list(curves),
        rivals=RIVALS,
        verdict=sentence,
        tricky={name: one["tricky"] for name, one in found.items() if one.get("tricky")},
        reported=info["recipe"].get("reported", {}) if part == "test" else {},
        drawn=len(plots.SHADES),
        plots={name: Markup(drawing) for name, drawing in drawings.items()},
        colours=Markup(stylesheet()),
    )
    write_text(folder / "report.html", text)
    say(f"lstm: {sentence} → {folder / 'report.html'}")


def scored_part(found: Mapping[str, Json]) -> str:
    """The rows that all of them were scored on."""
    return "test" if all("test" in one for one in found.values()) else "validation"


def flat(found: Mapping[str, Json]) -> dict[str, float | None]:
    """`quantity_classifier` → its value: accuracies and pairs in points (0 to 100), losses in nats.

    None for the tricky reviews of a dataset whose classes are others than theirs.
    """
    figures: dict[str, float | None] = {}
    part = scored_part(found)
    for name, one in found.items():
        scores = one[part]
        figures |= {
            f"parameters_{name}": one["parameters"],
            f"accuracy_{name}": 100 * scores["accuracy"],
            f"loss_{name}": scores["loss"],
            f"ece_{name}": scores["ece"],
            f"loss_unscaled_{name}": scores["loss_unscaled"],
            f"ece_unscaled_{name}": scores["ece_unscaled"],
            f"train_minutes_{name}": one["seconds"] / 60,
        }
        if name not in RIVALS:
            figures |= {
                f"recurrent_parameters_{name}": one["recurrent_parameters"],
                f"tokens_per_cpu_second_{name}": one["tokens"] / one["cpu_seconds"],
                f"matmul_share_{name}": one["operations_per_second"] / one["matmul_peak"],
            }
        if part == "test":
            tricky = one["tricky"]
            figures |= {
                f"tricky_accuracy_{name}": 100 * tricky["accuracy"] if tricky else None,
                f"tricky_pairs_{name}": 100 * tricky["pairs_solved"] if tricky else None,
            }
    return figures


def verdict(found: Mapping[str, Json], part: str) -> str:
    """Which classifier is ahead, by its accuracy on the rows that are scored."""
    accuracy = {name: 100 * one[part]["accuracy"] for name, one in found.items()}
    lstms = [name for name in found if name not in RIVALS]
    best = max(lstms, key=accuracy.__getitem__)
    said = f"{best}: {accuracy[best]:.1f} % of the {SCORED[part].partition(' (')[0]}"
    if len(lstms) > 1:
        said = f"Of {len(lstms)} LSTMs the best is {said}"
    rivals = {name: f"{RIVALS[name]} ({accuracy[name]:.1f} %)" for name in found if name in RIVALS}
    ahead = [rivals[name] for name in rivals if accuracy[name] > accuracy[best]]
    if ahead:
        return f"{said}; {' and '.join(ahead)} {'is' if len(ahead) == 1 else 'are'} ahead of it."
    return f"{said}; it is ahead of {' and '.join(rivals.values())}." if rivals else f"{said}."
