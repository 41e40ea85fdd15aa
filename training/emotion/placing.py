"""A dataset on the map of emotions: what a run's model says of somebody's own texts."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel

from ..common.drawing import standalone
from ..common.errors import UserError
from ..common.files import write_text
from ..common.progress import bar
from .measures import NAMES
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
    model, tokenizer = load_model(folder / "model")
    parts = []
    with bar(total=len(texts), label="placing", unit="text") as progress:
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            said = model.predict(part, tokenizer)
            parts.append(np.concatenate([said.mean, said.rater_deviation, said.mean_deviation], axis=1))
            progress.update(len(part))
    table = np.concatenate(parts)
    names = [f"{kind}{name}" for kind in ("", "rater_deviation_", "mean_deviation_") for name in NAMES]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column, *names])
    for text, row in zip(texts, table, strict=True):
        writer.writerow([text, *("" if np.isnan(value) else f"{value:.4f}" for value in row)])
    place = folder / "placed"
    write_text(place / "predictions.csv", buffer.getvalue())
    if len(model.rated) == len(NAMES):
        write_text(place / "map.svg", standalone(emotion_map("map", table[:, :2], None)))
    return place / "predictions.csv"


def load_model(folder: Path) -> tuple[EmotionVAEModel, AutoTokenizer]:
    """Model, in eval mode, and tokenizer of a folder that a run wrote.

    Raises:
        UserError: there is none, or it is damaged or of another kind.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: holds no model (config.json is missing); run `textvae emotion` first")
    try:
        model, loading = EmotionVAEModel.from_pretrained(folder, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{folder}: cannot be loaded, it is damaged or no emotion VAE ({reason})") from error
    if loading["missing_keys"] or loading["mismatched_keys"]:
        raise UserError(f"{folder}: the weights do not fit config.json; they belong to another configuration")
    return model.eval(), tokenizer
