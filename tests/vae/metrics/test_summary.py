"""Small arithmetic of the figures."""

from __future__ import annotations

import pytest

from textvae.training.vae.metrics.summary import bleu, mean_of_known, ratio


def test_by_hand():
    assert mean_of_known([1.0, None, 3.0]) == 2.0
    assert mean_of_known([None]) is None
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(3.0, 0.0) is ratio(None, 2.0) is ratio(2.0, None) is None
    # Unigrams 4/5, bigrams 3/4, trigrams 2/3, 4-grams 1/2; as long as the reference.
    assert bleu(["a b c d x"], ["a b c d e"]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
