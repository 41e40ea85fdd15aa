"""Ridge and kernel ridge against scikit-learn's own, one text left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from textvae.training.emotion.baselines import ALPHAS, kernel_ridge, predict
from textvae.training.emotion.data import AnnotatedTexts, Split


def test_kernel_ridge_is_scikit_learns(random):
    train, new, targets = random.normal(size=(40, 5)), random.normal(size=(7, 5)), random.normal(size=(40, 3))
    said, errors = kernel_ridge(train, alpha=0.5, width=1.5)(targets)
    centre = targets.mean(0)
    theirs = KernelRidge(alpha=0.5, kernel="rbf", gamma=0.3)
    expected = theirs.fit(train, targets - centre).predict(new) + centre
    np.testing.assert_allclose(said(new), expected, atol=1e-4)
    left_out = cross_val_predict(theirs, train, targets - centre, cv=LeaveOneOut())
    np.testing.assert_allclose(errors, (targets - centre - left_out) ** 2, atol=1e-3)


@pytest.mark.parametrize("kind", ["ridge", "kernel_ridge"])
def test_baselines_find_what_can_be_found(kind, random):
    embeddings = random.normal(size=(600, 4)).astype(np.float32)
    width = np.exp(0.5 * embeddings[:, 1])
    valence = 3 + 0.3 * embeddings[:, 0] + 0.2 * width * random.normal(size=600)
    ratings = np.stack([valence, np.full(600, np.nan)], axis=1)
    deviations = np.stack([0.3 + 0.05 * embeddings[:, 2], np.full(600, np.nan)], axis=1)
    data = AnnotatedTexts([""] * 600, ratings, deviations, None, np.array(["train"] * 600), None)
    rows = Split(np.arange(400), np.arange(400, 500), np.arange(500, 600))
    said = predict(kind, embeddings, data, rows, 0.1)
    assert np.corrcoef(said.mean[:, 0], embeddings[rows.test, 0])[0, 1] > 0.9
    assert np.corrcoef(np.log(said.mean_deviation[:, 0]), embeddings[rows.test, 1])[0, 1] > 0.7
    assert said.mean_deviation[:, 0].min() >= 0.1
    assert np.isnan(said.mean[:, 1]).all()
    if kind == "ridge":
        mean, deviation = embeddings[rows.train].mean(0), embeddings[rows.train].std(0)
        theirs = RidgeCV(alphas=ALPHAS).fit((embeddings[rows.train] - mean) / deviation, ratings[rows.train, 0])
        expected = theirs.predict((embeddings[rows.test] - mean) / deviation)
        np.testing.assert_allclose(said.mean[:, 0], expected, atol=1e-4)
