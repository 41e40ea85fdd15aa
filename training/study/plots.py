"""The plots of a report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.patches import Rectangle

from ..common.drawing import INK, STYLE, axes, svg
from ..common.intervals import SIGNIFICANT, Interval
from .tables import Grid

MARKERS = {
    "real": "D", "duplicate": "s", "rules": "v", "masked_lm": "<", "self_training": "P", "language_model": "*",
    "vae": "o", "oracle": "^", "variant": "X",
}  # fmt: skip
LINES = {
    "real": "none", "duplicate": "--", "rules": "-.", "masked_lm": (0, (4, 2)), "self_training": (0, (3, 1, 1, 1)),
    "language_model": (0, (5, 1)), "vae": "-", "oracle": ":", "variant": (0, (1, 1)),
}  # fmt: skip


VARIANTS = "XphdH8"
LEGEND_LETTERS, LEGEND_MARK = 64, 7  # room of a line, and what a line's mark takes of it


def look(arm: str) -> str:
    """The name that an arm's colour, marker and line have: its own, or that of all variants."""
    return arm if arm in MARKERS else "variant"


@matplotlib.rc_context(STYLE)
def learning_curve(name: str, arms: dict[str, dict[int, list[float]]], budget: int, chance: float) -> str:
    """Accuracy of one classifier by rows: arm → size → a value a subset; lines join the means."""
    columns = max(1, min(4, LEGEND_LETTERS // (LEGEND_MARK + max(map(len, arms)))))
    figure, plot = axes(3.0 + 0.2 * -(-len(arms) // columns))
    sizes = sorted({size for values in arms.values() for size in values})
    real = arms.get("real", {})
    step = (max(sizes) / min(sizes)) ** 0.012 if len(sizes) > 1 else 1.012
    markers = {arm: MARKERS[look(arm)] for arm in arms}
    markers |= dict(zip((arm for arm in arms if look(arm) == "variant"), itertools.cycle(VARIANTS)))
    for place, (arm, by_size) in enumerate(arms.items()):
        curve = {**({budget: real[budget]} if budget in real else {}), **by_size}
        means = [sum(curve[size]) / len(curve[size]) for size in sorted(curve)]
        colour = INK[look(arm)]
        plot.plot(
            sorted(curve),
            means,
            linestyle=LINES[look(arm)],
            color=colour,
            marker=markers[arm],
            markersize=6,
            label=arm,
            zorder=3,
        )
        for size, values in by_size.items():
            # So that arms do not hide one another.
            shifted = [size * step ** (place - (len(arms) - 1) / 2)] * len(values)
            plot.plot(shifted, values, markers[arm], color=colour, markersize=4, alpha=0.45, zorder=2)
    plot.axhline(chance, color=INK["ink"], linewidth=1, linestyle=(0, (1, 3)))
    plot.annotate(
        "chance",
        (1, chance),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
    )
    plot.set_xscale("log")
    plot.set_xticks(sizes, [f"{size:,}" for size in sizes])
    plot.set_xticks([], minor=True)
    plot.set_xlabel("training rows (log scale)")
    plot.set_ylabel("accuracy, %")
    plot.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(arms), columns), handletextpad=0.3,
        columnspacing=1.0,
    )  # fmt: skip
    told = "; ".join(
        f"{arm} {size}: {sum(values) / len(values):.1f}"
        for arm, by_size in arms.items()
        for size, values in by_size.items()
    )
    return svg(figure, f"curve-{name}", f"Learning curve of {name}", f"Mean accuracy in per cent. {told}.")


@matplotlib.rc_context(STYLE)
def heat_map(grid: Grid) -> str:
    """Mean lifts by budget (down) and ratio (across); framed where they are not 0, by the corrected p-value."""
    figure, plot = axes(1.2 + 0.42 * len(grid.budgets))
    largest = max([abs(gain.mean) for line in grid.lifts for gain in line if gain and gain.mean is not None] or [1.0])
    told = []
    for y, (budget, line) in enumerate(zip(grid.budgets, grid.lifts, strict=True)):
        for x, (ratio, gain) in enumerate(zip(grid.ratios, line, strict=True)):
            if gain is None or gain.mean is None:
                continue
            colour = INK["vae"] if gain.mean > 0 else INK["self_training"]
            shade = 0.08 + 0.6 * abs(gain.mean) / (largest or 1.0)
            plot.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, linewidth=0, alpha=shade))
            if grid.p_values.get((budget, ratio), 1.0) < SIGNIFICANT:
                frame = Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=INK["ink"], linewidth=1.2)
                plot.add_patch(frame)
            plot.text(x, y, f"{gain.mean:+.1f}", ha="center", va="center")
            told.append(f"budget {budget} times {ratio}: {gain.mean:+.1f}")
    plot.set_xlim(-0.5, len(grid.ratios) - 0.5)
    plot.set_ylim(len(grid.budgets) - 0.5, -0.5)
    plot.set_xticks(range(len(grid.ratios)), [f"×{ratio}" for ratio in grid.ratios])
    plot.set_yticks(range(len(grid.budgets)), [str(budget) for budget in grid.budgets])
    plot.set_xlabel("generated rows a real one")
    plot.set_ylabel("real rows")
    plot.grid(visible=False)
    name = f"heat-{grid.classifier}-{grid.arm}"
    return svg(figure, name, f"Lift of {grid.arm} for {grid.classifier}", f"Mean lift in points. {'; '.join(told)}.")


@matplotlib.rc_context(STYLE)
def slices(name: str, found: Sequence[dict[str, Any]]) -> str:
    """Lift of one classifier on kinds of test rows, with intervals."""
    shown = [one for one in found if one["lift"] is not None]
    figure, plot = axes(1.1 + 0.3 * len(shown))
    for place, one in enumerate(shown):
        if one["low"] is not None:
            plot.hlines(place, one["low"], one["high"], color=INK["vae"], linewidth=2)
        plot.plot(one["lift"], place, "D", color=INK["vae"], markersize=6)
    plot.axvline(0, color=INK["ink"], linewidth=1)
    plot.set_yticks(range(len(shown)), [one["slice"] for one in shown], fontsize=8)
    plot.set_ylim(len(shown) - 0.5, -0.5)
    plot.set_xlabel("points against duplicate")
    told = "; ".join(f"{one['slice']}: {one['lift']:+.1f}" for one in shown)
    return svg(figure, f"slices-{name}", f"Lift of vae for {name} by kinds of test rows", f"Points. {told}.")


@matplotlib.rc_context(STYLE)
def costs(name: str, points: Sequence[tuple[str, float, Interval]]) -> str:
    """Lift of one classifier's arms against the CPU seconds that their generated rows took."""
    figure, plot = axes(3.2)
    for label, seconds, gain in points:
        arm = label.split()[0]
        assert gain.mean is not None
        if gain.low is not None and gain.high is not None:
            plot.vlines(seconds, gain.low, gain.high, color=INK[look(arm)], linewidth=1.5)
        plot.plot(seconds, gain.mean, MARKERS[look(arm)], color=INK[look(arm)], markersize=7)
        plot.annotate(label, (seconds, gain.mean), (6, 4), textcoords="offset points", fontsize=8)
    plot.axhline(0, color=INK["ink"], linewidth=1)
    plot.set_xscale("log")
    plot.margins(x=0.25)
    plot.set_xlabel("CPU seconds to write and choose the rows (log scale)")
    plot.set_ylabel("lift, points")
    told = "; ".join(f"{label}: {seconds:.1f} s, {gain.mean:+.1f}" for label, seconds, gain in points)
    return svg(figure, f"costs-{name}", f"Lift and cost for {name}", f"CPU seconds and mean lift in points. {told}.")


@matplotlib.rc_context(STYLE)
def lifts(name: str, rows: Sequence[tuple[str, str, Interval, Sequence[float]]]) -> str:
    """Forest plot of a classifier: (label, arm, lift with its interval, lift of each subset), one a line."""
    figure, plot = axes(1.1 + 0.3 * len(rows))
    for place, (_, arm, gain, values) in enumerate(rows):
        assert gain.mean is not None  # a line has values
        plot.plot(values, [place + 0.22] * len(values), "o", color=INK[look(arm)], markersize=4, alpha=0.45)
        if gain.low is not None and gain.high is not None:
            plot.hlines(place, gain.low, gain.high, color=INK[look(arm)], linewidth=2)
        filled = INK[look(arm)] if gain.low is not None else "none"
        plot.plot(gain.mean, place, "D", color=INK[look(arm)], markerfacecolor=filled, markersize=7)
    plot.axvline(0, color=INK["ink"], linewidth=1)
    plot.set_yticks(range(len(rows)), [label for label, *_ in rows])
    plot.set_ylim(len(rows) - 0.5, -0.5)
    plot.set_xlabel("points against duplicate")
    told = "; ".join(f"{label}: {gain.mean:+.1f}" for label, _, gain, _ in rows)
    return svg(figure, f"lifts-{name}", f"Lift of generated rows, {name}", f"Mean lift in points. {told}.")
