"""How evenly the texts decoded along a line between two latents change.

The latents of an interpolation are evenly spaced by construction; what is asked is whether the texts follow.
Distances are angles between sentence embeddings. An angle is a metric, as the cosine distance is not, so that
no path is shorter than the direct one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ...common.text import normalise

STILL = 1e-4  # radians; float32 embeddings of one text, padded differently, are nearer, those of two texts are not


def directness(path: np.ndarray) -> float | None:
    """The angle between a path's ends ÷ the sum of its steps, 0 to 1; null where nothing changes.

    1 is a path that never turns away from its end; texts that have nothing to do with either end lower it. A path
    that jumps from one end to the other at once is as direct as one in even steps: read `largest_step` with it.

    Args:
        path: (T, D) embeddings of the decoded texts, both ends included.
    """
    length = _steps(path).sum()
    return float(min(_steps(path[[0, -1]])[0] / length, 1.0)) if length else None


def largest_step(path: np.ndarray) -> float | None:
    """The share of a path's (T, D) length that its largest step takes; null where nothing changes.

    1 ÷ (T − 1) is even, 1 a single jump.
    """
    angles = _steps(path)
    return float(angles.max() / angles.sum()) if angles.any() else None


def standing_share(texts: Sequence[str]) -> float | None:
    """Share of a path's steps that leave the text, by its letters and digits, as it was; null for fewer than two."""
    names = [normalise(text) for text in texts]
    same = [before == after for before, after in pairwise(names)]
    return sum(same) / len(same) if same else None


def _steps(path: np.ndarray) -> np.ndarray:
    """(T − 1,) float64 angles in radians between the neighbours of a path (T, D)."""
    path = path.astype(np.float64)
    path = path / np.linalg.norm(path, axis=1, keepdims=True)
    # Not arccos of the cosine, which turns rounding errors of 1e-8 between equal texts into angles of 1e-4.
    angles = 2 * np.arcsin(np.minimum(np.linalg.norm(np.diff(path, axis=0), axis=1) / 2, 1))
    return np.where(angles < STILL, 0, angles)
