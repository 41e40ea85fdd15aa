"""Annotated texts, read strictly, and which of them train, calibrate and test.

A text's fold follows from a hash of its letters and digits: one that stands twice is in one fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.errors import UserError
from ..common.rows import Rows, texts_of
from ..common.sources import Source, load_rows
from ..common.text import clean, normalise, split_share
from .recipe import EmotionRecipe

SPLITS = ("train", "validation", "test")
MEANS, DEVIATIONS = ("V", "A"), ("stdV", "stdA")


@dataclass(frozen=True)
class AnnotatedTexts:
    """Texts with the mean and the standard deviation of their ratings; NaN where a source has no arousal."""

    texts: list[str]
    ratings: np.ndarray  # (N, 2) float64 valence and arousal, in rating units
    deviations: np.ndarray  # (N, 2) float64
    categories: list[str] | None
    splits: np.ndarray  # (N,) one of SPLITS
    source: Source

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def category_names(self) -> list[str]:
        return sorted(set(self.categories or ()))

    @property
    def rated(self) -> list[int]:
        """Columns of `ratings` that are annotated."""
        return [index for index in range(2) if not np.isnan(self.ratings[:, index]).all()]


@dataclass(frozen=True)
class Split:
    """Row numbers of one training: fitted on, calibrated on, tested on."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def load_annotated(recipe: EmotionRecipe) -> AnnotatedTexts:
    """All splits of the recipe's data; a single file is split 80/10/10 by a hash of its texts.

    Raises:
        UserError: the source cannot be had; a column or a value is missing; a deviation is negative; a rating lies
            outside the scale.
    """
    one_file = Path(recipe.data).is_file()
    parts = [load_rows(recipe.data, split) for split in (SPLITS[:1] if one_file else SPLITS)]
    source = parts[0][1]
    texts = [text for rows, _ in parts for text in texts_of(rows, "text")]
    low, high = recipe.lowest_rating, recipe.highest_rating
    ratings, deviations = [], []
    for mean, deviation in zip(MEANS, DEVIATIONS, strict=True):
        if mean == "A" and not any(name in rows.columns for rows, _ in parts for name in ("A", "stdA")):
            ratings.append(np.full(len(texts), np.nan))
            deviations.append(np.full(len(texts), np.nan))
            continue
        ratings.append(np.concatenate([_numbers(rows, mean, low, high) for rows, _ in parts]))
        deviations.append(np.concatenate([_numbers(rows, deviation, 0.0, high - low) for rows, _ in parts]))
    categories = None
    if all("category" in rows.columns for rows, _ in parts):
        categories = [str(value) for rows, _ in parts for value in rows.column("category")]
    splits = [split for split, (rows, _) in zip(SPLITS, parts, strict=False) for _ in rows.column("text")]
    if one_file:
        splits = [SPLITS[np.searchsorted((0.8, 0.9), split_share(text), side="right")] for text in texts]
    return AnnotatedTexts(
        texts, np.stack(ratings, axis=1), np.stack(deviations, axis=1), categories, np.array(splits), source
    )


def fold_rows(data: AnnotatedTexts, recipe: EmotionRecipe) -> list[Split]:
    """The folds of the cross-validation: each tests its own texts; of the others a share is held back to calibrate.

    Raises:
        UserError: too few texts.
    """
    share = recipe.folds * np.array([split_share(text) for text in data.texts])
    fold, inner = share.astype(int), share % 1
    held_back = inner < recipe.calibration_share
    numbers = np.arange(len(data))
    folds = []
    for index in range(recipe.folds):
        test, others = fold == index, fold != index
        folds.append(Split(numbers[others & ~held_back], numbers[others & held_back], numbers[test]))
    for rows in folds:
        _check_size(rows, data)
    return folds


def official_rows(data: AnnotatedTexts) -> Split:
    """The data's own split, less the training and validation texts that stand among later ones, too."""
    identity = np.array([normalise(clean(text)) for text in data.texts])
    numbers = np.arange(len(data))
    test, validation, train = (numbers[data.splits == split] for split in reversed(SPLITS))
    validation = validation[~np.isin(identity[validation], identity[test])]
    train = train[~np.isin(identity[train], identity[np.concatenate([test, validation])])]
    rows = Split(train, validation, test)
    _check_size(rows, data)
    return rows


def _check_size(rows: Split, data: AnnotatedTexts) -> None:
    if min(len(rows.train), len(rows.validation), len(rows.test)) < 2:
        raise UserError(
            f"{data.source.location}: {len(data)} texts are too few for folds; give more, or fewer 'folds' and a "
            "larger 'calibration_share'"
        )


def _numbers(rows: Rows, column: str, low: float, high: float) -> np.ndarray:
    values = np.empty(len(rows.column(column)))
    for index, value in enumerate(rows.column(column)):
        where = f"{rows.where(index)}: '{column}'"
        try:
            number = float("nan" if value is None else value)
        except (TypeError, ValueError):
            raise UserError(f"{where} is {value!r}, not a number; mend or delete the row") from None
        if np.isnan(number):
            raise UserError(f"{where} is missing; fill it in or delete the row")
        if not low <= number <= high:
            if column in DEVIATIONS and number < 0:
                raise UserError(f"{where} is {number:g}; a standard deviation is never negative; mend the row")
            raise UserError(
                f"{where} is {number:g}, outside {low:g} to {high:g}; mend the row, or set 'lowest_rating' and "
                "'highest_rating' in the recipe"
            )
        values[index] = number
    return values
