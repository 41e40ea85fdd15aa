"""A dataset on the map of emotions: what a run's model says of somebody's own texts."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from textvae.modeling_emotion_vae.configuration_emotion_vae import DIMENSIONS
from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel

from ..common.drawing import standalone
from ..common.files import write_text
from ..common.model_folders import load_model, load_tokenizer
from ..common.progress import bar
from .plots import emotion_map

BATCH = 512


def place_texts(folder: Path, texts: list[str], column: str) -> Path:
    """Write `placed/predictions.csv`, a row a text, and `placed/map.svg` into a run's folder; returns the first.

    Args:
        folder: of a run, with its model in `model/`.
        column: what the texts' column is called.

    Raises:
        UserError: no model there.
    """
    model = load_model(EmotionVAEModel, folder / "model", "textvae emotion")
    tokenizer = load_tokenizer(folder / "model", "textvae emotion")
    parts = []
    with bar(total=len(texts), label="placing", unit="text") as progress:
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            said = model.predict(part, tokenizer)
            parts.append(np.concatenate([said.mean, said.rater_deviation, said.mean_deviation], axis=1))
            progress.update(len(part))
    table = np.concatenate(parts)
    names = [f"{kind}{name}" for kind in ("", "rater_deviation_", "mean_deviation_") for name in DIMENSIONS]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column, *names])
    for text, row in zip(texts, table, strict=True):
        writer.writerow([text, *("" if np.isnan(value) else f"{value:.4f}" for value in row)])
    place = folder / "placed"
    write_text(place / "predictions.csv", buffer.getvalue())
    if len(model.rated) == len(DIMENSIONS):
        write_text(place / "map.svg", standalone(emotion_map("map", table[:, :2], None)))
    return place / "predictions.csv"
