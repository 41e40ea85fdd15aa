"""Sentences on the map of emotions, with how sure the model is and how far people differ."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import limits
from loading import PinnedEmotion
from panels import MODEL_WORK, record_box
from panels.scatter import CSS, HEIGHT, JS, MARGIN, WIDTH, YOURS, chart, other, point

MAP = "map.json"  # beside the weights: sentences as the model places them
COVERAGE = 0.9
HEADERS = ["Sentence", "Valence", "Arousal", "People differ by"]
EXAMPLES = [
    ["What a lovely day!\nI could scream.\nThe meeting is at nine."],
    ["He closed the door softly and went to sleep.\nThey won, they won, they won!"],
    ["The dog died last night."],
]
AXES = """
svg text { fill: var(--body-text-color); font-size: 14px; }
svg .axis { stroke: var(--border-color-primary); stroke-width: 1; }
svg .width { stroke: #dc2626; stroke-width: 2; }
"""


class Placed(NamedTuple):
    """A text and where it lies, in rating units: the ends of the intervals of its mean ratings, raters' deviations.

    An arousal that the model's training data never rated is None; intervals and raters then are of valence alone.
    """

    text: str
    valence: float
    arousal: float | None
    interval: list[list[float]]  # (valence and, where rated, arousal) × (lowest, highest)
    raters: list[float]


def place(model: PinnedEmotion, text: Any) -> list[Placed]:
    """Each line of a text on the map."""
    lines = [line.strip() for line in limits.text(text, "Sentences").splitlines() if line.strip()]
    if len(lines) > limits.SENTENCES:
        raise limits.refuse(f"Sentences: {len(lines)} lines; give at most {limits.SENTENCES}.")
    emotion, tokenizer = model.load()
    said = emotion.predict(lines, tokenizer)
    low, high = said.interval(COVERAGE)
    rated = emotion.rated
    return [
        Placed(
            line,
            said.mean[row, 0].item(),
            said.mean[row, 1].item() if 1 in rated else None,
            [[low[row, place].item(), high[row, place].item()] for place in rated],
            [said.rater_deviation[row, place].item() for place in rated],
        )
        for row, line in enumerate(lines)
    ]


def picture(placed: list[Placed], others: list[list[Any]], scale: tuple[float, float]) -> str:
    """The map as HTML: sentences of the corpus, those that were typed with their intervals, each said when pointed at.

    Args:
        others: text, valence, arousal of each sentence of the corpus.
        scale: lowest and highest rating.
    """
    shown = [(text, valence, arousal, None) for text, valence, arousal in others]
    shown += [(one.text, one.valence, one.arousal, one.interval) for one in placed]
    # The scale's ends are hardly ever given: what is shown is where sentences are.
    spans = []
    for axis in (1, 2):
        values = [one[axis] for one in shown if one[axis] is not None]
        values += [end for *_, interval in shown if interval and axis <= len(interval) for end in interval[axis - 1]]
        low, high = min(values, default=scale[0]), max(values, default=scale[1])
        spans.append((low, max(high - low, 0.5)))

    def at(axis: int, value: float) -> float:
        low, length = spans[axis]
        side = (WIDTH, HEIGHT)[axis]
        share = (value - low) / length
        return MARGIN + (side - 2 * MARGIN) * (share if axis == 0 else 1 - share)

    marks = []
    for text, valence, arousal, interval in shown:
        x, y = at(0, valence), HEIGHT / 2 if arousal is None else at(1, arousal)
        if interval:
            left, right = (at(0, end) for end in interval[0])
            marks.append(f'<line class="width" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if len(interval) > 1:
                low, high = (at(1, end) for end in interval[1])
                marks.append(f'<line class="width" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        told = f"{text} (valence {valence:.2f}" + (")" if arousal is None else f", arousal {arousal:.2f})")
        marks.append(point(x, y, YOURS if interval else other("#0d9488"), told))
    left, right, bottom, top = (f"{low + share * length:.1f}" for low, length in spans for share in (0, 1))
    foot = HEIGHT - 4  # of the lower names; those at the side begin above them
    names = (
        f'<text x="{MARGIN}" y="{foot}">unpleasant, {left}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{foot}" text-anchor="end">pleasant, {right}</text>'
    )
    if any(one[2] is not None for one in shown):
        names += (
            f'<text transform="translate({MARGIN + 4} {foot - 18}) rotate(-90)">calm, {bottom}</text>'
            f'<text transform="translate({MARGIN + 4} {MARGIN}) rotate(-90)" text-anchor="end">excited, {top}</text>'
        )
    return chart(names + "".join(marks), "Emotion map", "Point at a sentence, or tap it, to read it.")


def show(model: PinnedEmotion, others: list[list[Any]], text: Any) -> tuple[str, list[list[Any]], str]:
    """Map and table of what was typed, and how to get them again."""
    placed = place(model, text)
    config = model.load()[0].config
    rows = [
        [
            one.text,
            *(
                f"{mean:.2f} ({one.interval[axis][0]:.2f} to {one.interval[axis][1]:.2f})"
                if mean is not None
                else "not rated"
                for axis, mean in enumerate((one.valence, one.arousal))
            ),
            ", ".join(f"{deviation:.2f}" for deviation in one.raters),
        ]
        for one in placed
    ]
    scale = (config.lowest_rating, config.highest_rating)
    return picture(placed, others, scale), rows, model.record() + " · and the same sentences"


def corpus(folder: Path) -> list[list[Any]]:
    """Sentences that came with the model: text, valence, arousal."""
    file = folder / MAP
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def build(model: PinnedEmotion) -> None:
    """The tab."""
    gr.Markdown(
        "How pleasant (valence) and how excited (arousal) sentences are to their readers: one a line. The lines "
        f"through a point hold the mean rating of {COVERAGE:.0%} of such sentences."
    )
    text = gr.Textbox(label="Sentences", lines=3, max_length=limits.TEXT, placeholder="One a line")
    button = gr.Button("Place on the map", variant="primary")
    gr.Examples(EXAMPLES, text, label="Example sentences")
    shown = gr.HTML(label="Emotion map", css_template=CSS + AXES, js_on_load=JS)
    table = gr.Dataframe(
        headers=HEADERS,
        label=f"Mean ratings with {COVERAGE:.0%} intervals; standard deviations of raters (valence, arousal)",
        interactive=False, wrap=True, buttons=[], column_widths=["40%", "22%", "22%", "16%"],
    )  # fmt: skip
    record = record_box()
    others = cache(lambda: corpus(model.folder))
    gr.on(
        button.click, lambda value: show(model, others(), value), text, [shown, table, record],
        api_name="emotion", **MODEL_WORK,
    )  # fmt: skip
