"""Self-BLEU against sacrebleu's own sentence BLEU."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.vae.metrics.self_bleu import self_bleu
from textvae.training.vae.metrics.text import tokenise

FILMS = [
    "A moving film, and a good one.",
    "a moving film about a dull man",
    "the film is dull. the film is bad!",
    "The film is dull.",
    "the film is dull.",
    "no",
    "so so so so long, and so dull and so bad and so so so sad",
]


def by_sacrebleu(texts: list[str]) -> float:
    lines = [" ".join(tokenise(text)) for text in texts]
    return fmean(
        sacrebleu.sentence_bleu(line, lines[:row] + lines[row + 1 :], tokenize="none").score
        for row, line in enumerate(lines)
    )


def test_two_texts_by_hand():
    # Each is 5 tokens long and differs in the last: precisions 4/5, 3/4, 2/3, 1/2; their product is 1/5.
    assert self_bleu(["a b c d e", "a b c d f"]) == pytest.approx(100 * (1 / 5) ** (1 / 4))
    # "a b c d" against "a b c d e": all n-grams stand in it, one token is missing. The other: as above.
    expected = (100 * math.exp(1 - 5 / 4) + 100 * (1 / 5) ** (1 / 4)) / 2
    assert self_bleu(["a b c d", "a b c d e"]) == pytest.approx(expected)


def test_it_is_sacrebleus_with_many_references():
    assert self_bleu(FILMS) == pytest.approx(by_sacrebleu(FILMS))


@given(st.lists(st.text(alphabet="ab. ", max_size=14), min_size=2, max_size=6))
def test_it_is_sacrebleus_for_any_texts(texts):
    assert self_bleu(texts) == pytest.approx(by_sacrebleu(texts))


@given(st.permutations(FILMS))
def test_order_does_not_matter(texts):
    assert self_bleu(texts) == pytest.approx(self_bleu(FILMS))


def test_a_sample_is_scored_against_all_texts():
    texts = [f"{word} is {word}" for word in "abcdefghij"] * 2  # each has its double among the others
    assert self_bleu(texts, sample=3, seed=1) == pytest.approx(100)
    assert self_bleu(FILMS, sample=3, seed=1) == self_bleu(FILMS, sample=3, seed=1) != self_bleu(FILMS, 3, seed=2)


def test_one_text_is_like_no_other():
    assert self_bleu(["a b c d e"]) is None
