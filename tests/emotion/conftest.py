"""A few annotated sentences whose ratings follow from their words, with repeated texts."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import yaml
from accelerate.state import AcceleratorState

GOOD, BAD = ("funny", "good", "loved", "moving"), ("dull", "bad", "worst", "lifeless")


@pytest.fixture(autouse=True)
def fresh_accelerator(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TEXTVAE_PROGRESS", "0")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def annotated_rows() -> list[dict]:
    rows = []
    for place, (first, second, thing) in enumerate(
        itertools.product(GOOD + BAD, GOOD + BAD, ("film", "story", "cast"))
    ):
        valence = 3 + 0.4 * sum(1 if word in GOOD else -1 for word in (first, second))
        rows.append(
            {
                "text": f"the {thing} is {first} and {second}.",
                "V": valence,
                "A": 3 + 0.2 * (place % 3),
                "stdV": 0.1 * (place % 5),
                "stdA": 0.3,
                "category": thing,
            }
        )
    rows += [{**row, "text": f"The {row['text'][4:-1]} !", "V": 3.0} for row in rows[::9]]  # the same to a hash
    return rows


@pytest.fixture
def write(tmp_path):
    def write(rows: list[dict], name: str = "rated.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


MODEL = {
    "encoder_layers": [0, 2], "hidden_size": 16, "num_hidden_layers": 2, "num_members": 2, "epochs": 4,
    "batch_size": 16, "hidden_dropout": 0.0, "embedding_dropout": 0.0, "learning_rate": 0.01, "warmup_steps": 5,
}  # fmt: skip


@pytest.fixture
def recipe(tmp_path, tiny_encoder, write, annotated_rows):
    """Writes a recipe file for rows, with changes of its model and variants, and further fields."""

    def recipe(rows=annotated_rows, variants=(), fields=(), **changes) -> str:
        model = {**MODEL, "encoder": str(tiny_encoder)}
        data = {
            "data": write(rows),
            "folds": 2,
            "model": {**model, **changes},
            "variants": {name: {**model, **one} for name, one in dict(variants).items()},
            **dict(fields),
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(data))
        return str(path)

    return recipe
