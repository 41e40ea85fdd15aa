"""The auditor of generated rows."""

from __future__ import annotations

import numpy as np

from textvae.training.study import quality


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
