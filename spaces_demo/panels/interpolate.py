"""Sentences on the way from one text to another."""

from __future__ import annotations

from typing import Any

import gradio as gr
import limits
from loading import PinnedModel
from panels import MODEL_WORK, record_box

PATHS = ["linear", "spherical"]
EXAMPLES = [
    ["a moving and funny film.", "the plot is dull."],
    ["one of the best films of the year.", "i want my two hours back."],
    ["the acting is wooden.", "the camera loves every face."],
]


def interpolate(model: PinnedModel, start: Any, end: Any, steps: Any, path: Any) -> tuple[list[list[str]], str]:
    """A row a step, ends included, and how to get them again."""
    start = limits.text(start, "From", limits.SENTENCE)
    end = limits.text(end, "To", limits.SENTENCE)
    steps = limits.whole(steps, "Steps", 3, 12)
    if path not in PATHS:
        raise limits.refuse("Path must be linear or spherical.")
    loaded = model.load()
    texts = loaded.model.interpolate(start, end, loaded.tokenizer, steps, spherical=path == "spherical")
    rows = [[f"{100 * place / (steps - 1):.0f} %", text] for place, text in enumerate(texts)]
    return rows, model.record(path=path, steps=steps) + " · and the same texts"


def build(model: PinnedModel) -> None:
    """The tab."""
    gr.Markdown("Each text is read as one sentence, as far as the model reads. The way leads between their latents.")
    with gr.Row():
        start = gr.Textbox(label="From", max_length=limits.SENTENCE, lines=2)
        end = gr.Textbox(label="To", max_length=limits.SENTENCE, lines=2)
    with gr.Row():
        steps = gr.Slider(3, 12, 8, step=1, label="Steps", info="both ends included")
        path = gr.Radio(PATHS, value=PATHS[0], label="Path", info="a line, or an arc that keeps the length")
    button = gr.Button("Interpolate", variant="primary")
    gr.Examples(EXAMPLES, [start, end], label="Example pairs")
    table = gr.Dataframe(
        headers=["Way", "Sentence"], label="Sentences on the way", interactive=False, wrap=True, buttons=[],
        column_widths=["18%", "82%"],
    )  # fmt: skip
    record = record_box()
    gr.on(
        [button.click, start.submit, end.submit], lambda *values: interpolate(model, *values),
        [start, end, steps, path], [table, record], api_name="interpolate", **MODEL_WORK,
    )  # fmt: skip
