"""Drawing for pages: SVG whose text stays text and whose colours are CSS variables that follow light and dark pages.

Drawings are narrow enough to be read on a phone at its full width; a page sets them side by side.
"""

from __future__ import annotations

import io
import re
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# name: (light page, dark page)
COLOURS = {
    "ink": ("#1f2328", "#e6e8ea"),
    "faint": ("#d5dae0", "#3d444d"),
    "real": ("#1f2328", "#e6e8ea"),
    "duplicate": ("#69727d", "#9aa5b1"),
    "rules": ("#7c3aed", "#a78bfa"),
    "self_training": ("#1d4ed8", "#60a5fa"),
    "masked_lm": ("#a16207", "#facc15"),
    "language_model": ("#be185d", "#f472b6"),
    "vae": ("#c2410c", "#fb923c"),
    "oracle": ("#0f766e", "#2dd4bf"),
    "variant": ("#4d7c0f", "#a3e635"),
}
# Colours that stand for the variables while matplotlib draws.
INK = {name: f"#0a0b{place:02x}" for place, name in enumerate(COLOURS)}
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK["ink"],
    "axes.edgecolor": INK["ink"],
    "axes.labelcolor": INK["ink"],
    "xtick.color": INK["ink"],
    "ytick.color": INK["ink"],
    "grid.color": INK["faint"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
WIDTH = 5.0  # inches, at 72 units each: 360 wide


def stylesheet() -> str:
    """The variables' values, for a page or a file of its own."""
    light, dark = (" ".join(f"--{name}: {shades[side]};" for name, shades in COLOURS.items()) for side in (0, 1))
    return f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def standalone(drawing: str) -> str:
    """A plot as a file: the same drawing, with its own colours."""
    return re.sub(r"(<svg[^>]*>)", lambda match: f"{match[1]}<style>{stylesheet()}</style>", drawing, count=1)


def axes(height: float) -> tuple[Figure, Axes]:
    """An empty figure of a page's width and `height` inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an element of a page; `name` makes its ids unique there, the rest is read out by screen readers."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    (box,) = re.findall('viewBox="([^"]+)"', drawing)
    for key, stand_in in INK.items():
        drawing = drawing.replace(stand_in, f"var(--{key})")
    # Ids have to be unique in a page of several plots.
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: head, drawing, count=1)
