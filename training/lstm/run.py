"""Run an LSTM recipe: train, predict, evaluate, report; or a comparison of several, each in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification

from ..classify.train import encode, predict
from ..common.errors import UserError
from ..common.files import atomic_path, fingerprint, read_json, read_jsonl, write_json
from ..common.model_folders import load_model
from ..common.progress import say
from ..common.run_folder import RunFolder, open_run
from ..common.sources import LabelledTexts, content_revision, resolve_model
from .data import TRICKY, Parts, TrickyReviews, load_parts, load_tokenizer, load_tricky, with_unlabelled
from .evaluation import figures, with_tricky
from .recipe import ComparisonRecipe, LstmRecipe, load_lstm_recipe
from .report import Classifier, flat, write_report
from .rivals import EPOCHS, FINE_TUNING, RIVALS, train_rival
from .train import scorer, train_lstm

Json = dict[str, Any]


def run_lstm(name_or_path: str | Path, output: Path | None = None) -> Path:
    """Do all that a recipe asks for and is not done yet; returns the run's folder, with its `report.html`.

    Raises:
        UserError: a recipe, source or folder that cannot be used.
    """
    recipe = load_lstm_recipe(name_or_path)
    folder = output or Path("runs") / recipe.name
    if isinstance(recipe, ComparisonRecipe):
        run_comparison(recipe, folder)
    else:
        run_one(recipe, folder, test=True)
    return folder


def run_comparison(recipe: ComparisonRecipe, folder: Path) -> None:
    """Run every member, and the rivals where asked, and write what they gave beside each other."""
    recipes = recipe.recipes()  # a mistake in one is told before any is trained
    if recipe.rivals:
        resolve_model(recipe.body)
    with open_run(folder, recipe) as run:
        changed = {name for name in recipes if name not in recipe.members or recipe.members[name].changes}
        places = {
            name: folder / name if name in changed else folder.parent / member.name for name, member in recipes.items()
        }
        run.update(members={name: str(place) for name, place in places.items()})
        found = {}
        for name, member in recipes.items():
            place = places[name]
            say(f"lstm: {name} in {place}")
            found[name] = run_one(member, place, test=recipe.test)
        if recipe.rivals:
            found |= _rivals(run, recipe, next(iter(recipes.values())).dataset)
        write_json(folder / "evaluation.json", flat(found))
        write_report(folder, found)


def run_one(recipe: LstmRecipe, folder: Path, test: bool) -> Classifier:
    """Train and evaluate one LSTM in `folder`, or find that done there; without `test` no test row is reached."""
    with open_run(folder, recipe) as run:
        parts = with_unlabelled(load_parts(recipe.dataset), recipe)
        tokenizer, tokenizer_source = load_tokenizer(recipe)
        sources = [parts.train.source, tokenizer_source]
        run.note_sources({source.id: source for source in sources})
        run.update(
            rows={
                "train": len(parts.train),
                "validation": len(parts.validation),
                "copies_of_test_rows": parts.copies,
                "unlabelled": len(parts.unlabelled) if parts.unlabelled else 0,
            },
        )
        inputs = [recipe, [source.revision for source in (*sources, parts.test.source)]]
        with run.stage("train", inputs=inputs, outputs=["model", "metrics.jsonl"]) as stage:
            if not stage.done:
                checkpoints = folder / "checkpoints" / fingerprint(*inputs)
                for other in set(folder.glob("checkpoints/*")) - {checkpoints}:
                    raise UserError(
                        f"{other}: was made by another recipe or of other data; delete it to train anew, or choose "
                        "another --output"
                    )
                dtype = getattr(torch, run.dtype(recipe.precision, "LSTM"))
                run.update(training=train_lstm(recipe, parts, tokenizer, folder, checkpoints, dtype))
                stage.note = f"{run.info['training']['parameters'] / 1e6:.1f} M parameters"
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        validation, evaluation = folder / "validation.json", folder / "evaluation.json"
        weights = folder / "model" / "model.safetensors"
        with run.stage("validate", inputs=[weights], outputs=[validation.name, "validation.npy"]) as stage:
            if not stage.done:
                write_json(validation, _validate(run, parts.validation, tokenizer))
        if not test:
            return _classifier(folder, "validation", parts.validation, recipe)
        inputs = [validation, parts.test.source.revision, TRICKY]
        with run.stage("test", inputs=inputs, outputs=[evaluation.name, "evaluation.npy"]) as stage:
            if not stage.done:
                write_json(evaluation, read_json(validation) | _test(run, parts, tokenizer))
        found = _classifier(folder, "evaluation", parts.test, recipe)
        write_report(folder, {recipe.name: found})
        return found


def _classifier(folder: Path, name: str, scored: LabelledTexts, recipe: LstmRecipe | None = None) -> Classifier:
    labels = scored.labels or []
    return Classifier(
        facts=read_json(folder / f"{name}.json"),
        probabilities=np.load(folder / f"{name}.npy")[: len(labels)],  # the tricky reviews' come behind
        labels=labels,
        recipe=recipe,
        curve=read_jsonl(folder / "metrics.jsonl") if recipe else [],
    )


def _validate(run: RunFolder, validation: LabelledTexts, tokenizer: Any) -> Json:
    training = run.info["training"]
    probabilities = _predict(run, validation, tokenizer)
    _keep(run.path / "validation.npy", probabilities)
    return {
        **training,
        "weights": content_revision([run.path / "model" / "model.safetensors"]),
        "validation": figures(probabilities, validation.labels or [], training["temperature"]),
    }


def _test(run: RunFolder, parts: Parts, tokenizer: Any) -> Json:
    tricky = load_tricky(parts.train.label_names)
    probabilities = _predict(run, _all_scored(parts.test, tricky), tokenizer)
    _keep(run.path / "evaluation.npy", probabilities)
    return with_tricky(probabilities, parts.test.labels or [], tricky, run.info["training"]["temperature"])


def _predict(run: RunFolder, texts: LabelledTexts, tokenizer: Any) -> np.ndarray:
    folder = run.path / "model"
    model = load_model(LstmForSequenceClassification, folder, "textvae lstm")
    try:
        model.check_tokenizer(tokenizer)
    except ValueError as error:
        raise UserError(f"{folder}: {error}; delete the folder to train anew") from None
    return predict(scorer(model, tokenizer), encode(texts, tokenizer, tokenizer.model_max_length))


def _rivals(run: RunFolder, recipe: ComparisonRecipe, dataset: str) -> dict[str, Classifier]:
    parts = load_parts(dataset)
    tricky = load_tricky(parts.train.label_names)
    scored = _all_scored(parts.test, tricky)
    dtype = getattr(torch, run.dtype("auto"))
    found = {}
    read = [parts.train.source.revision, parts.test.source.revision, resolve_model(recipe.body)[1].revision, TRICKY]
    inputs = [*read, recipe.body_tokens, recipe.seed, str(dtype), FINE_TUNING, EPOCHS]
    for name in RIVALS:
        outputs = [f"rivals/{name}.json", f"rivals/{name}.npy"]
        with run.stage(f"rival {name}", inputs=inputs, outputs=outputs) as stage:
            if not stage.done:
                probabilities, about = train_rival(
                    name, recipe, parts, scored, dtype=dtype, features=run.path / "features"
                )
                _keep(run.path / outputs[1], probabilities)
                scores = with_tricky(probabilities, parts.test.labels or [], tricky)
                write_json(run.path / outputs[0], about | scores)
        found[name] = _classifier(run.path / "rivals", name, parts.test)
    return found


def _all_scored(test: LabelledTexts, tricky: TrickyReviews | None) -> LabelledTexts:
    """All texts that are scored: the test rows, then the tricky ones, where there are."""
    if tricky is None:
        return test
    texts, labels = test.texts + tricky.texts.texts, (test.labels or []) + (tricky.texts.labels or [])
    return LabelledTexts(texts, labels, test.label_names, test.source)


def _keep(path: Path, probabilities: np.ndarray) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, probabilities, allow_pickle=False)
