"""Where the sentences of the pinned dataset lie in the latent space, and where one's own does."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import limits
import numpy as np
import pyarrow.parquet as pq
from loading import Pin, PinnedModel
from panels import MODEL_WORK, plain, record_box, scatter, sentences_of
from panels.scatter import HEIGHT, MARGIN, WIDTH

SENTENCES_A_ROW, SENTENCES = 3, 300
NEAREST = 5
COLOURS = ["#d97706", "#0d9488", "#7c3aed", "#db2777", "#65a30d", "#2563eb"]
EXAMPLES = [["a moving and funny film."], ["the plot is dull."], ["what a waste of my time and money!"]]


class Map(NamedTuple):
    """Sentences with the labels of their rows, means (N, Z), and the plane of the first two components (Z, 2)."""

    sentences: list[str]
    labels: list[str]
    means: np.ndarray
    plane: np.ndarray
    share: float  # of the variance that the plane shows


def original_rows(folder: Path) -> tuple[list[str], list[str]]:
    """Texts and label names of the dataset's rows that people wrote."""
    table = pq.read_table(folder / "train.parquet", columns=["text", "label", "method"])
    features = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    names = features.get("label", {}).get("names")
    rows = [row for row in table.to_pylist() if row["method"] == "original"]
    return [row["text"] for row in rows], [str(names[row["label"]] if names else row["label"]) for row in rows]


def means_of(model: PinnedModel, sentences: list[str]) -> np.ndarray:
    """(N, Z) means by the encoder alone, in one pass: refined ones take minutes and hardly move on a map."""
    loaded = model.load()
    posterior = loaded.generation.encode_texts(loaded.model, sentences, loaded.tokenizer, refinement_steps=0)
    return posterior.mean.numpy()


def draw(model: PinnedModel, folder: Path) -> Map:
    """The map of a dataset's original rows: some sentences of each, projected by PCA."""
    loaded = model.load()
    texts, names = original_rows(folder)
    rows = loaded.sentences.fit_sentences(texts, loaded.tokenizer, loaded.model.config.max_text_length)
    pairs = [(text, name) for row, name in zip(rows, names, strict=True) for text in row[:SENTENCES_A_ROW]]
    sentences, labels = map(list, zip(*pairs[:SENTENCES], strict=True))
    means = means_of(model, sentences)
    _, values, directions = np.linalg.svd(means - means.mean(0), full_matrices=False)
    return Map(sentences, labels, means, directions[:2].T, float((values[:2] ** 2).sum() / (values**2).sum()))


def place(model: PinnedModel, drawn: Map, text: Any) -> tuple[str, list[list[Any]]]:
    """The map with the points of a text, if there is one, and the sentences nearest to it."""
    own = [] if text is None else sentences_of(model, text, "Your text")
    means = np.concatenate([drawn.means, means_of(model, own)]) if own else drawn.means
    points = (means - drawn.means.mean(0)) @ drawn.plane
    if not own:
        return picture(drawn, points, own), []
    distances = np.linalg.norm(drawn.means[None] - means[len(drawn.means) :, None], axis=-1).min(0)
    order = distances.argsort(kind="stable")[:NEAREST]
    nearest = [[drawn.sentences[row], drawn.labels[row], f"{distances[row]:.1f}"] for row in order]
    return picture(drawn, points, own), nearest


def picture(drawn: Map, points: np.ndarray, own: list[str]) -> str:
    """Points (N, 2) as HTML: those of the map by label, then a text's own; each says its text when pointed at."""
    low, high = points.min(0), points.max(0)
    scaled = (points - low) / np.maximum(high - low, 1e-9) * [WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN] + MARGIN
    colours = dict(zip(sorted(set(drawn.labels)), COLOURS * len(drawn.labels), strict=False))
    looks = [scatter.other(colours[label]) for label in drawn.labels] + [scatter.YOURS] * len(own)
    told = [f"{label}: {text}" for text, label in zip(drawn.sentences, drawn.labels, strict=True)]
    told += [f"your text: {text}" for text in own]
    marks = "".join(
        scatter.point(x, HEIGHT - y, look, text) for (x, y), look, text in zip(scaled, looks, told, strict=True)
    )
    legend = "".join(f'<i style="background: {colour}"></i>{plain(label)}' for label, colour in colours.items())
    return f'<div class="legend">{legend}<i style="background: #dc2626"></i>your text</div>' + scatter.chart(
        marks, "Latent map", f"The plane shows {drawn.share:.0%} of the variance of the means."
    )


def build(model: PinnedModel, dataset: Pin, folder: Path, tab: gr.Tab) -> None:
    """The tab; the map is computed when it is first opened."""
    gr.Markdown(
        f"Sentences of the dataset's original rows, at most {SENTENCES_A_ROW} of each, by label of their row: means "
        "of their posteriors on the first two principal components. Point at one, or tap it, to read it."
    )
    text = gr.Textbox(label="Your text", max_length=limits.TEXT, lines=2, placeholder="A sentence to put on the map")
    button = gr.Button("Put on the map", variant="primary")
    gr.Examples(EXAMPLES, text, label="Example texts")
    shown = gr.HTML(label="Latent map", css_template=scatter.CSS, js_on_load=scatter.JS)
    table = gr.Dataframe(
        headers=["Text", "Label", "Distance"], label="Nearest sentences of the dataset", interactive=False, wrap=True,
        column_widths=["50%", "22%", "28%"], buttons=[],
    )  # fmt: skip
    record = record_box()
    drawn = cache(lambda: draw(model, folder))
    told = model.record(dataset=dataset)

    def show(value: Any) -> tuple[Any, ...]:
        return *place(model, drawn(), value), told if value is None else f"{told} · and the same text"

    gr.on(
        [button.click, text.submit], lambda value: show(value or ""), text, [shown, table, record],
        api_name="latent_map", **MODEL_WORK,
    )  # fmt: skip
    tab.select(lambda: show(None), None, [shown, table, record], api_visibility="private", **MODEL_WORK)
