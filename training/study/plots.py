"""The plots of a report."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib

from ..common.drawing import INK, STYLE, axes, svg
from .statistics import Interval

MARKERS = {
    "real": "D", "duplicate": "s", "rules": "v", "self_training": "P", "language_model": "*", "vae": "o", "oracle": "^",
    "variant": "X",
}  # fmt: skip
LINES = {
    "real": "none", "duplicate": "--", "rules": "-.", "self_training": (0, (3, 1, 1, 1)), "language_model": (0, (5, 1)),
    "vae": "-", "oracle": ":", "variant": (0, (1, 1)),
}  # fmt: skip


def look(arm: str) -> str:
    """The name that an arm's colour, marker and line have: its own, or that of all variants."""
    return arm if arm in MARKERS else "variant"


@matplotlib.rc_context(STYLE)
def learning_curve(name: str, arms: dict[str, dict[int, list[float]]], budget: int, chance: float) -> str:
    """Accuracy of one classifier by rows: arm → size → a value a subset; lines join the means."""
    figure, plot = axes(3.4)
    sizes = sorted({size for values in arms.values() for size in values})
    real = arms.get("real", {})
    step = (max(sizes) - min(sizes) or max(sizes)) * 0.012
    for place, (arm, by_size) in enumerate(arms.items()):
        curve = {**({budget: real[budget]} if budget in real else {}), **by_size}
        means = [sum(curve[size]) / len(curve[size]) for size in sorted(curve)]
        colour = INK[look(arm)]
        plot.plot(
            sorted(curve),
            means,
            linestyle=LINES[look(arm)],
            color=colour,
            marker=MARKERS[look(arm)],
            markersize=6,
            label=arm,
            zorder=3,
        )
        for size, values in by_size.items():
            shifted = [size + (place - (len(arms) - 1) / 2) * step] * len(
                values
            )  # so that arms do not hide one another
            plot.plot(shifted, values, MARKERS[look(arm)], color=colour, markersize=4, alpha=0.45, zorder=2)
    plot.axhline(chance, color=INK["ink"], linewidth=1, linestyle=(0, (1, 3)))
    plot.annotate(
        "chance",
        (1, chance),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
    )
    plot.set_xticks(sizes)
    plot.set_xlabel("training rows")
    plot.set_ylabel("accuracy, %")
    plot.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(arms), 4), handletextpad=0.3, columnspacing=1.0
    )
    told = "; ".join(
        f"{arm} {size}: {sum(values) / len(values):.1f}"
        for arm, by_size in arms.items()
        for size, values in by_size.items()
    )
    return svg(figure, f"curve-{name}", f"Learning curve of {name}", f"Mean accuracy in per cent. {told}.")


@matplotlib.rc_context(STYLE)
def lifts(rows: Sequence[tuple[str, str, Interval, Sequence[float]]]) -> str:
    """Forest plot: (label, arm, lift with its interval, lift of each subset), one a line."""
    figure, plot = axes(1.1 + 0.42 * len(rows))
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
    plot.set_xlabel("points of accuracy against duplicate")
    told = "; ".join(f"{label}: {gain.mean:+.1f}" for label, _, gain, _ in rows)
    return svg(figure, "lifts", "Lift of generated rows", f"Mean lift in points. {told}.")
