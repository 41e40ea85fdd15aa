"""What a classifier of reviews is worth, from its probabilities alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import ttest_rel

from ..classify.metrics import SMALLEST, compute
from .calibration import at_temperature, expected_calibration_error, reliability
from .data import TrickyReviews
from .tricky import tricky_scores


def figures(probabilities: np.ndarray, labels: list[int], temperature: float = 1.0) -> dict[str, Any]:
    """Metrics, calibration and its bins of (rows, classes) probabilities whose logits were divided by `temperature`.

    `accuracy_error` is the binomial standard error of the accuracy.
    `loss` (nats) and `ece` are of the probabilities as they are, `loss_unscaled` and `ece_unscaled` of those before.
    """
    truth = np.array(labels)
    scores = compute(probabilities, labels)
    loss = scores.pop("cross_entropy")
    before = at_temperature(probabilities, 1 / temperature)
    return {
        "rows": len(labels),
        **scores,
        "accuracy_error": math.sqrt(scores["accuracy"] * (1 - scores["accuracy"]) / len(labels)),
        "loss": loss,
        "ece": expected_calibration_error(probabilities, truth),
        "loss_unscaled": compute(before, labels)["cross_entropy"],
        "ece_unscaled": expected_calibration_error(before, truth),
        "reliability": reliability(probabilities, truth),
    }


def difference(ours: np.ndarray, theirs: np.ndarray, labels: list[int]) -> dict[str, tuple[float, float, float]]:
    """How much higher accuracy and loss (nats) are than another classifier's on the same rows.

    Each with the ends of its 95 % t interval over rows, paired: what another training would give is not in it.
    """
    rows, truth = np.arange(len(labels)), np.array(labels)
    found = {}
    for name, score in {
        "accuracy": lambda one: (one.argmax(axis=1) == truth).astype(float),
        "loss": lambda one: -np.log(np.maximum(one[rows, truth].astype(float), SMALLEST)),
    }.items():
        mine, other = score(ours), score(theirs)
        mean = float((mine - other).mean())
        alike = np.ptp(mine - other) == 0  # no variance, and scipy gives no interval
        low, high = (mean, mean) if alike else ttest_rel(mine, other).confidence_interval()
        found[name] = (mean, float(low), float(high))
    return found


def with_tricky(
    probabilities: np.ndarray, labels: list[int], tricky: TrickyReviews | None, temperature: float = 1.0
) -> dict[str, Any]:
    """`figures` of the test rows, and the scores of the tricky reviews, where there are, whose probabilities follow."""
    return {
        "test": figures(probabilities[: len(labels)], labels, temperature),
        "tricky": tricky_scores(tricky, probabilities[len(labels) :]) if tricky else None,
    }
