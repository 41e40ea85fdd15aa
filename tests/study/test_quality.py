"""The auditor of generated rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from textvae.training.common.recipe import Recipe, StudyRecipe
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study import quality
from textvae.training.study.rows import subset_file


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
