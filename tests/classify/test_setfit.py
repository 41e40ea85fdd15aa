"""SetFit through its library."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from textvae.training.classify.train import train_classifier
from textvae.training.common.recipe import ClassifierRecipe
from textvae.training.common.sources import LabelledTexts, Source

pytest.importorskip("setfit")
SOURCE = Source("mine.csv", "path", "mine.csv", "sha256:0")


def test_it_learns_a_few_texts_and_gives_every_class_a_probability(tiny_encoder, capsys):
    texts = [f"the {thing} is {word}" for word in ("good", "bad") for thing in ("film", "plot", "cast", "story")]
    names = ["good", "bad", "never seen"]
    rows = LabelledTexts(texts, [0] * 4 + [1] * 4, names, SOURCE)
    settings = ClassifierRecipe(model=str(tiny_encoder), max_length=16, batch_size=4, learning_rate=1e-3)
    done = train_classifier("setfit", settings, rows, rows, steps=15, seed=0, dtype=torch.float32)
    found = done.probabilities
    assert found.shape == (8, 3)
    assert found.dtype == np.float32
    assert found.sum(1) == pytest.approx(np.ones(8), abs=1e-5)
    assert not found[:, 2].any()
    assert (found.argmax(1) == np.array(rows.labels)).all()
    assert done.metrics["accuracy"] == 1
    assert done.steps == 15
    assert 0 < done.train_seconds < done.seconds
    assert capsys.readouterr().out == ""
