"""Train one emotion VAE; the same module behind every way to start it.

textvae emotion                                                              (all folds, variants and the one model)
python -m textvae.training.emotion.train emotion                             (the one model alone)
accelerate launch -m textvae.training.emotion.train emotion
torchrun --nproc_per_node 2 -m textvae.training.emotion.train my_recipe.yaml  (its num_processes: 2)
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from textvae.modeling_emotion_vae.configuration_emotion_vae import DIMENSIONS, vocabulary_digest
from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel
from textvae.modeling_emotion_vae.outputs import EmotionPrediction

from ..common import precision
from ..common.errors import UserError
from ..common.files import fingerprint, write_json
from ..common.launch import launch
from ..common.model_folders import save_model
from ..common.recipe_files import load_sister_recipe
from ..common.sources import resolve_model
from .calibration import fit_calibration
from .data import AnnotatedTexts, Split, load_annotated, official_rows
from .embeddings import embeddings_of
from .loop import Examples, Loop
from .measures import Predictions
from .recipe import EmotionModelRecipe, EmotionRecipe

PREDICTION_BATCH = 512


class Encoded:
    """A recipe's texts as a model reads them: embeddings of a frozen encoder, or tokens of one that is trained."""

    def __init__(self, settings: EmotionModelRecipe, recipe: EmotionRecipe, data: AnnotatedTexts) -> None:
        transformers_logging.disable_progress_bar()
        self.settings, self.recipe, self.data = settings, recipe, data
        folder, self.source = resolve_model(settings.encoder)
        self.folder, self.tokenizer = str(folder), AutoTokenizer.from_pretrained(folder)
        # A commit's or a package's covers the tokenizer; a folder's is its weights' alone.
        self.revision = self.source.revision
        if self.source.origin in ("path", "mirror"):
            self.revision += f", tokenizer {fingerprint(folder / 'tokenizer.json')}"
        model = self.new_model()
        try:
            self.embeddings = embeddings_of(model, self.tokenizer, data.texts, self.revision)
        except ValueError as error:
            raise UserError(f"{settings.encoder}: {error}") from None
        self.tokens = None
        if settings.trainable_encoder_layers:
            read = self.tokenizer(data.texts, truncation=True, max_length=model.config.max_text_length)
            self.tokens = read["input_ids"]
        self.category_ids = None
        if settings.conditional:
            if data.categories is None:
                raise UserError(f"{data.source.location}: no column 'category'; leave 'conditional' false")
            place = {name: index for index, name in enumerate(data.category_names)}
            self.category_ids = torch.tensor([place[name] for name in data.categories])

    def new_model(self) -> EmotionVAEModel:
        """An untrained VAE around the pretrained encoder.

        Raises:
            UserError: the recipe asks for something that this encoder does not have.
        """
        settings, recipe = self.settings, self.recipe
        try:
            model = EmotionVAEModel.from_encoder_pretrained(
                self.folder,
                encoder_layers=settings.encoder_layers,
                max_text_length=settings.max_length,
                hidden_size=settings.hidden_size,
                num_hidden_layers=settings.num_hidden_layers,
                num_members=settings.num_members,
                skip_connections=settings.skip_connections,
                hidden_dropout=settings.hidden_dropout,
                embedding_dropout=settings.embedding_dropout,
                categories=tuple(self.data.category_names) if settings.conditional else (),
                prior_components=settings.prior_components,
                rated=tuple(DIMENSIONS[index] for index in self.data.rated),
                min_deviation=recipe.min_deviation,
                lowest_rating=recipe.lowest_rating,
                highest_rating=recipe.highest_rating,
                vocabulary_digest=vocabulary_digest(self.tokenizer),
            )
        except ValueError as error:
            raise UserError(f"emotion: {error}") from None
        # Not the folder it was found in: that is nobody else's business.
        model.config.encoder = model.config.encoder_config._name_or_path = settings.encoder
        return model.eval()

    def examples(self, rows: np.ndarray) -> Examples:
        index = torch.from_numpy(rows)
        frozen = self.tokens is None
        return Examples(
            ratings=torch.from_numpy(self.data.ratings[rows]).float(),
            deviations=torch.from_numpy(self.data.deviations[rows]).float(),
            categories=None if self.category_ids is None else self.category_ids[index],
            embeddings=self.embeddings[index] if frozen else None,
            tokens=None if self.tokens is None else [self.tokens[row] for row in rows],
            pad=self.tokenizer.pad_token_id or 0,
        )

    def categories_of(self, rows: np.ndarray) -> torch.Tensor | None:
        return None if self.category_ids is None else self.category_ids[torch.from_numpy(rows)]

    @torch.no_grad()
    def embed(self, model: EmotionVAEModel, rows: np.ndarray) -> torch.Tensor:
        """(n, D) embeddings by the model's own encoder: the cached ones where that was not trained."""
        if self.tokens is None:
            return self.embeddings[torch.from_numpy(rows)]
        return model.embed_texts([self.data.texts[row] for row in rows], self.tokenizer)

    @torch.no_grad()
    def predict(self, model: EmotionVAEModel, rows: np.ndarray) -> EmotionPrediction:
        """What the model says of the texts at `rows`, on the CPU."""
        embeddings, categories = self.embed(model, rows), self.categories_of(rows)
        parts = []
        for start in range(0, len(rows), PREDICTION_BATCH):
            part = slice(start, start + PREDICTION_BATCH)
            ids = None if categories is None else categories[part].to(model.device)
            parts.append(model.predict_embeddings(embeddings[part].to(model.device), ids))
        return EmotionPrediction(**{name: torch.cat([one[name] for one in parts]).cpu() for name in parts[0]})


def train_model(
    encoded: Encoded, rows: Split, seed: int, output: Path, label: str, dtype: torch.dtype
) -> tuple[EmotionVAEModel, dict[str, Any]]:
    """Train on `rows.train`, calibrate on `rows.validation`; checkpoints and `metrics.jsonl` lie in `output`.

    Returns:
        The model, in eval mode, and the facts of its training.
    """
    settings, data = encoded.settings, encoded.data
    train = rows.train
    if settings.max_deviation is not None:
        noisy = (np.nan_to_num(data.deviations[train]) > settings.max_deviation).any(axis=1)
        train = train[~noisy]
        if not len(train):
            raise UserError(f"max_deviation: no text has a deviation of {settings.max_deviation:g} or less; raise it")
    torch.manual_seed(seed)
    model = encoded.new_model()
    model.set_scales(encoded.embeddings[torch.from_numpy(train)], torch.from_numpy(data.ratings[train]).float())
    _set_trained(model, settings.trainable_encoder_layers)
    made_from = fingerprint(
        settings, seed, encoded.revision, str(dtype), encoded.recipe.num_processes, encoded.recipe.min_deviation,
        data.category_names, *(_content(data, part) for part in (train, rows.validation)),
    )  # fmt: skip
    loop = Loop(
        model, encoded.examples(train), encoded.examples(rows.validation), settings, seed=seed, dtype=dtype,
        num_processes=encoded.recipe.num_processes, made_from=made_from,
    )  # fmt: skip
    model = loop.run(output, label)
    _centre(model, encoded, train)
    calibrate(model, encoded, rows.validation)
    facts = {
        "trained_texts": len(train),
        "validation_texts": len(rows.validation),
        "steps": loop.steps,
        "seconds": round(loop.seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    return model, facts


@torch.no_grad()
def _centre(model: EmotionVAEModel, encoded: Encoded, rows: np.ndarray) -> None:
    categories = encoded.categories_of(rows)
    embeddings = encoded.embed(model, rows).to(model.device)
    model.set_centre(embeddings, None if categories is None else categories.to(model.device))


def calibrate(model: EmotionVAEModel, encoded: Encoded, rows: np.ndarray) -> None:
    """Fit the size of the mean's error on validation texts."""
    said = encoded.predict(model, rows)
    assert said.mean is not None
    assert said.mean_deviation is not None
    scale = model.rating_deviation.cpu().numpy()
    residuals = (said.mean.numpy() - encoded.data.ratings[rows]) / scale
    for index in model.rated:
        logs = 2 * np.log(said.mean_deviation.numpy()[:, index] / scale[index])
        offset, slope = fit_calibration(residuals[:, index].astype(np.float64), logs.astype(np.float64))
        model.calibration_offset[index], model.calibration_slope[index] = offset, slope


def predictions(encoded: Encoded, model: EmotionVAEModel, rows: np.ndarray) -> Predictions:
    """The model's predictions for `measure`."""
    said = encoded.predict(model, rows)
    return Predictions(**{name: value.numpy().astype(np.float64) for name, value in said.items()})


def train_the_model(recipe: EmotionRecipe, output: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Train the recipe's model on the data's own training split into the model folder `output`; returns its facts."""
    data = load_annotated(recipe)
    encoded = Encoded(recipe.model, recipe, data)
    model, facts = train_model(encoded, official_rows(data), recipe.seed, output, "emotion", dtype)
    facts["sources"] = [source.to_dict() for source in (data.source, encoded.source)]
    if int(os.environ.get("RANK", "0")) == 0:
        save_model(model, encoded.tokenizer, output)
        write_json(output / "training.json", facts)
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    return facts


def _content(data: AnnotatedTexts, rows: np.ndarray) -> list[Any]:
    """All that a training reads of some rows, as plain data."""
    categories = None if data.categories is None else [data.categories[row] for row in rows]
    return [[data.texts[row] for row in rows], data.ratings[rows].tolist(), data.deviations[rows].tolist(), categories]


def _set_trained(model: EmotionVAEModel, layers: int) -> None:
    """Let the encoder's last `layers` layers take gradients, all of it for −1, and none of what is not read."""
    stack = max((part for part in model.encoder.modules() if isinstance(part, torch.nn.ModuleList)), key=len)
    model.encoder.requires_grad_(layers == -1)
    if layers > 0:
        for layer in stack[: max(model.config.encoder_layers)][-layers:]:
            layer.requires_grad_(True)
    for layer in stack[max(model.config.encoder_layers) :]:
        layer.requires_grad_(False)


def main(argv: list[str] | None = None) -> int:
    def train(name: str, output: Path | None) -> str:
        recipe = load_sister_recipe(EmotionRecipe, name)
        output = output or Path("runs") / recipe.name / "model"
        choice = precision.remembered(output, recipe.precision)
        facts = train_the_model(recipe, output, choice.dtype)
        return f"emotion: {facts['seconds']:.0f} s → {output}"

    return launch(
        train, argv, prog="textvae.training.emotion.train", about="Train one emotion VAE.", default="emotion",
        output="model folder (default runs/RECIPE/model)",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
