"""Soft labels and weights of training rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from textvae.training.classify.probe import fit_predict
from textvae.training.classify.targets import soft_cross_entropy
from textvae.training.classify.train import train_classifier
from textvae.training.common.recipe import ClassifierRecipe
from textvae.training.common.sources import LabelledTexts, Source

SOURCE = Source("mine.csv", "path", "mine.csv", "sha256:0")
SETTINGS = ClassifierRecipe(max_length=12, batch_size=4, learning_rate=5e-2)


def test_the_loss_is_cross_entropy_where_targets_are_labels():
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 2, 1, 0])
    hard = torch.nn.functional.one_hot(labels, 3).float()
    assert soft_cross_entropy(logits, hard) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))
    halved = hard * torch.tensor([1, 1, 1, 0.5, 0.5, 0.5])[:, None]
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    expected = (losses[:3].sum() + 0.5 * losses[3:].sum()) / 4.5
    assert soft_cross_entropy(logits, halved) == pytest.approx(float(expected))


def test_the_probe_counts_rows_by_their_mass():
    draw = np.random.default_rng(0)
    features = draw.normal(size=(40, 5)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(int).tolist()
    hard = np.eye(2, dtype=np.float32)[labels]
    plain = fit_predict(features, labels, features, 2)
    np.testing.assert_allclose(fit_predict(features, labels, features, 2, hard), plain, atol=1e-4)
    # Rows that count for nothing are as good as absent.
    hard[20:] = 0
    np.testing.assert_allclose(
        fit_predict(features, labels, features, 2, hard),
        fit_predict(features[:20], labels[:20], features, 2),
        atol=1e-4,
    )


def test_repeated_rows_tell_the_probe_nothing_new():
    draw = np.random.default_rng(0)
    features = draw.normal(size=(40, 5)).astype(np.float32)
    labels = (features[:, 0] + draw.normal(size=40) > 0).astype(int).tolist()
    once = fit_predict(features, labels, features, 2)
    five_times = np.tile(features, (5, 1)), labels * 5
    np.testing.assert_allclose(fit_predict(*five_times, features, 2, counted=40), once, atol=1e-4)
    assert np.abs(fit_predict(*five_times, features, 2) - once).max() > 0.01


@pytest.mark.parametrize("name", ["lstm", "probe"])
def test_a_classifier_follows_its_targets(name, tiny_encoder):
    """Every label is wrong, and the targets say so: the classifier learns the opposite."""
    texts = ["a good film", "a bad film"] * 12
    wrong = LabelledTexts(texts, [0, 1] * 12, ["neg", "pos"], SOURCE)
    test = LabelledTexts(texts[:2], [1, 0], ["neg", "pos"], SOURCE)
    settings = dataclasses.replace(SETTINGS, model=str(tiny_encoder))
    targets = np.tile(np.array([[0.05, 0.95], [0.95, 0.05]], np.float32), (12, 1))

    def outcome(targets):
        return train_classifier(name, settings, wrong, test, steps=40, seed=0, dtype=torch.float32, targets=targets)

    assert outcome(None).metrics["accuracy"] == 0.0
    assert outcome(targets).metrics["accuracy"] == 1.0
