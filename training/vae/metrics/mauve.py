"""MAUVE: how close two sets of texts are as distributions, from their embeddings.

Pillutla et al. (2021), with the choices of the authors' mauve-text 0.4: embeddings of length 1, principal
components that hold 90 % of the variance, one k-means cluster to ten texts, scaling factor 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import rel_entr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

TEXTS_A_CLUSTER = 10
EXPLAINED_VARIANCE = 0.9
SCALING = 5.0
MIXTURES = np.linspace(1e-6, 1 - 1e-6, 25)
RESTARTS = 5
ITERATIONS = 500


def mauve(p: np.ndarray, q: np.ndarray, seed: int = 0) -> float:
    """MAUVE of two sets of embeddings, 0 (nothing in common) to 1 (one distribution).

    It depends on the numbers of texts and on the embeddings: values compare only where these are the same. Its
    spread over `seed`, which starts k-means, is part of its error.

    Args:
        p, q: (P, D) and (Q, D) embeddings.
    """
    clusters = max(2, round(min(len(p), len(q)) / TEXTS_A_CLUSTER))
    points = normalize(np.concatenate([p, q]))
    points = PCA(EXPLAINED_VARIANCE).fit_transform(points)
    labels = KMeans(clusters, n_init=RESTARTS, max_iter=ITERATIONS, random_state=seed).fit_predict(points)
    return frontier_area(
        np.bincount(labels[: len(p)], minlength=clusters) / len(p),
        np.bincount(labels[len(p) :], minlength=clusters) / len(q),
    )


def frontier_area(p: np.ndarray, q: np.ndarray) -> float:
    """Area under the divergence frontier of two histograms (K,) that each sum to 1.

    The frontier's points are exp(−5 KL(q ‖ r)), exp(−5 KL(p ‖ r)) for the mixtures r of p and q. From q to p the
    first falls and the second rises, so that one integral along the mixtures is the area, whichever axis it is over.
    """
    mixtures = MIXTURES[:, None] * p + (1 - MIXTURES[:, None]) * q
    x = np.exp(-SCALING * rel_entr(q, mixtures).sum(1))
    y = np.exp(-SCALING * rel_entr(p, mixtures).sum(1))
    return float(np.trapezoid([1, *x, 0], [0, *y, 1]))


def mauve_matrix(p: Sequence[np.ndarray], q: Sequence[np.ndarray], seed: int = 0) -> np.ndarray:
    """(C, C) float64 MAUVE of class i of `p` with class j of `q`.

    Every cell compares the first n embeddings of both, n being the size of the smallest class, because MAUVE
    depends on their number.

    Args:
        p, q: C arrays (rows, D), one a class.
    """
    size = min(len(rows) for rows in (*p, *q))
    return np.array([[mauve(ours[:size], theirs[:size], seed) for theirs in q] for ours in p])


def diagonal_ratio(matrix: np.ndarray) -> float | None:
    """Mean of a square matrix's diagonal ÷ mean of the rest; null for one class, or where the rest is 0.

    Above 1, a class's texts are nearer to the texts of their own class than to the others'.
    """
    diagonal = np.eye(len(matrix), dtype=bool)
    rest = matrix[~diagonal]
    return float(matrix[diagonal].mean() / rest.mean()) if rest.any() else None
