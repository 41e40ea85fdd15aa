"""Figures of texts drawn of a class: whether they are of it."""

from __future__ import annotations

from itertools import chain
from statistics import fmean
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from .evaluation import Evaluation, progress
from .latent_measures import PRINTED, Measured
from .metrics.mauve import diagonal_ratio, mauve_matrix
from .metrics.summary import mean_of_known, ratio
from .priors import fit_resampled_prior
from .reconstruction import round_trip
from .samples import draw_classes

CLASS_SAMPLINGS = 5
AUDITOR_C = 3.0


def classes(evaluation: Evaluation) -> Measured:
    """What draws of a class keep of their class: MAUVE of each class beside each, and an auditor's verdict."""
    names, test_labels = evaluation.test.label_names, np.array(evaluation.test.labels)
    asked = torch.arange(len(test_labels)) % len(names)
    drawn = evaluation.class_parts.data("drawn", lambda: _class_samples(evaluation, asked))
    body = evaluation.settings.feature_model
    train = round_trip(evaluation.labelled.texts, evaluation.vae.tokenizer)
    features = np.split(evaluation.embed(list(chain.from_iterable(drawn)), body), len(drawn))
    figures, matrix = _class_figures(
        features, asked.numpy(),
        evaluation.embed_once(train, body), np.array(evaluation.labelled.labels),
        evaluation.embed_once(evaluation.real, body), test_labels,
    )  # fmt: skip
    shown = [(names[label], text) for label, text in zip(asked.tolist(), drawn[0], strict=True)]
    return figures, {"class_mauve": matrix, "class_samples": shown[:PRINTED]}


def _class_samples(evaluation: Evaluation, asked: torch.Tensor) -> list[list[str]]:
    """Texts of the classes `asked`, drawn several times, from a prior fitted with the training labels."""
    vae, settings, labelled = evaluation.vae, evaluation.settings, evaluation.labelled
    prior = fit_resampled_prior(
        vae.model.decoder, vae.tokenizer, labelled.texts, labelled.labels or [],
        settings.class_candidates, settings.class_sharpness,
    )  # fmt: skip
    prior.facts |= {
        "label_budget": len(labelled),
        "texts": evaluation.recipe.vae.texts,
        "classes": evaluation.test.label_names,
    }
    prior.save(vae.folder / "classes.prior.safetensors")
    prior = prior.to(vae.model.device)
    with progress("classes", CLASS_SAMPLINGS * len(asked)) as advance, evaluation.inference():
        return [
            draw_classes(vae.model, vae.tokenizer, prior, asked, settings, seed, advance)
            for seed in range(CLASS_SAMPLINGS)
        ]


def _class_figures(
    drawn: list[np.ndarray],
    asked: np.ndarray,
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
) -> tuple[dict[str, Any], list[list[float]]]:
    count = int(test_labels.max()) + 1

    def by_class(rows: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        return [rows[labels == label] for label in range(count)]

    real = by_class(test, test_labels)
    matrices = [mauve_matrix(by_class(rows, asked), real, seed) for seed, rows in enumerate(drawn)]
    reference = mauve_matrix(by_class(train, train_labels), real)
    auditor = LogisticRegression(C=AUDITOR_C, max_iter=1000).fit(train, train_labels)
    on_test = auditor.score(test, test_labels)
    on_samples = fmean(auditor.score(rows, asked) for rows in drawn)
    of_samples, of_real = mean_of_known(diagonal_ratio(matrix) for matrix in matrices), diagonal_ratio(reference)
    return {
        "auditor_accuracy_test": 100 * on_test,
        "auditor_accuracy_samples": 100 * on_samples,
        "auditor_fidelity_ratio": ratio(on_samples - 1 / count, on_test - 1 / count),
        "class_mauve_ratio": of_samples,
        "class_mauve_ratio_real": of_real,
        "class_mauve_share": ratio(of_samples, of_real),
    }, np.mean(matrices, axis=0).round(4).tolist()
