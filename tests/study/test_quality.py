"""The auditor of generated rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from textvae.training.common.recipe import ClassifierRecipe, Recipe, StudyRecipe
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study import quality
from textvae.training.study.plan import Growth
from textvae.training.study.rows import candidates_file, subset_file
from textvae.training.vae.metrics.self_bleu import self_bleu


class Memory:
    """Knows the rows that it was fitted on by heart, and says so by their labels."""

    def fit(self, texts, labels):
        self.known = dict(zip(texts, labels, strict=True))
        return self

    def predict(self, texts):
        return np.array([self.known.get(text, -1) for text in texts])


def test_no_text_is_judged_by_who_was_trained_on_it(monkeypatch):
    texts = [f"film number {place}" for place in range(10)]
    monkeypatch.setattr(quality, "words_classifier", lambda min_df: Memory())
    auditor = quality.Auditor(texts, list(range(10)))
    assert auditor.predict(texts).tolist() == [-1] * 10
    assert auditor.predict([" FILM number 3"]).tolist() == [-1]


def test_labels_are_told_by_words():
    texts = [f"a {word} {thing}" for word in ("good", "bad") for thing in ("film", "plot", "cast", "story") * 5]
    auditor = quality.Auditor(texts, [1] * 20 + [0] * 20)
    assert auditor.predict(["a good ending", "a bad ending", "a good film"]).tolist() == [1, 0, 1]


def test_an_auditor_knows_neither_its_subset_nor_the_test(tmp_path, monkeypatch):
    data = tmp_path / "reviews"
    data.mkdir()
    texts = [f"film number {place}" for place in range(8)]
    pd.DataFrame({"text": texts, "label": ["neg", "pos"] * 4}).to_parquet(data / "train.parquet")
    source = Source("mine", "path", "mine", "sha256:0")
    tests = LabelledTexts(["Film number 7!"], [1], ["neg", "pos"], source)
    monkeypatch.setattr(quality, "held_out_rows", lambda folder, subset: (tests, [0]))
    for subset in range(2):
        path = subset_file(tmp_path, subset)
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame({"text": texts[2 * subset : 2 * subset + 2], "label": [0, 1]}).to_parquet(path)
    seen = []
    monkeypatch.setattr(quality, "Auditor", lambda texts, labels: seen.append(texts))
    recipe = Recipe(name="tiny", study=StudyRecipe(dataset=str(data)))
    for subset in range(2):
        quality.train_auditor(tmp_path, recipe, subset)
    assert seen == [texts[2:7], texts[:2] + texts[4:7]]


class Listener:
    """Finds what says "good" to be of class 1."""

    def predict(self, texts):
        return np.array([int("good" in text) for text in texts])


REAL = ["a good film", "a bad film", "a good plot", "one film", "two films here", "three long films there"]
GENERATED = [
    {"bad bad bad film": 0, "good good good film": 1, "so so so so": 1},
    {"good good good plot": 1, "bad bad bad cast": 0, "no no no no": 0},
]


def test_rows_are_held_against_their_labels_and_the_other_half_of_the_real_ones(tmp_path, monkeypatch, make_row):
    """Three real rows, and the first three of each of two subsets; of every set nine words are compared."""
    tests = LabelledTexts(REAL, [1, 1, 1, 0, 0, 0], ["neg", "pos"], Source("mine", "path", "mine", "sha256:0"))
    for subset, own in enumerate(GENERATED):
        rows = [(text, label, "neighbour", True, rank) for rank, (text, label) in enumerate(own.items())]
        unread = [("late", 1, "neighbour", True, 9), ("no", 1, "neighbour", False, 0), ("real", 1, "original", True, 0)]
        path = candidates_file(tmp_path, Growth("vae", 4, subset))
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = ["text", "label", "method", "kept", "rank"]
        pd.DataFrame([*unread, *reversed(rows)], columns=columns).to_parquet(path)
    known, compared = [*REAL, *GENERATED[0], *GENERATED[1]], []

    def embed(texts):
        return torch.tensor([[float(known.index(text))] for text in texts])

    def mauve(ours, real):
        compared.append((ours[:, 0].tolist(), real[:, 0].tolist()))
        return 0.5

    monkeypatch.setattr(quality, "held_out_rows", lambda folder, subset: (tests, [0]))
    monkeypatch.setattr(quality, "train_auditor", lambda folder, recipe, subset: Listener())
    monkeypatch.setattr(quality, "mauve", mauve)
    lstm = ClassifierRecipe(steps={7: 1}, arms={"vae": (7,)})
    recipe = Recipe(name="tiny", study=StudyRecipe(budget=4), classifiers={"lstm": lstm})
    points = {"duplicate": 61.0, "vae": 64.0}
    results = [make_row("lstm", arm, 7, subset, points[arm]) for arm in points for subset in range(2)]
    real, vae = quality.measure(tmp_path, recipe, results, embed)
    assert compared == [(places, [3, 4, 5]) for places in ([0, 1, 2], [6, 7, 8], [9, 10, 11])]
    assert real == {
        "generator": "real rows", "rows": 3, "lifts": {}, "label_error": pytest.approx(100 / 3, abs=0.01),
        "distinct_2": pytest.approx(5 / 6, abs=1e-3), "self_bleu": pytest.approx(self_bleu(REAL[:3]), abs=1e-3),
        "mauve": 0.5,
    }  # fmt: skip
    assert vae == {
        "generator": "vae", "rows": 3, "lifts": {"lstm": pytest.approx(3.0)},
        "label_error": pytest.approx((100 / 3 + 0) / 2, abs=0.01), "distinct_2": pytest.approx(4 / 6, abs=1e-3),
        "self_bleu": pytest.approx(np.mean([self_bleu(list(own)) for own in GENERATED]), abs=1e-3), "mauve": 0.5,
    }  # fmt: skip
