"""Metrics of a classifier as `evaluate.Metric` classes. They work offline: none is fetched by its name."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

SMALLEST = float(np.finfo(np.float32).tiny)  # a probability rounded to 0 would cost infinitely many nats


class _LabelMetric(evaluate.Metric):
    """A score of predicted against true labels."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description="predictions, references: integer labels",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )


class Accuracy(_LabelMetric):
    """Share of rows whose predicted label is the true one."""

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


class _AveragedMetric(_LabelMetric):
    """A score of class 1 where there are two classes, else its mean over all `num_classes`."""

    def _compute(self, predictions: list[int], references: list[int], num_classes: int = 2) -> dict[str, float]:
        scores = precision_recall_fscore_support(
            references,
            predictions,
            labels=[1] if num_classes == 2 else list(range(num_classes)),
            average="macro",
            zero_division=0.0,
        )
        return {
            name: float(score)
            for name, score in zip(("precision", "recall", "f1"), scores, strict=False)
            if name == type(self).__name__.lower()
        }


class Precision(_AveragedMetric):
    """Share of the rows predicted to be of a class that are; 0 where none is predicted."""


class Recall(_AveragedMetric):
    """Share of the rows of a class that are found; 0 where there are none."""


class F1(_AveragedMetric):
    """Harmonic mean of precision and recall."""


class MacroF1(_LabelMetric):
    """Mean over all classes of each one's F1, so that a rare class counts as much as a frequent one."""

    def _compute(self, predictions: list[int], references: list[int], num_classes: int = 2) -> dict[str, float]:
        labels = list(range(num_classes))
        score = f1_score(references, predictions, labels=labels, average="macro", zero_division=0.0)
        return {"macro_f1": float(score)}


class CrossEntropy(evaluate.Metric):
    """Mean -log p(true label), in nats a row."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            inputs_description="predictions: a list of class probabilities a row; references: integer labels",
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float32")),
                    "references": datasets.Value("int32"),
                }
            ),
        )

    def _compute(self, predictions: list[list[float]], references: list[int]) -> dict[str, float]:
        of_truth = np.asarray(predictions, dtype=np.float64)[np.arange(len(references)), references]
        return {"cross_entropy": float(-np.log(np.maximum(of_truth, SMALLEST)).mean())}


def compute(probabilities: np.ndarray, labels: list[int]) -> dict[str, float]:
    """accuracy, precision, recall, f1, macro_f1 (0 to 1), cross_entropy (nats) of (rows, classes) probabilities.

    Raises:
        ValueError: no rows, or not one label a row.
    """
    if len(labels) == 0 or len(labels) != len(probabilities):
        raise ValueError(f"metrics need one label a row, not {len(labels)} labels for {len(probabilities)} rows")
    predictions = probabilities.argmax(axis=1).tolist()
    averaged: dict[str, Any] = {"num_classes": probabilities.shape[1]}
    scores: dict[str, float] = {}
    # In memory, so that classifiers scored at the same time share no cache file.
    scores |= Accuracy(keep_in_memory=True).compute(predictions=predictions, references=labels)
    for metric in (Precision, Recall, F1, MacroF1):
        scores |= metric(keep_in_memory=True).compute(predictions=predictions, references=labels, **averaged)
    scores |= CrossEntropy(keep_in_memory=True).compute(predictions=probabilities.tolist(), references=labels)
    return scores
