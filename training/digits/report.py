"""The report of a run of digits, from its files alone: one page that needs nothing beside it."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import matplotlib
from markupsafe import Markup

from ..common.drawing import INK, STYLE, axes, standalone, svg
from ..common.files import read_json, read_jsonl, write_text
from ..common.pages import write_page
from ..common.progress import say

ARMS = {
    "duplicate": "the labelled images alone",
    "neighbours": "with decoded neighbours",
    "interpolations": "with decoded interpolations",
    "jitter": "alone, moved a little at every step",
    "jitter_and_neighbours": "with neighbours, moved a little",
}


def write_report(folder: Path) -> Path:
    """Write `report.html` and the loss curves into a run's folder; returns the page."""
    figures, info = read_json(folder / "evaluation.json"), read_json(folder / "run.json")
    models = info["recipe"]["models"]
    curves = {name: loss_curve(name, read_jsonl(folder / name / "metrics.jsonl")) for name in models}
    for name, drawing in curves.items():
        write_text(folder / "pictures" / f"loss_{name}.svg", standalone(drawing))
    # Only what this recipe made: the folder may hold pictures of models that it no longer has.
    kinds = ("reconstructions", "generated", "interpolations", "plane")
    pictures = {
        kind: {name: _inline(path) for name in models if (path := folder / "pictures" / f"{kind}_{name}.png").exists()}
        for kind in kinds
    }
    maps = {name: (folder / "pictures" / f"latent_map_{name}.svg").read_text(encoding="utf-8") for name in models}
    write_page(
        __package__,
        "digits.html.j2",
        folder / "report.html",
        {},  # curves and maps stand among the pictures
        figures=figures,
        info=info,
        settings=info["recipe"],
        models=models,
        errors=_errors(figures),
        arms=list(ARMS.items()),
        classes=_classes(figures),
        pictures=pictures,
        curves={name: Markup(drawing) for name, drawing in curves.items()},
        latent_maps={
            name: Markup(re.sub("<style>.*?</style>", "", drawing, count=1, flags=re.DOTALL))
            for name, drawing in maps.items()
        },
    )
    say(f"digits: report → {folder / 'report.html'}")
    return folder / "report.html"


@matplotlib.rc_context(STYLE)
def loss_curve(name: str, rows: list[dict[str, Any]]) -> str:
    """Training and validation loss by epoch."""
    figure, plot = axes(2.8)
    epochs = [row["epoch"] for row in rows]
    for key, colour, style in (("train_loss", "vae", "-o"), ("validation_loss", "oracle", "--s")):
        values = [row[key] for row in rows]
        plot.plot(epochs, values, style, color=INK[colour], markersize=3, label=key.partition("_")[0])
    plot.set_xlabel("epoch")
    plot.set_ylabel("nats an image" if "validation_kl" in rows[-1] else "squared error a pixel")
    plot.legend(loc="upper right")
    last = rows[-1]
    told = f"It ends at {last['train_loss']:.4g} in training and {last['validation_loss']:.4g} on validation."
    return svg(figure, f"loss-{name}", f"Losses of {name}", told)


def _errors(figures: dict[str, Any]) -> list[tuple[int, float, float]]:
    """(latent size, the autoencoder's squared error, that of as many principal components)."""
    found = [(int(name.rpartition("_")[2]), name) for name in figures if re.fullmatch(r"mse_latent_\d+", name)]
    return [(size, figures[name], figures[f"pca_{name}"]) for size, name in sorted(found)]


def _classes(figures: dict[str, Any]) -> list[tuple[int, float, float]]:
    """(class, its share of the main model's samples, of real test images), as the judge sees them."""
    count = sum(re.fullmatch(r"class_\d+_share", name) is not None for name in figures)
    return [(label, figures[f"class_{label}_share"], figures[f"class_{label}_share_real"]) for label in range(count)]


def _inline(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
