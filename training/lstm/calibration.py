"""Whether a classifier is right as often as it says: expected calibration error, and a temperature that mends it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

BINS = 15


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[tuple[int, float, float]]:
    """Rows, mean confidence and accuracy of each bin that has rows, confidences in BINS bins of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (int(here.sum()), float(confidence[here].mean()), float(right[here].mean()))
        for here in (places == place for place in range(BINS))
        if here.any()
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over the bins of `reliability`, weighted by their rows (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599)."""
    bins = reliability(probabilities, labels)
    return sum(rows * abs(confidence - accuracy) for rows, confidence, accuracy in bins) / len(labels)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Nats a row."""
    right = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, np.finfo(np.float64).tiny)).mean())


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature in [1/20, 20] whose cross-entropy on these rows is least; above 1 lowers confidence."""

    def loss(log_temperature: float) -> float:
        return cross_entropy(at_temperature(probabilities, float(np.exp(log_temperature))), labels)

    bound = np.log(20)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(N, C) probabilities whose logits are divided by the temperature, in double precision."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny)) / temperature
    return softmax(logits, axis=1)
