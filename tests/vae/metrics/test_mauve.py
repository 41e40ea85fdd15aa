"""MAUVE's frontier by hand, and what its estimate says of known clouds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.vae.metrics import mauve as module
from textvae.training.vae.metrics.mauve import diagonal_ratio, frontier_area, mauve, mauve_matrix

histograms = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any).map(lambda n: np.array(n) / sum(n))


def clouds(*centres: float, rows: int = 60, seed: int = 0) -> np.ndarray:
    """Points around directions given as angles in degrees, `rows` in all."""
    angles = np.radians(np.resize(centres, rows))
    points = np.stack([np.cos(angles), np.sin(angles), np.zeros(rows)], axis=1)
    return points + np.random.default_rng(seed).normal(0, 0.05, points.shape)


def test_the_area_of_three_points_by_hand(monkeypatch):
    # p = (1, 0), q = (1/2, 1/2), one mixture, r = (3/4, 1/4):
    # KL(p ‖ r) = log 4/3;  KL(q ‖ r) = 1/2 log 2/3 + 1/2 log 2 = 1/2 log 4/3.
    # The frontier goes (1, 0) – (x, y) – (0, 1); under it lie a triangle and a trapezium: (x + y) / 2.
    monkeypatch.setattr(module, "MIXTURES", np.array([0.5]))
    x, y = (3 / 4) ** (5 / 2), (3 / 4) ** 5
    assert frontier_area(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx((x + y) / 2)


def test_the_area_of_disjoint_histograms_is_that_of_a_known_curve():
    # KL(p ‖ wp) = -log w: the points are (1 - w)^5, w^5, and the area is B(5, 6) · 5 = 5 · 4! 5! / 10!, a little more
    # for 25 chords above a convex curve.
    exact = 5 * math.factorial(4) * math.factorial(5) / math.factorial(10)
    area = frontier_area(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert exact < area == pytest.approx(exact, rel=0.03)


@given(histograms, histograms)
def test_the_area_is_a_symmetric_share_that_is_1_for_equals(p, q):
    assert 0 < frontier_area(p, q) <= 1 + 1e-9
    assert frontier_area(p, q) == pytest.approx(frontier_area(q, p))
    assert frontier_area(p, q) == pytest.approx(frontier_area(p[::-1], q[::-1]))
    assert frontier_area(p, p) == pytest.approx(1)


def test_one_distribution_is_near_1_and_two_are_near_0():
    alike = mauve(clouds(0, 90), clouds(0, 90, seed=1))
    half = mauve(clouds(0, 90), clouds(0, 180, seed=1))
    apart = mauve(clouds(0, 90), clouds(180, 270, seed=1))
    assert alike > 0.8 > half > 0.05 > apart
    assert mauve(clouds(0, 90), clouds(0, 90)) == pytest.approx(1)


def test_length_of_an_embedding_says_nothing():
    scale = np.random.default_rng(2).uniform(0.1, 10, (60, 1))
    p, q = clouds(0, 90), clouds(0, 180, seed=1)
    assert mauve(p * scale, q) == pytest.approx(mauve(p, q))


def test_noise_beyond_the_variance_kept_is_not_clustered(monkeypatch):
    # Two directions hold nearly all variance; k-means must see two numbers a point, not thirty.
    seen = []
    original = module.KMeans.fit_predict
    monkeypatch.setattr(module.KMeans, "fit_predict", lambda self, x: seen.append(x.shape) or original(self, x))
    noise = np.random.default_rng(3).normal(0, 0.01, (2, 60, 27))
    p, q = (np.concatenate([clouds(0, 120, 240, seed=seed), part], axis=1) for seed, part in enumerate(noise))
    mauve(p, q)
    assert seen == [(120, 2)]


def test_there_is_one_cluster_to_ten_texts(monkeypatch):
    seen = []
    original = module.KMeans
    monkeypatch.setattr(
        module, "KMeans", lambda clusters, **options: seen.append(clusters) or original(clusters, **options)
    )
    mauve(clouds(0, 90, rows=64), clouds(0, 90, rows=90))
    mauve(clouds(0, 90, rows=6), clouds(0, 90, rows=90))
    assert seen == [6, 2]


def test_the_matrix_compares_each_class_with_each_at_the_smallest_size():
    p = [clouds(0, 90), clouds(180, 90)]
    q = [clouds(0, 90, rows=50, seed=1), clouds(180, 90, rows=80, seed=2)]
    matrix = mauve_matrix(p, q)
    assert matrix[0, 1] == mauve(p[0][:50], q[1][:50])
    assert matrix[1, 0] == mauve(p[1][:50], q[0][:50])
    assert diagonal_ratio(matrix) > 2


def test_the_ratio_by_hand():
    assert diagonal_ratio(np.array([[0.9, 0.2], [0.1, 0.6]])) == pytest.approx(0.75 / 0.15)
    assert diagonal_ratio(np.array([[0.9]])) is None
