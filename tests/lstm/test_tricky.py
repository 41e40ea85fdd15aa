"""The tricky reviews, and their scores in a worked case."""

from __future__ import annotations

import difflib

import numpy as np
import pandas as pd
import pytest

from textvae.training.common.files import file_digest
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.lstm.data import TRICKY, TrickyReviews, load_tricky
from textvae.training.lstm.tricky import tricky_scores


def test_tricky_reviews_are_what_they_were_when_they_were_first_scored():
    """Whoever changes them has other figures than everybody before."""
    assert file_digest(TRICKY) == "f8fb8399616dda257534a9e3b34e1da49a30643f4d2d6191e14aba82294dbada"


def test_tricky_reviews_are_balanced_and_half_of_them_minimal_pairs():
    rows = pd.read_csv(TRICKY)
    assert len(rows) == rows["text"].nunique() == 210
    assert set(rows.groupby(["category", "label"]).size()) == {15}
    assert rows["category"].nunique() == 7
    pairs = rows.dropna(subset="pair").groupby("pair")
    assert pairs.ngroups == 56
    for _, pair in pairs:
        assert sorted(pair["label"]) == ["negative", "positive"]
        one, other = (text.split() for text in pair["text"])
        steps = difflib.SequenceMatcher(None, one, other).get_opcodes()
        changed = [(b - a, d - c) for kind, a, b, c, d in steps if kind != "equal"]
        assert max(sum(counts) for counts in zip(*changed, strict=True)) <= 2, pair["text"]


def test_labels_mean_what_the_file_says():
    rows, reviews = pd.read_csv(TRICKY), load_tricky(["neg", "pos"])
    assert [["negative", "positive"][label] for label in reviews.texts.labels] == list(rows["label"])
    assert sum(pair is not None for pair in reviews.pairs) == 112
    turned = load_tricky(["Positive", "negative"])
    assert [["positive", "negative"][label] for label in turned.texts.labels] == list(rows["label"])


@pytest.mark.parametrize(
    "names", [["film", "food", "sport"], ["0", "1"], ["neg", "negative"], ["neg", "negative", "pos"]]
)
def test_other_classes_have_none(names):
    assert load_tricky(names) is None


def test_a_pair_is_solved_where_both_are_right():
    texts = LabelledTexts(list("abcde"), [1, 0, 1, 0, 1], ["neg", "pos"], Source("x", "path", "x", "x"))
    reviews = TrickyReviews(texts, ["irony", "irony", "contrast", "contrast", "contrast"], [1, 1, 2, 2, None])
    positive = np.array([0.9, 0.2, 0.7, 0.6, 0.4])
    scores = tricky_scores(reviews, np.stack([1 - positive, positive], axis=1))
    assert scores["accuracy"] == 0.6
    assert (scores["pairs"], scores["pairs_solved"]) == (2, 0.5)
    assert scores["confidence"] == pytest.approx(np.mean([0.9, 0.8, 0.7, 0.6, 0.6]))
    assert scores["categories"]["irony"]["pairs_solved"] == 1
    assert scores["categories"]["contrast"] == {
        "reviews": 3,
        "accuracy": pytest.approx(1 / 3),
        "confidence": pytest.approx((0.7 + 0.6 + 0.6) / 3),
        "pairs": 1,
        "pairs_solved": 0,
    }
