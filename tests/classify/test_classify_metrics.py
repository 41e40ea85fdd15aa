"""The figures of a classifier, against sums done by hand."""

from __future__ import annotations

import math

import evaluate
import numpy as np
import pytest

from textvae.training.classify.metrics import F1, Accuracy, CrossEntropy, Precision, Recall, compute


def test_two_classes_are_scored_for_class_one():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]], dtype=np.float32)
    scores = compute(probabilities, [0, 1, 0, 1])
    assert scores["accuracy"] == 0.75
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == 1.0
    assert scores["f1"] == pytest.approx(0.8)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    nats = -sum(math.log(p) for p in (0.9, 0.8, 0.4, 0.7)) / 4
    assert scores["cross_entropy"] == pytest.approx(nats, rel=1e-6)


def test_more_classes_are_averaged_over_classes():
    predicted, true = [0, 1, 2, 2], [0, 1, 1, 2]
    scores = compute(np.eye(3, dtype=np.float32)[predicted], true)
    assert scores["precision"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert scores["recall"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert scores["f1"] == scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_a_class_that_is_never_predicted_scores_zero():
    scores = compute(np.array([[1.0, 0.0]] * 3, dtype=np.float32), [0, 0, 0])
    assert (scores["accuracy"], scores["precision"], scores["recall"], scores["f1"]) == (1, 0, 0, 0)
    assert scores["macro_f1"] == 0.5
    assert scores["cross_entropy"] == 0


def test_a_certain_error_costs_finitely_many_nats():
    assert 80 < compute(np.array([[1.0, 0.0]], dtype=np.float32), [1])["cross_entropy"] < 100


@pytest.mark.parametrize("labels", [[], [0, 1, 1]])
def test_rows_and_labels_must_match(labels):
    with pytest.raises(ValueError, match="one label a row"):
        compute(np.ones((len(labels) and 2, 2), dtype=np.float32) / 2, labels)


def test_they_are_evaluate_metrics():
    combined = evaluate.combine([Accuracy(keep_in_memory=True), F1(keep_in_memory=True)])
    assert combined.compute(predictions=[0, 1, 1], references=[0, 1, 0]) == pytest.approx(
        {"accuracy": 2 / 3, "f1": 2 / 3}
    )
    metric = Recall(keep_in_memory=True)
    metric.add_batch(predictions=[1, 0], references=[1, 1])
    assert metric.compute() == {"recall": 0.5}
    assert Precision(keep_in_memory=True).compute(predictions=[1, 1], references=[1, 0]) == {"precision": 0.5}
    nats = CrossEntropy(keep_in_memory=True).compute(predictions=[[0.5, 0.5]], references=[1])
    assert nats == pytest.approx({"cross_entropy": math.log(2)})
