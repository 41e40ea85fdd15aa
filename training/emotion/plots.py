"""The plots of the emotion VAE's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from ..common.drawing import INK, STYLE, axes, svg

SHADES = {"valence": "vae", "arousal": "self_training"}
MARKS = {"valence": "o", "arousal": "s"}
POINTS = 700  # that a scatter shows, so that the page stays light
CATEGORY_LOOKS = (
    ("vae", "o"), ("self_training", "s"), ("oracle", "^"), ("language_model", "D"), ("masked_lm", "v"),
    ("rules", "P"), ("variant", "X"),
)  # fmt: skip


@matplotlib.rc_context(STYLE)
def losses(curve: Sequence[dict[str, Any]], term: str, title: str) -> str:
    """A term of the loss by epoch, on training texts (with dropout) and on validation texts (without)."""
    figure, plot = axes(2.6)
    epochs = [row["epoch"] for row in curve]
    told = []
    for part, line, shade in (("train", "-o", "vae"), ("validation", "--s", "oracle")):
        values = [row[f"{part}_{term}"] for row in curve]
        plot.plot(epochs, values, line, color=INK[shade], markersize=4, label=part)
        told.append(f"{part} from {values[0]:.3g} to {values[-1]:.3g}")
    plot.set_xlabel("epoch")
    plot.set_ylabel(title)
    plot.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    plot.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
    return svg(figure, f"loss-{term}", f"{title} by epoch", f"{'; '.join(told)}.")


@matplotlib.rc_context(STYLE)
def predicted_against_annotated(name: str, truth: np.ndarray, mean: np.ndarray, r: float) -> str:
    """Scatter of test texts, drawn at random where there are many, and the line where both agree."""
    figure, plot = axes(4.2)
    chosen = np.random.default_rng(0).permutation(len(truth))[:POINTS]
    ends = (float(min(truth.min(), mean.min())), float(max(truth.max(), mean.max())))
    plot.plot(ends, ends, color=INK["faint"], linewidth=1.5, zorder=1)
    plot.plot(truth[chosen], mean[chosen], MARKS[name], color=INK[SHADES[name]], markersize=3, alpha=0.45, zorder=2)
    plot.set_xlabel(f"annotated {name}")
    plot.set_ylabel(f"predicted {name}")
    told = f"{len(chosen)} of {len(truth)} test texts; correlation {r:.2f}."
    return svg(figure, f"scatter-{name}", f"Predicted and annotated {name}", told)


@matplotlib.rc_context(STYLE)
def reliability(points: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Share of annotated means inside the central interval, by what share it should hold."""
    figure, plot = axes(4.2)
    plot.plot((0, 100), (0, 100), color=INK["faint"], linewidth=1.5)
    told = []
    for name, levels in points.items():
        wanted, found = (100 * np.array(values) for values in zip(*levels, strict=True))
        plot.plot(wanted, found, f"-{MARKS[name]}", color=INK[SHADES[name]], markersize=4, label=name)
        told.append(f"{name}: " + ", ".join(f"{w:.0f} % → {f:.0f} %" for w, f in zip(wanted, found, strict=True)))
    plot.set_xlabel("interval of the mean should hold, %")
    plot.set_ylabel("holds, %")
    plot.legend(loc="upper left")
    return svg(figure, "reliability", "Reliability of the mean's interval", f"{'; '.join(told)}.")


@matplotlib.rc_context(STYLE)
def emotion_map(name: str, means: np.ndarray, categories: Sequence[str] | None, marked: Sequence[int] = ()) -> str:
    """Texts on the plane of predicted valence and arousal (N, 2); the `marked` ones bear numbers from 1."""
    figure, plot = axes(4.6)
    kinds = sorted(set(categories)) if categories is not None else []
    if 1 < len(kinds) <= len(CATEGORY_LOOKS):
        for kind, (shade, mark) in zip(kinds, CATEGORY_LOOKS, strict=False):
            rows = [row for row, category in enumerate(categories or ()) if category == kind]
            plot.plot(*means[rows].T, mark, color=INK[shade], markersize=3, alpha=0.5, label=kind)
        plot.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            handletextpad=0.2,
            columnspacing=1.0,
            markerscale=1.6,
        )
    else:
        plot.plot(*means.T, "o", color=INK["vae"], markersize=3, alpha=0.5)
    for number, row in enumerate(marked, start=1):
        plot.plot(*means[row], "o", color=INK["ink"], markersize=5, fillstyle="none")
        plot.annotate(str(number), means[row], (5, 4), textcoords="offset points", fontweight="bold", color=INK["ink"])
    plot.set_xlabel("valence: unpleasant to pleasant")
    plot.set_ylabel("arousal: calm to excited")
    low, high = means.min(0), means.max(0)
    told = (
        f"{len(means)} texts; valence {low[0]:.2f} to {high[0]:.2f}, arousal {low[1]:.2f} to {high[1]:.2f}, "
        "in rating units."
    )
    return svg(figure, name, "Emotion map", told)
