"""Targets of training rows that are not simply their labels: a label may be meant in part, and a row count for less.

They are (N, classes) float32: each class's probability times the row's weight in the loss.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

Targets = np.ndarray


def soft_cross_entropy(logits: Tensor, mass: Tensor) -> Tensor:
    """Cross-entropy against (B, C) probabilities times weights, as a weighted mean over the rows of the batch."""
    return -(mass * logits.float().log_softmax(-1)).sum() / mass.sum().clamp_min(1e-12)
