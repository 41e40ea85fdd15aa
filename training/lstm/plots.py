"""Plots of an LSTM's training and of how far its confidence can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..common.drawing import INK, STYLE, WIDTH, axes, svg

SHADES = ("vae", "self_training", "oracle", "rules", "language_model", "masked_lm", "variant", "duplicate")


@matplotlib.rc_context(STYLE)
def learning_curves(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Loss and accuracy of training and validation rows by epoch, in one drawing of two panels."""
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    epochs = [row["epoch"] for row in rows]
    for plot, quantity, scale in ((above, "loss", 1), (below, "accuracy", 100)):
        for part, colour, line in (("train", "duplicate", "--"), ("validation", "vae", "-")):
            values = [scale * row[f"{part}_{quantity}"] for row in rows]
            plot.plot(epochs, values, line, marker="o", markersize=3, color=INK[colour], label=part)
    above.set_ylabel("loss, nats")
    above.set_ylim(bottom=0)
    above.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
    below.set_ylabel("accuracy, %")
    below.set_xlabel("epoch")
    best = min(rows, key=lambda row: row["validation_loss"])
    told = (
        f"Validation loss is least at epoch {best['epoch']:.3g}: {best['validation_loss']:.3f}, accuracy "
        f"{100 * best['validation_accuracy']:.1f} %; at the end {rows[-1]['validation_loss']:.3f}, training rows "
        f"{rows[-1]['train_loss']:.3f}."
    )
    return svg(figure, f"learning-{name}", f"Training of {name}", told)


@matplotlib.rc_context(STYLE)
def reliability(bins: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Accuracy by confidence, one line for each of the first classifiers; bins of fewer than 20 rows are left out."""
    figure, plot = axes(3.6)
    plot.plot([50, 100], [50, 100], color=INK["faint"], linewidth=1)
    told = []
    for (name, rows), shade in zip(bins.items(), SHADES, strict=False):
        shown = [(100 * confidence, 100 * accuracy) for count, confidence, accuracy in rows if count >= 20]
        plot.plot(
            [sure for sure, _ in shown], [right for _, right in shown], "-o", markersize=3, color=INK[shade], label=name
        )
        told.append(f"{name}: {', '.join(f'{right:.0f} % at {sure:.0f} %' for sure, right in shown)}")
    plot.set_xlabel("confidence, %")
    plot.set_ylabel("accuracy, %")
    plot.legend(loc="lower right")
    return svg(figure, "reliability", "Accuracy by confidence", "; ".join(told) + ".")
