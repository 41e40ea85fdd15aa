"""Points on a plane, as HTML, each of which says its text when it is pointed at."""

from __future__ import annotations

from panels import plain

WIDTH, HEIGHT, MARGIN = 600, 400, 12
YOURS = 'r="8" class="yours"'  # how a point of what was typed looks
CSS = """
svg { width: 100%; height: auto; border: 1px solid var(--border-color-primary); border-radius: 8px; }
circle { fill-opacity: 0.65; cursor: pointer; }
circle:hover, circle:focus { stroke: var(--body-text-color); stroke-width: 2; outline: none; }
circle.yours { fill: #dc2626; fill-opacity: 1; stroke: var(--body-text-color); stroke-width: 2; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.3em 0 1em; border-radius: 50%; }
.said { min-height: 3em; }
"""
# A browser's own tooltips are slow, and unknown to fingers and keyboards: what is pointed at is said below the map.
JS = """
const say = event => {
    const title = event.target.closest("circle")?.querySelector("title");
    if (title) element.querySelector(".said").textContent = title.textContent;
};
for (const kind of ["pointerover", "click", "focusin"]) element.addEventListener(kind, say);
"""


def other(colour: str) -> str:
    """How a point of the map itself looks."""
    return f'r="5" fill="{colour}"'


def point(x: float, y: float, look: str, told: str) -> str:
    """A point at x from the left and y from the top, in units of WIDTH and HEIGHT."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" {look} tabindex="0"><title>{plain(told)}</title></circle>'


def chart(marks: str, label: str, said: str) -> str:
    """The map, called `label`, and below it what is said until a point is pointed at."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{label}">{marks}</svg>'
        f'<p class="said" aria-live="polite">{said}</p>'
    )
