"""A dataset of short reviews whose label is easily learned, and a recipe that takes a second."""

from __future__ import annotations

import random

import pandas as pd
import pytest
import yaml

from textvae.training.lstm.run import run_lstm


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """Folder of a dataset of two classes, as a snapshot of the Hub looks."""
    folder, draw = tmp_path_factory.mktemp("reviews"), random.Random(0)
    for split, rows in (("train", 240), ("test", 60)):
        texts = []
        for number in range(rows):
            word = draw.choice(["good", "funny", "loved"] if number % 2 else ["bad", "dull", "lifeless"])
            others = draw.choices(
                ["the", "film", "story", "cast", "year", "of", "movie", "every"], k=draw.randint(3, 12)
            )
            others.insert(draw.randrange(len(others)), word)
            texts.append(f"{' '.join(others)} {number}")
        labels = [("neg", "pos")[number % 2] for number in range(rows)]
        pd.DataFrame({"text": texts, "label": labels}).to_parquet(folder / f"{split}.parquet")
    return folder


@pytest.fixture(scope="session")
def write_recipe(reviews, tiny_encoder):
    """Writes a recipe with some fields changed into a folder, and gives its path."""

    def write(folder, **changes):
        fields = {
            "dataset": str(reviews),
            "tokenizer": str(tiny_encoder),
            "precision": "float32",
            "max_length": 16,
            "embedding_size": 12,
            "hidden_size": 8,
            "bigram_buckets": 50,
            "bigram_size": 4,
            "embedding_dropout": 0.2,
            "word_dropout": 0.1,
            "classifier_dropout": 0.2,
            "patience": 3,
            "temperature_scaling": True,
            "batch_size": 8,
            "learning_rate": 0.02,
            "epochs": 2,
            "evaluations": 6,
        }
        path = folder / "lstm_tiny.yaml"
        path.write_text(yaml.safe_dump(fields | changes))
        return path

    return write


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_recipe):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("lstm")
    recipe = write_recipe(folder)
    return recipe, run_lstm(recipe, folder / "run")
