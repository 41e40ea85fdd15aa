"""Run an LSTM recipe: train, predict, evaluate, report; or a comparison of several, each in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification

from ..classify.train import predict
from ..common.files import atomic_path, fingerprint, read_json, read_jsonl, write_json
from ..common.progress import say
from ..common.run_folder import RunFolder
from ..common.sources import LabelledTexts, content_revision
from . import speed
from .data import Parts, TrickyReviews, encode_rows, load_parts, load_tokenizer, load_tricky
from .evaluation import figures, with_tricky
from .recipe import ComparisonRecipe, LstmRecipe, load_lstm_recipe
from .report import flat, write_report
from .rivals import RIVALS, train_rival
from .train import scorer, train_lstm

RUNS = Path("runs")
Json = dict[str, Any]


def run_lstm(name_or_path: str | Path, output: Path | None = None) -> Path:
    """Do all that a recipe asks for and is not done yet; returns the run's folder, with its `report.html`.

    Raises:
        UserError: a recipe, source or folder that cannot be used.
    """
    recipe = load_lstm_recipe(name_or_path)
    folder = output or RUNS / recipe.name
    if isinstance(recipe, ComparisonRecipe):
        run_comparison(recipe, folder)
    else:
        found = run_one(recipe, folder, test=True)
        write_report(folder, {recipe.name: found}, {recipe.name: read_jsonl(folder / "metrics.jsonl")})
    return folder


def run_comparison(recipe: ComparisonRecipe, folder: Path) -> None:
    """Run every member, and the rivals where asked, and write what they gave beside each other."""
    recipes = recipe.recipes()  # a mistake in one is told before any is trained
    run = RunFolder(folder, recipe)
    found, curves = {}, {}
    for name, member in recipes.items():
        changed = name not in recipe.members or recipe.members[name].changes
        place = folder / name if changed else RUNS / member.name
        say(f"lstm: {name} in {place}")
        found[name] = run_one(member, place, test=recipe.test)
        curves[name] = read_jsonl(place / "metrics.jsonl")
    if recipe.rivals:
        with run.lock():
            found |= _rivals(run, recipe, next(iter(recipes.values())).dataset)
    write_json(folder / "evaluation.json", flat(found))
    write_report(folder, found, curves)


def run_one(recipe: LstmRecipe, folder: Path, test: bool) -> Json:
    """Train and evaluate one LSTM in `folder`, or find that done there; returns what `evaluation.json` holds."""
    run = RunFolder(folder, recipe)
    with run.lock():
        parts = load_parts(recipe.dataset)
        tokenizer, tokenizer_source = load_tokenizer(recipe)
        sources = [parts.train.source, tokenizer_source]
        run.update(sources=[{"asked": source.id, **source.to_dict()} for source in sources])
        inputs = [recipe, [source.revision for source in sources]]
        with run.stage("train", inputs=inputs, outputs=["model", "metrics.jsonl"]) as stage:
            if not stage.done:
                checkpoints = folder / "checkpoints" / fingerprint(*inputs)
                dtype = getattr(torch, run.dtype(recipe.precision))
                run.update(training=train_lstm(recipe, parts, tokenizer, folder, checkpoints, dtype))
                stage.note = f"{run.info['training']['parameters'] / 1e6:.1f} M parameters"
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        weights = folder / "model" / "model.safetensors"
        with run.stage("evaluate", inputs=[weights, test], outputs=["evaluation.json"]) as stage:
            if not stage.done:
                tricky = load_tricky(parts.train.label_names)
                write_json(folder / "evaluation.json", _evaluate(run, parts, tricky, tokenizer, test))
    return read_json(folder / "evaluation.json")


def _evaluate(run: RunFolder, parts: Parts, tricky: TrickyReviews, tokenizer: Any, test: bool) -> Json:
    model = scorer(LstmForSequenceClassification.from_pretrained(run.path / "model"), tokenizer)
    training = run.info["training"]
    temperature = training["temperature"]
    validation = predict(model, encode_rows(parts.validation, tokenizer))
    found = {
        **training,
        "weights": content_revision([run.path / "model" / "model.safetensors"]),
        "operations_per_second": speed.training_operations(training["recurrent_parameters"], training["tokens"])
        / training["seconds"],
        "matmul_peak": speed.matmul_peak(getattr(torch, run.info["precision"]["dtype"])),
        "validation": figures(validation, parts.validation.labels or [], temperature),
    }
    if not test:
        return found
    scored = _all_scored(parts.test, tricky)
    probabilities = predict(model, encode_rows(scored, tokenizer))
    _keep(run.path / "predictions.npy", probabilities)
    return found | with_tricky(probabilities, parts.test.labels or [], tricky, temperature)


def _rivals(run: RunFolder, recipe: ComparisonRecipe, dataset: str) -> dict[str, Json]:
    parts = load_parts(dataset)
    tricky = load_tricky(parts.train.label_names)
    scored = _all_scored(parts.test, tricky)
    dtype = getattr(torch, run.dtype("auto"))
    found = {}
    inputs = [recipe.body, recipe.body_tokens, recipe.seed, parts.train.source.revision]
    for name in RIVALS:
        place = f"rivals/{name}.json"
        with run.stage(f"rival {name}", inputs=inputs, outputs=[place]) as stage:
            if not stage.done:
                probabilities, about = train_rival(
                    name, recipe, parts, scored, dtype=dtype, features=run.path / "features"
                )
                _keep(run.path / "rivals" / f"{name}.npy", probabilities)
                write_json(run.path / place, about | with_tricky(probabilities, parts.test.labels or [], tricky))
        found[name] = read_json(run.path / place)
    return found


def _all_scored(test: LabelledTexts, tricky: TrickyReviews) -> LabelledTexts:
    """All texts that are scored: the test rows, then the tricky ones."""
    texts, labels = test.texts + tricky.texts.texts, (test.labels or []) + (tricky.texts.labels or [])
    return LabelledTexts(texts, labels, test.label_names, test.source)


def _keep(path: Path, probabilities: np.ndarray) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, probabilities, allow_pickle=False)
