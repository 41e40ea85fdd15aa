"""How large the error of a predicted mean is: fitted on validation texts, which neither trained nor test."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

SLOPES = (0.0, 2.0)


def fit_calibration(residuals: np.ndarray, log_variances: np.ndarray) -> tuple[float, float]:
    """Offset and slope of log v' = offset + slope · log v that make residuals (N,) likeliest under N(0, v').

    The slope stays within SLOPES: few validation texts could turn the order of certain and uncertain round.
    """
    squares = residuals**2

    def nll(parameters: np.ndarray) -> float:
        logs = parameters[0] + parameters[1] * log_variances
        return float(np.mean(logs + squares * np.exp(-logs)))

    start = np.array([math.log(float(squares.mean()) + 1e-12) - float(log_variances.mean()), 1.0])
    found = minimize(nll, start, method="L-BFGS-B", bounds=[(None, None), SLOPES])
    return float(found.x[0]), float(found.x[1])
