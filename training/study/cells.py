"""What a worker does: grow the budget of one subset, or train and score one cell, from files alone.

The one place where a study's workers call the layers below.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from textvae.modeling_textvae.sentences import fit_sentences

from ..augment.dataset import grow
from ..augment.generators import Generator
from ..augment.generators.rules import Rules, wordnet
from ..augment.generators.vae import Vae
from ..classify.train import train_classifier
from ..common.errors import UserError
from ..common.files import atomic_path
from ..common.precision import device
from ..common.recipe import Recipe
from ..common.sources import LabelledTexts, content_revision
from ..vae.adapt import adapt
from ..vae.train import load_model
from .banks import read_bank
from .plan import Cell, keeps_model, seed_of
from .rows import budget_rows, candidates_file, held_out_rows, training_rows


def grow_subset(folder: Path, recipe: Recipe, name: str, subset: int, dtype: str) -> dict[str, Any]:
    """Write all candidate rows of a generator for a subset; returns how many were proposed, kept, and rejected why."""
    started = time.monotonic()
    settings, seed = recipe.augment, seed_of(recipe.seed, "augment", subset)
    if subset >= settings.perplexity_subsets:
        settings = replace(settings, perplexity_model=None)
    budget = budget_rows(folder, subset, recipe.study.budget)
    tests, _ = held_out_rows(folder)
    model, tokenizer = load_model(folder / "vae")
    if name == "vae" and settings.adapt_steps:
        sentences = [s for row in fit_sentences(budget.texts, tokenizer, model.config.max_text_length) for s in row]
        place = folder / "augmented" / "adapted" / f"subset-{subset}"
        model, tokenizer, _ = adapt(folder / "vae", sentences, settings.adapt_steps, place, seed)
    model = model.to(device()).eval()
    generator: Generator
    match name:
        case "vae":
            generator = Vae(model, tokenizer, settings)
        case "self_training":
            generator = read_bank(folder, recipe, model, tokenizer)
        case _:
            generator = Rules(wordnet()[0], settings.rule_share)
    rows = grow(generator, model, tokenizer, budget, tests.texts, settings, seed, dtype=getattr(torch, dtype))
    with atomic_path(candidates_file(folder, name, subset)) as temporary:
        rows.to_parquet(temporary, index=False)
    candidates = rows[rows["method"] != "original"]
    return {
        "generator": name,
        "subset": subset,
        "candidates": len(candidates),
        "kept": int(candidates["kept"].sum()),
        "rejected": candidates["reject_reason"].value_counts().sort_index().to_dict(),
        "perplexity": _median(candidates.loc[candidates["kept"], "perplexity"]),
        "seconds": round(time.monotonic() - started, 2),
    }


def train_cell(folder: Path, recipe: Recipe, cell: Cell, dtype: str) -> dict[str, Any]:
    """Train and score one cell and keep its predictions; returns its row of `results.jsonl`."""
    settings = recipe.classifiers[cell.classifier]
    output = folder / "classifiers" / cell.classifier if keeps_model(cell, recipe) else None
    train = training_rows(folder, cell, recipe.study.budget)
    test, rows = held_out_rows(folder, settings.test_rows)
    outcome = train_classifier(
        cell.classifier,
        settings,
        train,
        test,
        steps=settings.steps.get(cell.size, 0),
        seed=seed_of(recipe.seed, "train", cell.subset, cell.seed),  # the same for every arm
        dtype=getattr(torch, dtype),
        num_labels=len(train.label_names),
        output=output,
        features=folder / "classifiers" / "features",
    )
    if not np.isfinite(outcome.probabilities).all():
        raise UserError(
            f"{cell.key}: its probabilities are not finite; lower 'classifiers.{cell.classifier}.learning_rate'"
        )
    _write_predictions(
        folder / "classifiers" / "predictions" / f"{cell.key}.parquet", rows, test, outcome.probabilities
    )
    kept = sorted(output.glob("*.safetensors")) if output else []
    return {
        "classifier": cell.classifier,
        "arm": cell.arm,
        "size": cell.size,
        "subset": cell.subset,
        "seed": cell.seed,
        **outcome.metrics,
        "rows": len(train),
        "test_rows": len(test),
        "steps": outcome.steps,
        "weights": outcome.weights,
        "seconds": round(outcome.seconds, 2),
        **({"model_revision": content_revision(kept)} if kept else {}),
    }


def _write_predictions(path: Path, rows: list[int], test: LabelledTexts, probabilities: np.ndarray) -> None:
    """`row` is the index in the test split; a column of probabilities a class."""
    columns = {f"p_{name}": probabilities[:, c] for c, name in enumerate(test.label_names)}
    with atomic_path(path) as temporary:
        pd.DataFrame({"row": rows, "label": test.labels, **columns}).to_parquet(temporary, index=False)


def _median(scores: pd.Series) -> float | None:
    return None if scores.isna().all() else round(float(scores.median()), 1)
