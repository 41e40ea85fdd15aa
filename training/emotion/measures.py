"""The figures of predictions: correlation, likelihood, coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from textvae.modeling_emotion_vae.configuration_emotion_vae import DIMENSIONS

from .data import AnnotatedTexts

NORMAL_90 = float(norm.ppf(0.95))  # standard deviations from the middle of a normal distribution that hold 90 % of it
LEVELS = tuple(round(0.1 * level, 1) for level in range(1, 10))  # of the reliability plot


@dataclass(frozen=True)
class Predictions:
    """What is said of test texts: (N, 2) float64 in rating units, NaN for what was never rated."""

    mean: np.ndarray
    rater_deviation: np.ndarray
    mean_deviation: np.ndarray


def measure(predictions: Predictions, data: AnnotatedTexts, rows: np.ndarray) -> dict[str, float | None]:
    """Figures of the rows' predictions, by dimension; null for one that is not rated.

    r: Pearson's correlation of mean and annotated mean; nll: mean negative log-likelihood in nats of the annotated mean
    under N(mean, mean_deviation²), a density over rating units; coverage: share of annotated means in the central 90 %
    of that normal distribution; r_std: correlation of rater_deviation and annotated deviation.
    """
    found: dict[str, float | None] = {}
    for index, name in enumerate(DIMENSIONS):
        keys = ("r", "rmse", "nll", "coverage", "r_std")
        if index not in data.rated:
            found |= dict.fromkeys(f"{key}_{name}" for key in keys)
            continue
        truth, spread = data.ratings[rows, index], data.deviations[rows, index]
        mean, width = predictions.mean[:, index], predictions.mean_deviation[:, index]
        found |= {
            f"r_{name}": correlation(mean, truth),
            f"rmse_{name}": math.sqrt(float(np.mean((mean - truth) ** 2))),
            f"nll_{name}": gaussian_nll(truth, mean, width),
            f"coverage_{name}": float(np.mean(np.abs(truth - mean) <= NORMAL_90 * width)),
            f"r_std_{name}": correlation(predictions.rater_deviation[:, index], spread),
        }
    return found


def spread_ratios(record: dict[str, Any], data: AnnotatedTexts) -> dict[str, float | None]:
    """How large the raters' predicted deviations are, which `r_std` does not tell: their mean over the annotated ones'.

    A ratio of means, as single annotated deviations are often 0; null for a dimension that is not rated.

    Args:
        record: of a fold's test texts, as it is kept: `rows`, and `predictions` by name.
    """
    said, truth = np.array(record["predictions"]["rater_deviation"], dtype=float), data.deviations[record["rows"]]
    found: dict[str, float | None] = {}
    for index, name in enumerate(DIMENSIONS):
        annotated = float(truth[:, index].mean()) if index in data.rated else 0.0
        found[f"spread_ratio_{name}"] = float(said[:, index].mean()) / annotated if annotated else None
    return found


def correlation(left: np.ndarray, right: np.ndarray) -> float | None:
    """Pearson's r; null where one side does not vary."""
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def gaussian_nll(truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> float:
    """Mean of −log N(truth; mean, deviation²) in nats."""
    return float(np.mean(0.5 * math.log(2 * math.pi) + np.log(deviation) + 0.5 * ((truth - mean) / deviation) ** 2))


def summary(folds: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Mean over folds of every figure, and its standard deviation over them (n − 1) under `NAME_sd`."""
    found: dict[str, float | None] = {}
    for name in folds[0]:
        values = [fold[name] for fold in folds]
        known = [value for value in values if value is not None]
        whole = len(known) == len(values)
        found[name] = float(np.mean(known)) if whole else None
        found[f"{name}_sd"] = float(np.std(known, ddof=1)) if whole and len(known) > 1 else None
    return found


def reliability(truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> list[tuple[float, float]]:
    """Share of annotated means within the central interval of each of LEVELS."""
    distance = np.abs(truth - mean) / deviation
    return [(level, float(np.mean(distance <= norm.ppf(0.5 + level / 2)))) for level in LEVELS]
