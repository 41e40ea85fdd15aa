"""What the emotion VAE is measured against, on the same folds and calibrated alike: ridge and kernel ridge regression.

Each predicts means and deviations of the ratings at once; a second regression of the same kind predicts the logarithm
of the squared error that the first makes of a training text that it is not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy.linalg import lapack
from sklearn.linear_model import RidgeCV
from sklearn.metrics.pairwise import rbf_kernel

from .calibration import fit_calibration
from .data import AnnotatedTexts, Split
from .measures import Predictions

Kind = Literal["ridge", "kernel_ridge"]


class Baseline(NamedTuple):
    """A regression on the recipe's own sentence embedding, or on the part of it that is the encoder's last layer."""

    kind: Kind
    caption: str
    last_layer_alone: bool = False


BASELINES = {
    "ridge_last_layer": Baseline("ridge", "ridge, last layer", last_layer_alone=True),
    "ridge": Baseline("ridge", "ridge, same embedding"),
    "kernel_ridge": Baseline("kernel_ridge", "RBF kernel ridge, same embedding"),
}
# From the training texts' targets (N, K) to what predicts new texts, and squared errors (N, K) of leaving one out.
Fit = Callable[[np.ndarray], tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]]
ALPHAS = np.logspace(1, 5, 9)  # of ridge regression: chosen by leaving out one training text
KERNEL_ALPHA, KERNEL_WIDTH = 1.0, 0.6  # chosen on inner validation texts of the first fold; the width over the size


def predict(kind: Kind, embeddings: np.ndarray, data: AnnotatedTexts, rows: Split, min_deviation: float) -> Predictions:
    """Predictions of `rows.test` from embeddings (N, D) of all texts."""
    centre, scale = embeddings[rows.train].mean(0), embeddings[rows.train].std(0) + 1e-6
    train, validation, test = ((embeddings[part] - centre) / scale for part in (rows.train, rows.validation, rows.test))
    fit = _ridge(train) if kind == "ridge" else kernel_ridge(train)
    rated = data.rated
    count = len(rated)
    targets = np.concatenate([data.ratings[:, rated], data.deviations[:, rated]], axis=1)[rows.train]
    means, errors = fit(targets)
    logs = np.log(errors[:, :count] + min_deviation**2)
    log_errors, _ = fit(logs)

    said, held_back = means(test), means(validation)
    log_said, log_held_back = log_errors(test), log_errors(validation)
    found = Predictions(*(np.full((len(rows.test), 2), np.nan) for _ in range(3)))
    for place, index in enumerate(rated):
        residuals = held_back[:, place] - data.ratings[rows.validation, index]
        offset, slope = fit_calibration(residuals, log_held_back[:, place])
        width = np.exp(0.5 * (offset + slope * log_said[:, place]))
        found.mean[:, index] = said[:, place]
        found.rater_deviation[:, index] = np.maximum(said[:, count + place], min_deviation)
        found.mean_deviation[:, index] = np.maximum(width, min_deviation)
    return found


def _ridge(train: np.ndarray) -> Fit:
    def fit(targets: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        model = RidgeCV(alphas=ALPHAS, alpha_per_target=True, store_cv_results=True).fit(train, targets)
        chosen = np.searchsorted(ALPHAS, model.alpha_)
        errors = model.cv_results_[:, np.arange(targets.shape[1]), chosen]
        return lambda new: model.predict(new).reshape(len(new), -1), errors  # of one target it makes a vector

    return fit


def kernel_ridge(train: np.ndarray, alpha: float = KERNEL_ALPHA, width: float = KERNEL_WIDTH) -> Fit:
    """Kernel ridge regression with an RBF kernel of exponent `width` / D, its kernel matrix inverted once.

    The inverse gives leave-one-out errors in closed form: the dual coefficient over the inverse's diagonal.
    """
    gamma = width / train.shape[1]
    train = train.astype(np.float32)
    kernel = rbf_kernel(train, gamma=gamma)
    kernel[np.diag_indices_from(kernel)] += alpha
    factor, _ = lapack.spotrf(kernel, lower=1, overwrite_a=1)
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T

    def fit(targets: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        centre = targets.mean(0)
        dual = inverse @ (targets - centre).astype(np.float32)
        errors = (dual / np.diag(inverse)[:, None]).astype(np.float64) ** 2
        return lambda new: centre + rbf_kernel(new.astype(np.float32), train, gamma=gamma) @ dual, errors

    return fit
