"""How good each generator's rows are in themselves, beside as many real ones: labels, variety, likeness to real rows.

The auditor that says which labels of a subset's rows are wrong is a classifier of words trained on the dataset's other
labelled rows: those of that subset, which its generators may read, and the test rows are left out. It measures and
steers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from ..augment.judging import Embed
from ..common.recipe import Recipe
from ..common.sources import LabelledTexts, load_texts
from ..common.text import normalise, role
from ..common.words import words_classifier
from ..vae.metrics.mauve import mauve
from ..vae.metrics.self_bleu import self_bleu
from ..vae.metrics.text import count_tokens, cut_to, distinct
from . import statistics
from .plan import Growth, growths
from .rows import candidates_file, held_out_rows, read_table, subset_file
from .statistics import Row

SUBSETS = 3  # that are measured
ROWS = 400  # generated rows of each, the first kept
AUDITOR_ROWS = 20_000


def measure(folder: Path, recipe: Recipe, results: Sequence[Row], embed: Embed) -> list[dict[str, Any]]:
    """A line a generator, and one for real rows, of the study's own budget.

    `label_error` is the share (in per cent) of rows whose label the auditor does not find the likeliest, `distinct_2`,
    `self_bleu` and `mauve` (against other real rows) are as everywhere; `distinct_2` is of the first words, of which
    the set that has fewest says how many. `lifts` are of the size that was measured.
    """
    budget = recipe.study.budget
    names = list(dict.fromkeys(growth.generator for growth in growths(recipe) if growth.budget == budget))
    if not names or recipe.study.class_shares:  # rows of one class alone would be held against rows of all
        return []
    tests, _ = held_out_rows(folder, 0)
    assert tests.labels is not None
    half = min(ROWS, len(tests) // 2)
    first, second = tests.texts[:half], tests.texts[half : 2 * half]
    other = embed(second).numpy()
    sets = {"real rows": {0: (first, tests.labels[:half])}}
    for name in names:
        tables = {subset: candidates_file(folder, Growth(name, budget, subset)) for subset in range(SUBSETS)}
        sets[name] = {subset: _first_kept(path, half) for subset, path in tables.items() if path.exists()}
    auditors = {k: train_auditor(folder, recipe, k) for k in sorted({k for own in sets.values() for k in own})}
    words = min(count_tokens(texts) for own in sets.values() for texts, _ in own.values())
    lines = []
    for name, own in sets.items():
        found = [
            _figures(texts, labels, words, auditors[subset], embed(texts).numpy(), other)
            for subset, (texts, labels) in own.items()
        ]
        lifts = {
            classifier: gain.mean
            for classifier in statistics.classifiers(results)
            if name in names and (gain := statistics.lift(results, classifier, name, budget + half)).mean is not None
        }
        means = pd.DataFrame(found).mean().round(3).to_dict()
        lines.append({"generator": name, "rows": len(list(own.values())[-1][0]), "lifts": lifts, **means})
    return lines


def _first_kept(path: Path, count: int) -> tuple[list[str], list[int]]:
    rows = read_table(path)
    rows = rows[rows["kept"] & (rows["method"] != "original")].sort_values("rank").head(count)
    return rows["text"].tolist(), rows["label"].tolist()


class Auditor:
    """Two logistic regressions on TF-IDF of words and pairs of them, each of one half of the rows.

    A text that one of them was trained on is judged by the other: generators may have read it, too, and real sentences
    are among what is judged.
    """

    def __init__(self, texts: list[str], labels: list[int]) -> None:
        self._half = {normalise(text): place % 2 for place, text in enumerate(texts)}
        self._halves = [words_classifier(min_df=2).fit(texts[half::2], labels[half::2]) for half in range(2)]

    def predict(self, texts: list[str]) -> np.ndarray:
        """(N,) classes."""
        by_half = np.stack([half.predict(texts) for half in self._halves])
        judges = [1 - self._half.get(normalise(text), 0) for text in texts]
        return by_half[judges, np.arange(len(texts))]


def train_auditor(folder: Path, recipe: Recipe, subset: int) -> Auditor:
    """Of rows that are neither the subset's nor the test's, nor of those whose sentences a VAE reads without labels."""
    data: LabelledTexts = load_texts(recipe.study.dataset, "train")
    assert data.labels is not None
    tests, _ = held_out_rows(folder, 0)
    taken = {normalise(text) for text in [*tests.texts, *read_table(subset_file(folder, subset))["text"]]}
    unread = [row for row, text in enumerate(data.texts) if normalise(text) not in taken]
    if recipe.vae.unlabelled == recipe.study.dataset:
        unread = [row for row in unread if role(data.texts[row]) != "unlabelled"]
    rows = unread[:: max(len(unread) // AUDITOR_ROWS, 1)]
    return Auditor([data.texts[row] for row in rows], [data.labels[row] for row in rows])


def _figures(
    texts: list[str], labels: list[int], words: int, auditor: Auditor, features: np.ndarray, real: np.ndarray
) -> dict[str, float | None]:
    return {
        "label_error": round(100 * fmean(auditor.predict(texts) != np.array(labels)), 3),
        "distinct_2": distinct(cut_to(texts, words), 2),
        "self_bleu": self_bleu(texts, sample=100),
        "mauve": mauve(features, real),
    }
