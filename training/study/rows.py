"""The real rows of a study as small files: workers read a subset and the test rows only."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..augment.dataset import none_left, read_features, take
from ..augment.selection import select
from ..classify.targets import Targets
from ..common.errors import UserError
from ..common.files import atomic_path, read_json, write_json
from ..common.recipe import Recipe, VariantRecipe
from ..common.sources import LabelledTexts, Source
from .plan import Cell, Growth, largest_planned, rows_of_each, subsets


def files(folder: Path, recipe: Recipe) -> list[Path]:
    """Every file that `write_rows` writes under a run folder."""
    return [
        folder / "rows" / "test.parquet",
        _unseen(folder),
        _dataset(folder),
        *(subset_file(folder, k) for k in range(subsets(recipe))),
    ]


def write_rows(
    folder: Path,
    train: LabelledTexts,
    test: LabelledTexts,
    draws: list[list[int]],
    test_order: list[int],
    unseen: Iterable[str],
) -> None:
    """Write the drawn rows: `row` is the index in the dataset's split, in the order of their use.

    Args:
        unseen: texts of which no generated row may be a copy. Which test rows are drawn hangs on their labels and their
            order, so that these are all of them.
    """
    for k, draw in enumerate(draws):
        _write(subset_file(folder, k), train, draw)
    _write(folder / "rows" / "test.parquet", test, test_order)
    with atomic_path(_unseen(folder)) as temporary:
        pd.DataFrame({"text": sorted(set(unseen))}).to_parquet(temporary, index=False)
    write_json(_dataset(folder), {"label_names": train.label_names, "source": train.source.to_dict()})


def write_folds(folder: Path, data: LabelledTexts, folds: list[tuple[list[int], list[int]]]) -> None:
    """Subset k is trained on the rows folds[k][0] of `data` and scored on its rows folds[k][1]."""
    for k, (train, test) in enumerate(folds):
        _write(subset_file(folder, k), data, train)
        _write(folder / "rows" / f"test-{k}.parquet", data, test)
    write_json(_dataset(folder), {"label_names": data.label_names, "source": data.source.to_dict()})


def subset_file(folder: Path, subset: int) -> Path:
    return folder / "rows" / f"subset-{subset}.parquet"


def held_out_file(folder: Path, subset: int) -> Path:
    """The test rows: the same for all subsets, unless a subset has its own (the folds of `advise`)."""
    own = folder / "rows" / f"test-{subset}.parquet"
    return own if own.exists() else folder / "rows" / "test.parquet"


def unseen_file(folder: Path, subset: int) -> Path:
    """Texts of which no generated row may be a copy: where a subset has test rows of its own these."""
    own = held_out_file(folder, subset)
    return own if own != folder / "rows" / "test.parquet" else _unseen(folder)


def candidates_file(folder: Path, growth: Growth) -> Path:
    """All rows that a generator proposed for a budget, kept or not."""
    return folder / "augmented" / "candidates" / f"{growth.generator}-of{growth.budget}-subset{growth.subset}.parquet"


def predictions_file(folder: Path, cell: Cell) -> Path:
    """A cell's probabilities on the test rows."""
    return folder / "classifiers" / "predictions" / f"{cell.key}.parquet"


def budget_rows(folder: Path, subset: int, budget: int) -> LabelledTexts:
    return _read(folder, subset_file(folder, subset), budget)


def held_out_rows(folder: Path, subset: int, count: int | None = None) -> tuple[LabelledTexts, list[int]]:
    """The first (default: all) test rows of a subset, and their indices in the test split."""
    table = read_table(held_out_file(folder, subset))[:count]
    return _labelled(folder, table), table["row"].tolist()


def training_rows(folder: Path, cell: Cell, recipe: Recipe) -> tuple[LabelledTexts, Targets | None]:
    """What a cell is trained on: `cell.size` rows, and what their targets are where not simply their labels."""
    variant = recipe.variant(cell.arm)
    if variant is not None:
        return grown_rows(folder, cell, variant, recipe)
    balance = recipe.study.class_shares is not None
    budget = budget_rows(folder, cell.subset, cell.budget)
    assert budget.labels is not None
    if cell.arm == "duplicate":
        return budget.take(_repeated(budget.labels, cell.size, balance)), None
    if cell.arm == "weighted":
        counts = np.bincount(budget.labels)
        weight = len(budget) / (counts > 0).sum() / counts[budget.labels]
        return budget, _one_hot(budget) * weight.astype(np.float32)[:, None]
    return _read(folder, subset_file(folder, cell.subset), cell.size), None  # the budget comes first, then the oracle's


def _repeated(labels: list[int], size: int, balance: bool) -> list[int]:
    """Places of `size` rows: all of them over and over, or those of the classes that have fewest."""
    if not balance:
        return [place % len(labels) for place in range(size)]
    places = list(range(len(labels)))
    filled = Counter(labels)
    rows = {label: itertools.cycle([place for place in places if labels[place] == label]) for label in sorted(filled)}
    while len(places) < size:
        label = min(rows, key=filled.__getitem__)
        places.append(next(rows[label]))
        filled[label] += 1
    return places


def grown_rows(
    folder: Path, cell: Cell, variant: VariantRecipe, recipe: Recipe
) -> tuple[LabelledTexts, Targets | None]:
    """The budget and an equal part of generated rows of each of the variant's generators.

    Other filters than its generator's, or another share, are asked anew of all candidates, for the largest size of this
    very arm: how strict they are hangs on no other.

    Raises:
        UserError: they leave nothing.
    """
    filters = recipe.filters(cell.arm)
    parts, left = [], cell.size - cell.budget
    for place, name in enumerate(variant.generators):
        share = left // (len(variant.generators) - place)
        file = candidates_file(folder, Growth(name, cell.budget, cell.subset))
        rows = read_table(file)
        if filters != recipe.filters(name) or variant.confident_share is not None:
            target = rows_of_each(recipe, cell, largest_planned(recipe, cell))
            balance = recipe.study.class_shares is not None
            confident = variant.confident_share or recipe.augment.confident_share
            settings = replace(recipe.augment, confident_share=confident)
            rows = select(rows, filters, target, settings, read_features(file), balance)
        if not (candidates := rows[rows["method"] != "original"])["kept"].any():
            raise UserError(
                f"arm '{cell.arm}', budget {cell.budget}, subset {cell.subset}: {none_left(candidates)}; take a filter "
                f"out of 'variants.{cell.arm}.filters', or raise 'augment.oversample'"
            )
        rows = take(rows, cell.budget + share)
        parts.append(rows if not place else rows[rows["method"] != "original"])
        left -= share
    table = pd.concat(parts, ignore_index=True)
    generated = (table["method"] != "original").to_numpy()
    data = _labelled(folder, table)
    if not variant.soft_labels and variant.synthetic_weight == 1:
        return data, None
    targets = _one_hot(data)
    if variant.soft_labels:
        targets[generated] = np.stack(table.loc[generated, "teacher_probabilities"].tolist())
    targets[generated] *= variant.synthetic_weight
    return data, targets


def _one_hot(data: LabelledTexts) -> Targets:
    return np.eye(len(data.label_names), dtype=np.float32)[data.labels]


def content(data: LabelledTexts) -> list[Any]:
    """What of some rows reaches a result."""
    return [data.texts, data.labels, data.label_names]


def read_table(path: Path) -> pd.DataFrame:
    # A process that ends soon after pyarrow 26 read with threads sometimes aborts while they are torn down.
    return pd.read_parquet(path, use_threads=False, pre_buffer=False)


def _unseen(folder: Path) -> Path:
    return folder / "rows" / "test-texts.parquet"


def _dataset(folder: Path) -> Path:
    return folder / "rows" / "dataset.json"


def _write(path: Path, data: LabelledTexts, rows: list[int] | tuple[int, ...]) -> None:
    assert data.labels is not None  # a draw has looked at them
    columns = {
        "row": list(rows),
        "text": [data.texts[row] for row in rows],
        "label": [data.labels[row] for row in rows],
    }
    with atomic_path(path) as temporary:
        pd.DataFrame(columns).to_parquet(temporary, index=False)


def _read(folder: Path, path: Path, count: int) -> LabelledTexts:
    return _labelled(folder, read_table(path).head(count))


def _labelled(folder: Path, table: pd.DataFrame) -> LabelledTexts:
    dataset = read_json(_dataset(folder))
    return LabelledTexts(
        table["text"].tolist(), table["label"].tolist(), dataset["label_names"], Source(**dataset["source"])
    )
