"""What the emotion VAE is measured against, on the same folds and calibrated alike: ridge and kernel ridge regression.

Each predicts means and deviations of the ratings at once; a second regression of the same kind predicts the logarithm
of the squared error that the first makes on held-out parts of the training texts.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

from .calibration import fit_calibration
from .data import AnnotatedTexts, Split
from .measures import Predictions

Kind = Literal["ridge", "kernel_ridge"]
ALPHAS = np.logspace(1, 5, 9)  # of ridge regression: chosen by leaving out one training text
KERNEL_ALPHA, KERNEL_WIDTH = 1.0, 0.6  # chosen on inner validation texts of the first fold; the width over the size
INNER_FOLDS = 3


def predict(kind: Kind, embeddings: np.ndarray, data: AnnotatedTexts, rows: Split, min_deviation: float) -> Predictions:
    """Predictions of `rows.test` from embeddings (N, D) of all texts."""
    mean, deviation = embeddings[rows.train].mean(0), embeddings[rows.train].std(0) + 1e-6
    train, validation, test = (
        (embeddings[part] - mean) / deviation for part in (rows.train, rows.validation, rows.test)
    )
    rated = data.rated
    targets = np.concatenate([data.ratings[:, rated], data.deviations[:, rated]], axis=1)[rows.train]
    centre, scale = targets.mean(0), targets.std(0)
    targets = (targets - centre) / scale
    fitted = _model(kind, train.shape[1]).fit(train, targets)
    inner = cross_val_predict(_model(kind, train.shape[1]), train, targets, cv=KFold(INNER_FOLDS))
    count = len(rated)
    errors = np.log((targets - inner)[:, :count] ** 2 + (min_deviation / scale[:count]) ** 2)
    error_centre = errors.mean(0)
    fitted_errors = _model(kind, train.shape[1]).fit(train, errors - error_centre)

    said = centre + scale * fitted.predict(test)
    held_back = centre + scale * fitted.predict(validation)
    log_test, log_held_back = (error_centre + fitted_errors.predict(part) for part in (test, validation))
    shape = (len(rows.test), 2)
    found = Predictions(*(np.full(shape, np.nan) for _ in range(3)))
    for place, index in enumerate(rated):
        residuals = (held_back[:, place] - data.ratings[rows.validation, index]) / scale[place]
        offset, slope = fit_calibration(residuals, log_held_back[:, place])
        found.mean[:, index] = said[:, place]
        found.rater_deviation[:, index] = np.maximum(said[:, count + place], min_deviation)
        width = scale[place] * np.exp(0.5 * (offset + slope * log_test[:, place]))
        found.mean_deviation[:, index] = np.maximum(width, min_deviation)
    return found


def _model(kind: Kind, size: int) -> Any:
    if kind == "ridge":
        return RidgeCV(alphas=ALPHAS, alpha_per_target=True)
    return KernelRidge(alpha=KERNEL_ALPHA, kernel="rbf", gamma=KERNEL_WIDTH / size)
