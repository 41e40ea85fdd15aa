"""A whole recipe: data → folds of the model, its variants and its baselines → the one model → evaluation and report.

A fold that has been trained and measured is never done again for the same inputs, so that a run goes on fold by fold
wherever it was stopped, and within a fold at its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.modeling_emotion_vae.configuration_emotion_vae import DIMENSIONS
from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel

from ..common.errors import UserError
from ..common.files import file_digest, read_jsonl, write_json
from ..common.machine import Memory
from ..common.model_folders import load_model, save_model
from ..common.progress import say
from ..common.recipe_files import load_sister_recipe
from ..common.run_folder import RunFolder, open_run
from ..common.sources import resolve_model
from . import baselines
from .beside import figures_beside
from .data import Split, fold_rows, load_annotated, official_rows
from .measures import Predictions, measure
from .nearest import SHOWN, corners_and_middle, nearest_figures, nearest_sentences
from .recipe import EmotionModelRecipe, EmotionRecipe
from .reconstruction import reconstruction_figures
from .report import write_report
from .train import Encoded, predictions, train_model

REVISION = 2  # raised where the same recipe comes to give other figures
MODEL = "model"  # what the recipe's own model is called beside its variants


def run_emotion(name_or_path: str | Path, output: Path | None = None) -> Path:
    """Run a recipe, or go on with it, in `output` (default: `runs/NAME`); returns that folder.

    Raises:
        UserError: a wrong recipe, a source that cannot be had, annotations that are missing or impossible …
    """
    recipe = load_sister_recipe(EmotionRecipe, name_or_path)
    if recipe.num_processes != 1:
        raise UserError(
            "num_processes: `textvae emotion` works in one process; only the one model's training, by accelerate "
            "launch -m textvae.training.emotion.train, takes more"
        )
    with open_run(output or Path("runs") / recipe.name, recipe) as run, Memory() as memory:
        Work(run, recipe).all()
        run.update(peak_memory_gb=memory.peak_gb)
        write_report(run.path, recipe)
    return run.path


class Work:
    """The stages of a run, and what they share."""

    def __init__(self, run: RunFolder, recipe: EmotionRecipe) -> None:
        self.run, self.recipe = run, recipe
        self.data = load_annotated(recipe)
        self.dtype = getattr(torch, run.dtype(recipe.precision))
        self.encoded: Encoded | None = None
        self.folds = fold_rows(self.data, recipe)
        self.official = official_rows(self.data)
        # What every figure follows from, whichever model it is of.
        shared = dataclasses.replace(
            recipe, name="", model=EmotionModelRecipe(), variants={}, captions=None, base=None, rival=None,
            baselines=True, beside=None,
        )  # fmt: skip
        content = [self.data.texts, self.data.ratings.tolist(), self.data.deviations.tolist(), self.data.categories]
        splits = self.data.splits.tolist()
        self.inputs = [shared, self.data.source.to_dict(), content, splits, str(self.dtype), REVISION]

    def all(self) -> None:
        """Everything that the report reads."""
        encoders = dict.fromkeys(one.encoder for one in (self.recipe.model, *self.recipe.variants.values()))
        sources = [self.data.source, *(resolve_model(encoder)[1] for encoder in encoders)]
        self.run.note_sources({source.id: source for source in sources})
        self.run.update(
            data={
                "texts": len(self.data),
                "distinct_texts": len(set(self.data.texts)),
                "rated": self.data.rated,
                "fold_sizes": [len(rows.test) for rows in self.folds],
                "official": {part: len(getattr(self.official, part)) for part in ("train", "validation", "test")},
            },
        )
        figures_beside(self.run.path, self.recipe)  # is missed now, not after all trainings
        self.train_folds(MODEL, self.recipe.model)
        self.train_official()
        shutil.rmtree(self.run.path / MODEL / "checkpoints", ignore_errors=True)  # the stage is on record
        if len(self.data.rated) == len(DIMENSIONS):
            self.find_nearest()
        if self.recipe.baselines:
            for name in baselines.BASELINES:
                for number, rows in enumerate([*self.folds, self.official]):
                    self.fit_baseline(name, number, rows)
        for name, settings in self.variants().items():
            self.train_folds(name, settings)
            if name == self.recipe.rival:
                self.train_fold(name, settings, len(self.folds), self.official)

    def variants(self) -> dict[str, EmotionModelRecipe]:
        """The recipe's, less those that want a category where the data has none: it may be a stand-in."""
        absent = [name for name, one in self.recipe.variants.items() if one.conditional and not self.data.categories]
        for name in absent:
            say(f"{name}: is left out, because {self.data.source.location} has no column 'category'")
        self.run.update(absent=absent)
        return {name: one for name, one in self.recipe.variants.items() if name not in absent}

    def encode(self, settings: EmotionModelRecipe) -> Encoded:
        """The texts as a model of these settings reads them; those of one model at a time are kept in memory."""
        if self.encoded is None or self.encoded.settings != settings:
            self.encoded = Encoded(settings, self.recipe, self.data)
        return self.encoded

    def fold_name(self, number: int) -> str:
        return f"fold-{number}" if number < len(self.folds) else "official"

    def train_folds(self, name: str, settings: EmotionModelRecipe) -> None:
        """Train and measure one model on every fold."""
        for number, rows in enumerate(self.folds):
            self.train_fold(name, settings, number, rows)

    def train_fold(self, name: str, settings: EmotionModelRecipe, number: int, rows: Split) -> None:
        """Train one model without a fold's texts (after the folds: on the data's own split), and measure it on them."""
        encoded = self.encode(settings)
        label = f"{name}, fold {number + 1}" if number < len(self.folds) else f"{name}, official"
        work = self.run.path / "folds" / name / self.fold_name(number)
        record = f"folds/{name}/{work.name}.json"
        inputs = [*self.inputs, settings, encoded.revision]
        with self.run.stage(label, inputs=inputs, outputs=[record]) as stage:
            if stage.done:
                return
            _, _, found = self._trained(encoded, rows, work, label)
            write_json(self.run.path / record, found)
            shutil.rmtree(work)
            stage.note = _note(found["figures"])

    def fit_baseline(self, name: str, number: int, rows: Split) -> None:
        """Fit one baseline without a fold's texts (after the folds: on the data's own split), and measure it."""
        baseline, encoded = baselines.BASELINES[name], self.encode(self.recipe.model)
        fold = self.fold_name(number)
        record = f"folds/{name}/{fold}.json"
        settings = self.recipe.model
        inputs = [*self.inputs, settings.encoder, settings.encoder_layers, settings.max_length, encoded.revision]
        with self.run.stage(f"{name}, {fold}", inputs=inputs, outputs=[record]) as stage:
            if stage.done:
                return
            embeddings = encoded.embeddings.numpy()
            if baseline.last_layer_alone:
                embeddings = embeddings[:, -embeddings.shape[1] // len(settings.encoder_layers) :]
            said = baselines.predict(baseline.kind, embeddings, self.data, rows, self.recipe.min_deviation)
            figures = measure(said, self.data, rows.test)
            write_json(self.run.path / record, {"figures": figures} | _kept(said, rows))
            stage.note = _note(figures)

    def train_official(self) -> None:
        """Train the one model that is kept, on the data's own training split, and measure it on its test split."""
        encoded, rows, output = self.encode(self.recipe.model), self.official, self.run.path / MODEL
        inputs = [*self.inputs, self.recipe.model, encoded.revision]
        outputs = [f"{MODEL}/config.json", f"{MODEL}/model.safetensors", "official.json"]
        with self.run.stage("the one model", inputs=inputs, outputs=outputs) as stage:
            if stage.done:
                return
            model, embeddings, found = self._trained(encoded, rows, output, "the one model")
            found["figures"] |= nearest_figures(model, embeddings, self.data.ratings[rows.test])
            save_model(model.cpu(), encoded.tokenizer, output)
            found["facts"]["weights_sha256"] = file_digest(output / "model.safetensors")
            write_json(self.run.path / "official.json", found)
            stage.note = _note(found["figures"])

    def _trained(
        self, encoded: Encoded, rows: Split, work: Path, label: str
    ) -> tuple[EmotionVAEModel, torch.Tensor, dict[str, Any]]:
        """A model, the embeddings that it reads of the texts held out, and what is recorded of it there."""
        model, facts = train_model(encoded, rows, self.recipe.seed, work, label, self.dtype)
        said = predictions(encoded, model, rows.test)
        embeddings = encoded.embed(model, rows.test)
        figures = measure(said, self.data, rows.test)
        figures |= reconstruction_figures(model, embeddings, encoded.categories_of(rows.test), self.recipe.seed)
        curve = read_jsonl(work / "metrics.jsonl")
        return model, embeddings, {"figures": figures, "facts": facts, "curve": curve} | _kept(said, rows)

    def find_nearest(self) -> None:
        """Ask the one model for the test sentences in the corners of what is rated, and in its middle."""
        encoded, rows = self.encode(self.recipe.model), self.official.test
        places = corners_and_middle(self.data.ratings[rows])
        inputs = [*self.inputs, self.recipe.model, encoded.revision, places, SHOWN]
        with self.run.stage("nearest sentences", inputs=inputs, outputs=["nearest.json"]) as stage:
            if not stage.done:
                model = load_model(EmotionVAEModel, self.run.path / MODEL, "textvae emotion")
                found = nearest_sentences(model, encoded.embed(model, rows), self.data, rows, places, SHOWN)
                write_json(self.run.path / "nearest.json", found)


def _kept(said: Predictions, rows: Split) -> dict[str, Any]:
    """Predictions as plain data: plots and later questions need no model."""
    plain: Callable[[np.ndarray], list[Any]] = lambda values: [  # noqa: E731
        [None if np.isnan(value) else round(float(value), 4) for value in row] for row in values
    ]
    return {
        "rows": rows.test.tolist(),
        "predictions": {name: plain(value) for name, value in dataclasses.asdict(said).items()},
    }


def _note(figures: dict[str, float | None]) -> str:
    shown = [f"{name} {value:.3f}" for name in ("r_valence", "r_arousal") if (value := figures[name]) is not None]
    return ", ".join(shown)
