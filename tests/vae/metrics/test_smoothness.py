"""Paths of known shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.vae.metrics.smoothness import directness, largest_step, standing_share


def path(*degrees: float) -> np.ndarray:
    """Embeddings at these angles, of different lengths."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, len(degrees) + 1)[:, None]


def test_an_even_way_straight_on():
    assert directness(path(0, 30, 60, 90)) == pytest.approx(1)
    assert largest_step(path(0, 30, 60, 90)) == pytest.approx(1 / 3)


def test_a_detour_is_as_long_as_its_steps():
    # Steps of 40, 20 (back) and 30 degrees between ends that are 50 apart.
    assert directness(path(0, 40, 20, 50)) == pytest.approx(50 / 90)
    assert largest_step(path(0, 40, 20, 50)) == pytest.approx(40 / 90)


def test_a_jump_is_direct_and_one_step():
    assert directness(path(0, 0, 90, 90)) == pytest.approx(1)
    assert largest_step(path(0, 0, 90, 90)) == pytest.approx(1)


def test_there_and_back_leads_nowhere():
    assert directness(path(0, 170, 0)) == pytest.approx(0)


def test_rounding_is_no_way():
    still = np.ones((4, 8), dtype=np.float32)
    still[1:] += np.random.default_rng(0).normal(0, 3e-7, (3, 8)).astype(np.float32)
    assert directness(still) is None
    assert largest_step(still) is None


@given(st.integers(0, 1000), st.integers(2, 9))
def test_no_way_is_shorter_than_the_direct_one(seed, texts):
    embeddings = np.random.default_rng(seed).normal(size=(texts, 5))
    assert 0 <= directness(embeddings) <= 1
    assert directness(embeddings[::-1]) == pytest.approx(directness(embeddings))
    assert 1 / (texts - 1) <= largest_step(embeddings) + 1e-9
    assert largest_step(embeddings) <= 1


def test_a_text_stands_when_its_letters_do():
    assert standing_share(["A film", "a film!", "the film", "a film"]) == 1 / 3
    assert standing_share(["a"]) is None
