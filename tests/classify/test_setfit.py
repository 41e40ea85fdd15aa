"""SetFit through its library."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from textvae.training.classify import setfit
from textvae.training.common.recipe import ClassifierRecipe
from textvae.training.common.sources import LabelledTexts, Source

pytest.importorskip("setfit")
SOURCE = Source("mine.csv", "path", "mine.csv", "sha256:0")


def test_it_learns_a_few_texts_and_gives_every_class_a_probability(tiny_encoder, capsys):
    texts = [f"the {thing} is {word}" for word in ("good", "bad") for thing in ("film", "plot", "cast", "story")]
    names = ["good", "bad", "never seen"]
    rows = LabelledTexts(texts, [0] * 4 + [1] * 4, names, SOURCE)
    settings = ClassifierRecipe(model="org/body", max_length=16, batch_size=4, learning_rate=1e-3)
    found, seconds = setfit.fit_predict(settings, rows, rows, tiny_encoder, steps=15, seed=0, dtype=torch.float32)
    assert found.shape == (8, 3)
    assert found.dtype == np.float32
    assert found.sum(1) == pytest.approx(np.ones(8), abs=1e-5)
    assert not found[:, 2].any()
    assert (found.argmax(1) == np.array(rows.labels)).all()
    assert seconds > 0
    assert capsys.readouterr().out == ""
