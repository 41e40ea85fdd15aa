"""What a study's predictions say beyond its rows of figures: intervals over test rows, and where a lift comes from.

A lift is split over kinds of test rows: quarters by how near a row is to its subset's budget and by how many of its
words the budget has, and slices of rows with a negation, with a contrast, short and long. Test labels are used for
figures only; nothing here reaches a generator or a choice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from ..augment.generators.composing import sentences_of
from ..augment.judging import Embed, both_teachers, teacher_body
from ..common.intervals import FEWEST_SUBSETS, paired_interval, two_way_bootstrap
from ..common.precision import autocast, device
from ..common.recipe import Recipe
from ..common.sources import LabelledTexts
from ..vae.train import load_model
from .budget_features import BudgetFeatures
from .plan import Cell, banks, growths
from .quality import measure
from .rows import budget_rows, held_out_rows, predictions_file, read_table
from .statistics import Row, is_generated, largest_size, of_budget

QUARTERS = 4
MOST_SHARED = 2000  # test rows on which all are compared: a teacher takes a second and more for two whole reviews
NEGATION = re.compile(r"\b(?:not?|never|nothing|nobody|none|neither|nor|without|\w+n't)\b", re.IGNORECASE)
CONTRAST = re.compile(r"\b(?:but|however|although|though|yet|despite)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")

Hits = dict[tuple[str, str, int, int], dict[int, np.ndarray]]  # classifier, arm, size, budget → subset → (rows,)


def analyse(folder: Path, recipe: Recipe, results: Sequence[Row], dtype: str) -> dict[str, Any]:
    """What run.json holds as `analysis`.

    `bootstrap`: of each generated arm's lift, the 95 % interval of a two-way bootstrap over subsets and test rows.
    `slices`: lifts by kinds of test rows, of each classifier's largest size of the arm `vae`.
    `shared_rows`: how many of the first test rows every classifier was scored on, up to MOST_SHARED; `shared`: by
    subset, the accuracy of each arm of the study's own budget on these.
    `teachers`: accuracy of the teachers that choose generated rows, on these rows too, for each budget.
    `quality`: of each generator's rows in themselves.
    """
    hits = _hits(folder, results)
    shared_rows = min(MOST_SHARED, *(row["test_rows"] for row in results))
    bootstrap, slices = [], []
    for (classifier, arm, size, budget), ours in hits.items():
        theirs = hits.get((classifier, "duplicate", size, budget), {})
        shared = sorted(set(ours) & set(theirs))
        if not is_generated(arm) or len(shared) < FEWEST_SUBSETS:
            continue
        difference = 100 * np.stack([ours[subset] - theirs[subset] for subset in shared])
        place = {"classifier": classifier, "arm": arm, "size": size, "budget": budget}
        low, high = two_way_bootstrap(difference)
        bootstrap.append({**place, "low": round(low, 3), "high": round(high, 3)})
        of_classifier = [row for row in results if row["classifier"] == classifier and row["budget"] == budget]
        if arm == "vae" and budget == recipe.study.budget and size == largest_size(of_classifier):
            slices += [
                {**place, **found} for found in _slices(folder, budget, shared, difference, next(iter(ours.values())))
            ]
    on_shared = [
        {
            "classifier": classifier,
            "arm": arm,
            "size": size,
            "accuracies": {
                str(subset): round(100 * float(rows[:shared_rows].mean()), 3) for subset, rows in own.items()
            },
        }
        for (classifier, arm, size, budget), own in hits.items()
        if budget == recipe.study.budget
    ]
    found: dict[str, Any] = {
        "bootstrap": bootstrap, "slices": slices, "shared_rows": shared_rows, "shared": on_shared, "teachers": [],
        "quality": [],
    }  # fmt: skip
    if growths(recipe):
        number = getattr(torch, dtype)
        model, tokenizer = load_model(folder / "vae")
        embed = teacher_body(recipe.augment, model.to(device()).eval(), tokenizer, number)
        with autocast(number, device()):
            found["teachers"] = teacher_accuracies(folder, recipe, embed, shared_rows, dtype)
            found["quality"] = measure(folder, recipe, of_budget(results, recipe.study.budget), embed)
    return found


def teacher_accuracies(folder: Path, recipe: Recipe, embed: Embed, count: int, dtype: str) -> list[dict[str, Any]]:
    """In points, on the first test rows, of what chooses rows. A student of these should be able to beat its teacher.

    Where rows are put together from a bank, both of its teachers read the sentences of a test row, as they read the
    bank's, and the mean of what they say decides.
    """
    tests, _ = held_out_rows(folder, 0, count)
    assert tests.labels is not None
    by_sentence = bool({growth.generator for growth in growths(recipe)} & set(banks(recipe)))
    parts = sentences_of(tests) if by_sentence else [[text] for text in tests.texts]
    features = embed([part for row in parts for part in row])
    owners = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(row) for row in parts]))
    found = []
    for budget, subset in sorted({(growth.budget, growth.subset) for growth in growths(recipe)}):
        rows = budget_rows(folder, subset, budget)
        teachers = both_teachers(rows, BudgetFeatures(folder, recipe, rows, embed, dtype))[: 2 if by_sentence else 1]
        said = sum(teacher.probabilities(features).double() for teacher in teachers)
        total = torch.zeros(len(parts), len(rows.label_names), dtype=torch.float64).index_add_(0, owners, said)
        right = total.argmax(1).numpy() == np.array(tests.labels)
        found.append({"budget": budget, "subset": subset, "accuracy": round(100 * float(right.mean()), 3)})
    return found


def _hits(folder: Path, results: Sequence[Row]) -> Hits:
    """Share of trainings that got each test row right, seeds averaged."""
    found: dict[tuple[str, str, int, int], dict[int, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for row in results:
        cell = Cell.of(row)
        table = read_table(predictions_file(folder, cell))
        guesses = table.filter(like="p_").to_numpy().argmax(axis=1)
        right = (guesses == table["label"].to_numpy()).astype(float)
        found[cell.classifier, cell.arm, cell.size, cell.budget][cell.subset].append(right)
    return {
        place: {subset: np.mean(seeds, axis=0) for subset, seeds in subsets.items()} for place, subsets in found.items()
    }


def _slices(
    folder: Path, budget: int, subsets: list[int], difference: np.ndarray, rows: np.ndarray
) -> list[dict[str, Any]]:
    """Name, test rows a subset, mean lift and interval of each kind of test rows; `difference` is (subsets, rows)."""
    tests, _ = held_out_rows(folder, 0, len(rows))
    kinds: dict[str, list[np.ndarray]] = defaultdict(list)  # name → a mask of test rows for each subset
    lengths = np.array([len(text.split()) for text in tests.texts])
    for subset in subsets:
        for name, mask in _by_overlap(tests, budget_rows(folder, subset, budget)).items():
            kinds[name].append(mask)
        for name, pattern in (("with a negation", NEGATION), ("with a contrast", CONTRAST)):
            kinds[name].append(np.array([pattern.search(text) is not None for text in tests.texts]))
        kinds["short (lower half)"].append(lengths <= np.median(lengths))
        kinds["long (upper half)"].append(lengths > np.median(lengths))
    lines = []
    for name, masks in kinds.items():
        values = [float(row[mask].mean()) for row, mask in zip(difference, masks, strict=True) if mask.any()]
        gain = paired_interval(values)
        lines.append(
            {
                "slice": name,
                "rows": round(float(np.mean([mask.sum() for mask in masks])), 1),
                "lift": None if gain.mean is None else round(gain.mean, 3),
                "low": None if gain.low is None else round(gain.low, 3),
                "high": None if gain.high is None else round(gain.high, 3),
                "n": gain.n,
            }
        )
    return lines


def _by_overlap(tests: LabelledTexts, budget: LabelledTexts) -> dict[str, np.ndarray]:
    """Quarters of the test rows by the share of their words that the budget has, and by TF-IDF similarity to it."""

    vocabulary = {word for text in budget.texts for word in _words(text)}
    shares = np.array([np.mean([word in vocabulary for word in _words(text)] or [False]) for text in tests.texts])
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    own = vectorizer.fit_transform(budget.texts)
    nearest = (vectorizer.transform(tests.texts) @ own.T).max(axis=1).toarray()[:, 0]
    masks = {}
    for name, values in (("words known", shares), ("similarity to the budget", nearest)):
        order = values.argsort(kind="stable").argsort(kind="stable") * QUARTERS // len(values)
        for quarter in range(QUARTERS):
            masks[f"{name}, quarter {quarter + 1} of {QUARTERS}"] = order == quarter
    return masks


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
