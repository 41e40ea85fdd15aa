"""Calibration against worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from textvae.training.lstm import plots
from textvae.training.lstm.calibration import (
    at_temperature,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def two_classes(first):
    first = np.asarray(first, dtype=np.float64)
    return np.stack([first, 1 - first], axis=1)


def test_calibration_error_of_a_worked_case():
    # Bins of width 1/15: .95 and .96 lie in one, .55 in another.
    probabilities, labels = two_classes([0.95, 0.96, 0.55, 0.45]), np.array([0, 1, 0, 0])
    # first bin: confidence .955, accuracy .5; second: confidence .55, accuracy .5
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.455 + 0.5 * 0.05)
    assert reliability(probabilities, labels) == [
        (2, pytest.approx(0.55), 0.5),
        (2, pytest.approx(0.955), 0.5),
    ]


def test_certainty_has_a_bin():
    assert reliability(two_classes([1.0]), np.array([0])) == [(1, 1.0, 1.0)]


def test_the_temperature_is_that_by_which_logits_were_spoilt():
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, 40_000)
    honest = two_classes(1 / (1 + np.exp(-logits)))
    labels = (draw.random(len(logits)) > honest[:, 0]).astype(int)
    spoilt = at_temperature(honest, 1 / 3)  # three times as sure
    assert fit_temperature(spoilt, labels) == pytest.approx(3, rel=0.05)
    assert expected_calibration_error(at_temperature(spoilt, 3), labels) < 0.01
    assert expected_calibration_error(spoilt, labels) > 0.1


def test_a_temperature_divides_the_logits_and_can_be_taken_back():
    probabilities = two_classes([0.9, 0.3])
    warm = at_temperature(probabilities, 2.0)
    np.testing.assert_allclose(np.log(warm[:, 0] / warm[:, 1]), np.log(probabilities[:, 0] / probabilities[:, 1]) / 2)
    np.testing.assert_allclose(at_temperature(warm, 0.5), probabilities)


def test_as_many_are_drawn_as_there_are_colours():
    bins = {f"number {place}": [(100, 0.7, 0.8), (3, 0.9, 0.9)] for place in range(len(plots.SHADES) + 2)}
    drawing = plots.reliability(bins | {"number 1": [(3, 0.7, 0.8)]})  # too few rows to draw
    assert "number 7: 80 % at 70 %" in drawing
    assert "number 8" not in drawing
