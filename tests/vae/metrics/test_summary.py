"""Small arithmetic of the figures."""

from __future__ import annotations

import pytest

from textvae.training.vae.metrics.summary import bleu, bleu_standard_error, mean_of_known, ratio


def test_by_hand():
    assert mean_of_known([1.0, None, 3.0]) == 2.0
    assert mean_of_known([None]) is None
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(3.0, 0.0) is ratio(None, 2.0) is ratio(2.0, None) is None
    # Unigrams 4/5, bigrams 3/4, trigrams 2/3, 4-grams 1/2; as long as the reference.
    assert bleu(["a b c d x"], ["a b c d e"]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_the_error_of_bleu_is_that_of_how_many_texts_are_right():
    # Right and wrong texts of five words, half of each: of n, a share with deviation sqrt(1 / 4 n) is right.
    right, wrong = "a b c d e", "v w x y z"
    errors = [bleu_standard_error([right, wrong] * half, [right] * 2 * half) for half in (50, 200)]
    assert errors[0] == pytest.approx(100 * (1 / 400) ** 0.5, rel=0.1)
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.15)
    assert bleu_standard_error([right] * 9, [right] * 9) == 0.0
