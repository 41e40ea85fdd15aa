"""What a worker does: grow the budget of one subset, or train and score one cell, from files alone.

The one place where a study's workers call the layers below.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..augment.dataset import grow, none_left
from ..augment.generators import Cost, Generator
from ..augment.generators.bank import Bank
from ..augment.generators.vae import Vae
from ..augment.judging import Judges, Perplexities, sentence_perplexities, teacher_body
from ..augment.making import make_generator
from ..classify.train import train_classifier
from ..common.errors import UserError
from ..common.files import atomic_path
from ..common.precision import autocast, device
from ..common.recipe import Recipe
from ..common.sources import LabelledTexts, content_revision
from ..vae.train import load_model
from .banks import read_bank
from .budget_features import BudgetFeatures
from .plan import Cell, Growth, filters_asked, keeps_model, seed_of
from .rows import (
    budget_rows,
    candidates_file,
    held_out_rows,
    predictions_file,
    read_table,
    training_rows,
    unseen_file,
)


def grow_budget(folder: Path, recipe: Recipe, growth: Growth, target: int, dtype: str) -> dict[str, Any]:
    """Write all candidate rows of a generator for a budget; returns how many were proposed, kept, and rejected why.

    Args:
        target: rows wanted, the budget's included.
    """
    started, worked = time.monotonic(), time.process_time()
    settings = replace(recipe.augment, filters=recipe.filters(growth.generator))
    seed = seed_of(recipe.seed, "augment", growth.subset)
    name, number = growth.generator, getattr(torch, dtype)
    budget = budget_rows(folder, growth.subset, growth.budget)
    unseen = read_table(unseen_file(folder, growth.subset))["text"].tolist()
    model, tokenizer = load_model(folder / "vae")
    model = model.to(device()).eval()
    asked = filters_asked(recipe, name)
    perplexities, reading = None, Cost()
    if settings.perplexity_model and (growth.subset < settings.perplexity_subsets or "perplexity" in asked):
        perplexities = _timed(sentence_perplexities(settings, number), reading)
    generator = _generator(folder, recipe, name, model, tokenizer, number)
    body = teacher_body(settings, model, tokenizer, number)
    others = generator.embed if isinstance(generator, Bank) else None
    embed = BudgetFeatures(folder, recipe, budget, body, dtype, others)
    if isinstance(generator, Bank):
        generator = replace(generator, embed=embed)
    # The rows of other generators are shown to nobody, so that a teacher reads them only where a filter asks it.
    judges = Judges(embed, perplexities, asked | {"confidence"} if name == "vae" else asked)
    with autocast(number, model.device):
        oversample = settings.oversample_by_generator.get(name, settings.oversample)
        rows, features = grow(
            generator, judges, budget, unseen, settings, seed,
            target=target, oversample=oversample, balance=recipe.study.class_shares is not None,
        )  # fmt: skip
    candidates = rows[rows["method"] != "original"]
    rejected = candidates["reject_reason"].value_counts().sort_index().to_dict()
    if not candidates["kept"].any():
        raise UserError(
            f"{name}, budget {growth.budget}, subset {growth.subset}: {none_left(candidates)}; take a filter out of "
            "'augment.filters', or raise 'augment.oversample'"
        )
    path = candidates_file(folder, growth)
    if features is not None:
        with atomic_path(path.with_suffix(".npy")) as temporary, open(temporary, "wb") as file:
            np.save(file, features.astype(np.float16))
    with atomic_path(path) as temporary:
        rows.to_parquet(temporary, index=False)
    spent = time.process_time() - worked + embed.spared_cpu_seconds
    if not isinstance(generator, Bank):  # a bank is written before, and encoded
        spent -= generator.cost.cpu_seconds + generator.cost.training_cpu_seconds
    if "perplexity" not in asked:  # nothing is chosen by it
        spent -= reading.cpu_seconds
    return {
        "generator": name,
        "budget": growth.budget,
        "subset": growth.subset,
        "candidates": len(candidates),
        "kept": int(candidates["kept"].sum()),
        "rejected": rejected,
        "perplexity": _median(candidates.loc[candidates["kept"], "perplexity"]),
        "words": int(candidates["text"].str.split().str.len().sum()),
        "writing": {key: round(value, 2) for key, value in asdict(generator.cost).items()},
        "choosing_cpu_seconds": round(spent + generator.cost.encoding_cpu_seconds, 2),
        "seconds": round(time.monotonic() - started, 2),
    }


def _timed(score: Perplexities, cost: Cost) -> Perplexities:
    def scored(texts: list[str]) -> list[float | None]:
        with cost.writing():
            return score(texts)

    return scored


def _generator(
    folder: Path, recipe: Recipe, name: str, model: TextVAEModel, tokenizer: Any, dtype: torch.dtype
) -> Generator:
    match name:
        case "vae" if recipe.augment.vae_latents == "posterior":
            return Vae(model, tokenizer, recipe.augment)
        case "vae" | "self_training":
            return read_bank(folder, recipe, name, model, tokenizer, dtype)
        case _:
            return make_generator(name, recipe.augment, dtype)


def train_cell(folder: Path, recipe: Recipe, cell: Cell, dtype: str) -> dict[str, Any]:
    """Train and score one cell and keep its predictions; returns its row of `results.jsonl`."""
    settings = recipe.classifiers[cell.classifier]
    output = folder / "classifiers" / cell.classifier if keeps_model(cell, recipe) else None
    train, targets = training_rows(folder, cell, recipe)
    test, rows = held_out_rows(folder, cell.subset, settings.test_rows)
    outcome = train_classifier(
        cell.classifier,
        settings,
        train,
        test,
        steps=settings.steps.get(cell.size, 0),
        seed=seed_of(recipe.seed, "train", cell.subset, cell.seed),  # the same for every arm
        dtype=getattr(torch, dtype),
        targets=targets,
        counted=len(train) if cell.arm == "oracle" else cell.budget,
        output=output,
        features=folder / "classifiers" / "features",
    )
    if not np.isfinite(outcome.probabilities).all():
        raise UserError(
            f"{cell.key}: its probabilities are not finite; lower 'classifiers.{cell.classifier}.learning_rate'"
        )
    _write_predictions(predictions_file(folder, cell), rows, test, outcome.probabilities)
    kept = sorted(output.glob("*.safetensors")) if output else []
    return {
        "classifier": cell.classifier,
        "arm": cell.arm,
        "size": cell.size,
        "budget": cell.budget,
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
