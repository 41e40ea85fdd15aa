"""Files that the README works with."""

from __future__ import annotations

import difflib
from pathlib import Path

import pandas as pd

from textvae.training.common.files import file_digest

TRICKY = Path(__file__).parent.parent / "examples" / "tricky_reviews.csv"


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
