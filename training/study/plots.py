"""The plots of a report as SVG: text stays text, colours are CSS variables that follow light and dark pages.

Each is drawn narrow enough to be read on a phone at its full width; a page sets them side by side.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .statistics import Interval

# name: (light page, dark page)
COLOURS = {
    "ink": ("#1f2328", "#e6e8ea"),
    "faint": ("#d5dae0", "#3d444d"),
    "real": ("#1f2328", "#e6e8ea"),
    "duplicate": ("#69727d", "#9aa5b1"),
    "vae": ("#c2410c", "#fb923c"),
    "oracle": ("#0f766e", "#2dd4bf"),
}
MARKERS = {"real": "D", "duplicate": "s", "vae": "o", "oracle": "^"}
LINES = {"duplicate": "--", "vae": "-", "oracle": ":"}
# Colours that stand for the variables while matplotlib draws.
_INK = {name: f"#0a0b{place:02x}" for place, name in enumerate(COLOURS)}
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK["ink"],
    "axes.edgecolor": _INK["ink"],
    "axes.labelcolor": _INK["ink"],
    "xtick.color": _INK["ink"],
    "ytick.color": _INK["ink"],
    "grid.color": _INK["faint"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
WIDTH = 5.0  # inches, at 72 units each: 360 wide


@matplotlib.rc_context(_STYLE)
def learning_curve(name: str, arms: dict[str, dict[int, list[float]]], budget: int, chance: float) -> str:
    """Accuracy of one classifier by rows: arm → size → a value a subset; lines join the means."""
    figure, axes = _axes(3.4)
    sizes = sorted({size for values in arms.values() for size in values})
    real = arms.get("real", {})
    step = (max(sizes) - min(sizes) or max(sizes)) * 0.012
    for place, (arm, by_size) in enumerate(arms.items()):
        curve = {**({budget: real[budget]} if budget in real else {}), **by_size}
        means = [sum(curve[size]) / len(curve[size]) for size in sorted(curve)]
        colour = _INK[arm]
        axes.plot(
            sorted(curve),
            means,
            LINES.get(arm, ""),
            color=colour,
            marker=MARKERS[arm],
            markersize=6,
            label=arm,
            zorder=3,
        )
        for size, values in by_size.items():
            shifted = [size + (place - 1) * step] * len(values)  # so that arms do not hide one another
            axes.plot(shifted, values, MARKERS[arm], color=colour, markersize=4, alpha=0.45, zorder=2)
    axes.axhline(chance, color=_INK["ink"], linewidth=1, linestyle=(0, (1, 3)))
    axes.annotate(
        "chance",
        (1, chance),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
    )
    axes.set_xticks(sizes)
    axes.set_xlabel("training rows")
    axes.set_ylabel("accuracy, %")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(arms), handletextpad=0.3, columnspacing=1.0)
    told = "; ".join(
        f"{arm} {size}: {sum(values) / len(values):.1f}"
        for arm, by_size in arms.items()
        for size, values in by_size.items()
    )
    return _svg(figure, f"curve-{name}", f"Learning curve of {name}", f"Mean accuracy in per cent. {told}.")


@matplotlib.rc_context(_STYLE)
def lifts(rows: Sequence[tuple[str, Interval, Sequence[float]]]) -> str:
    """Forest plot: (label, lift with its interval, lift of each subset), one a line."""
    figure, axes = _axes(1.1 + 0.42 * len(rows))
    for place, (_, gain, values) in enumerate(rows):
        assert gain.mean is not None  # a line has values
        axes.plot(values, [place + 0.22] * len(values), "o", color=_INK["vae"], markersize=4, alpha=0.45)
        if gain.low is not None and gain.high is not None:
            axes.hlines(place, gain.low, gain.high, color=_INK["vae"], linewidth=2)
        filled = _INK["vae"] if gain.low is not None else "none"
        axes.plot(gain.mean, place, "D", color=_INK["vae"], markerfacecolor=filled, markersize=7)
    axes.axvline(0, color=_INK["ink"], linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("points of accuracy against duplicate")
    told = "; ".join(f"{label}: {gain.mean:+.1f}" for label, gain, _ in rows)
    return _svg(figure, "lifts", "Lift of generated rows", f"Mean lift in points. {told}.")


@matplotlib.rc_context(_STYLE)
def training_curve(name: str, label: str, steps: Sequence[float], values: Sequence[float]) -> str:
    """One quantity of the VAE's training by optimiser step."""
    figure, axes = _axes(2.6)
    axes.plot(steps, values, color=_INK["vae"], linewidth=1.6)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    told = f"It begins at {values[0]:.4g} and ends at {values[-1]:.4g}."
    return _svg(figure, f"vae-{name}", f"{label} in the VAE's training", told)


def stylesheet() -> str:
    """The variables' values, for a page or a file of its own."""
    light, dark = (" ".join(f"--{name}: {shades[side]};" for name, shades in COLOURS.items()) for side in (0, 1))
    return f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def standalone(svg: str) -> str:
    """A plot as a file: the same drawing, with its own colours."""
    return re.sub(r"(<svg[^>]*>)", lambda match: f"{match[1]}<style>{stylesheet()}</style>", svg, count=1)


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str, title: str, description: str) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    (box,) = re.findall('viewBox="([^"]+)"', svg)
    for key, stand_in in _INK.items():
        svg = svg.replace(stand_in, f"var(--{key})")
    # Ids have to be unique in a page of several plots.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1)
