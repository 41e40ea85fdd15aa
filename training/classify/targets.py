"""Targets of training rows that are not simply their labels: a label may be meant in part, and a row count for less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Of N rows.

    Args:
        confidence: (N,) float32, probability of the row's own label; the other classes share the rest equally.
        weight: (N,) float32, of the row in the loss.
    """

    confidence: np.ndarray
    weight: np.ndarray

    def mass(self, labels: list[int], classes: int) -> np.ndarray:
        """(N, classes) float32: each class's probability times the row's weight."""
        rest = (1 - self.confidence) / max(classes - 1, 1)
        mass = np.repeat(rest[:, None], classes, axis=1)
        mass[np.arange(len(labels)), labels] = self.confidence
        return (mass * self.weight[:, None]).astype(np.float32)


def soft_cross_entropy(logits: Tensor, mass: Tensor) -> Tensor:
    """Cross-entropy against (B, C) probabilities times weights, as a weighted mean over the rows of the batch."""
    return -(mass * logits.float().log_softmax(-1)).sum() / mass.sum().clamp_min(1e-12)
