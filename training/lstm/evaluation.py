"""What a classifier of reviews is worth, from its probabilities alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..classify.metrics import compute
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


def with_tricky(
    probabilities: np.ndarray, labels: list[int], tricky: TrickyReviews | None, temperature: float = 1.0
) -> dict[str, Any]:
    """`figures` of the test rows, and the scores of the tricky reviews, where there are, whose probabilities follow."""
    return {
        "test": figures(probabilities[: len(labels)], labels, temperature),
        "tricky": tricky_scores(tricky, probabilities[len(labels) :]) if tricky else None,
    }
