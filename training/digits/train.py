"""Train the autoencoders of a recipe.

textvae digits digits_mnist                                       (this, and everything that is measured)
python -m textvae.training.digits.train digits_mnist
accelerate launch -m textvae.training.digits.train digits_mnist
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from textvae.modeling_digit_autoencoder.configuration_digit_autoencoder import DigitAutoencoderConfig
from textvae.modeling_digit_autoencoder.modeling_digit_autoencoder import DigitAutoencoderModel

from ..common import model_folders
from ..common.errors import UserError
from ..common.files import atomic_folder, fingerprint, write_json
from ..common.launch import launch
from ..common.precision import device
from ..common.recipe_files import load_sister_recipe
from ..common.run_folder import RunFolder, open_run
from .data import Splits, digit_share, load_digits, pixels
from .loop import Loop, Schedule, keyed
from .mixture import fit_mixture
from .passes import BATCH, codes
from .recipe import AutoencoderRecipe, DigitsRecipe

REVISION = 2  # raised where the same recipe comes to give another model


def train_models(run: RunFolder, recipe: DigitsRecipe, digits: Splits) -> None:
    """Train every model of the recipe into `NAME/`: `model/`, which `from_pretrained` loads, and `metrics.jsonl`."""
    transformers_logging.disable_progress_bar()
    run.note_sources({recipe.dataset: digits.source})
    for name, settings in recipe.models.items():
        # The mixture is fitted afterwards, so that another one costs no training.
        alone = dataclasses.replace(settings, prior_components=0)
        with run.stage(name, inputs=[alone, *_common(recipe, digits)], outputs=[f"{name}/training.json"]) as stage:
            if not stage.done:
                stage.note = _train(name, alone, recipe, digits, run.path / name)
        inputs = [settings.prior_components, recipe.seed, run.path / name / "training.json"]
        with run.stage(f"{name}/prior", inputs=inputs, outputs=[f"{name}/model"]) as stage:
            if not stage.done:
                stage.note = _fit_prior(run.path / name, settings.prior_components, recipe.seed, digits)


def load_model(folder: Path) -> DigitAutoencoderModel:
    """A trained model of a run, in eval mode, on the device that there is."""
    model = model_folders.load_model(DigitAutoencoderModel, folder / "model", "textvae digits")
    return model.to(device())


def save_model(model: DigitAutoencoderModel, folder: Path) -> None:
    """Write `model/` into a model's folder, whole or not at all."""
    with atomic_folder(folder / "model") as place:
        model.save_pretrained(place)


def add_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Pixels with Gaussian noise, cut off at black and white."""
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return (images + deviation * noise).clamp(0, 1)


def _train(name: str, settings: AutoencoderRecipe, recipe: DigitsRecipe, digits: Splits, folder: Path) -> str:
    try:
        config = DigitAutoencoderConfig(
            image_size=digits.image_size,
            channels=settings.channels,
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.num_hidden_layers,
            latent_size=settings.latent_size,
            variational=settings.variational,
            digit_share=digit_share(digits.train.images),
        )
    except ValueError as error:
        raise UserError(f"models.{name}: {error}") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = DigitAutoencoderModel(config)
    place = device()
    images, held_out = digits.train.images.to(place), digits.validation.images.to(place)

    def loss(model: DigitAutoencoderModel, rows: Tensor, generator: torch.Generator) -> Tensor:
        clean = pixels(images[rows.to(place)])
        seen = add_noise(clean, settings.noise, generator) if settings.noise else clean
        return model(seen, labels=clean, generator=generator).loss

    def validate(model: DigitAutoencoderModel) -> dict[str, float]:
        sums: dict[str, float] = {}
        for index, part in enumerate(held_out.split(BATCH)):
            generator, clean = keyed(recipe.seed, 2, index), pixels(part)
            seen = add_noise(clean, settings.noise, generator) if settings.noise else clean
            out = model(seen, labels=clean, generator=generator)
            for key, value in (("loss", out.loss), ("squared_error", out.squared_error), ("kl", out.kl)):
                if value is not None:
                    sums[key] = sums.get(key, 0.0) + value.mean().item() * len(part)
        return {key: value / len(held_out) for key, value in sums.items()}

    schedule = Schedule(
        recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.final_learning_rate_share, recipe.seed
    )
    loop = Loop(name, model, loss, validate, len(images), schedule, fingerprint(settings, *_common(recipe, digits)))
    model = loop.run(folder)
    save_model(model, folder)
    facts = {
        "seconds": round(loop.seconds, 1),  # of the epochs, validation included
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_epoch": loop.best["epoch"],
        "validation_loss": loop.best["loss"],
    }
    write_json(folder / "training.json", facts)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return f"validation loss {loop.best['loss']:.5g}, epoch {loop.best['epoch']} of {recipe.epochs}"


def _fit_prior(folder: Path, components: int, seed: int, digits: Splits) -> str:
    model = load_model(folder)
    model.prior, model.config.prior_components = None, 0
    note = "none"
    if components:
        model.set_prior(*fit_mixture(model, digits.train, components, seed))
        density = model.prior.log_density(codes(model, digits.validation.images).to(model.device)).mean().item()
        note = f"{components} Gaussians, {density:.2f} nats a validation code"
    save_model(model, folder)
    return note


def _common(recipe: DigitsRecipe, digits: Splits) -> list[object]:
    """What all trainings of a run read."""
    return [
        digits.source.revision, recipe.validation_images, recipe.epochs, recipe.batch_size, recipe.learning_rate,
        recipe.final_learning_rate_share, recipe.seed, REVISION,
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    def train(name: str, output: Path | None) -> str:
        recipe = load_sister_recipe(DigitsRecipe, name)
        with open_run(output or Path("runs") / recipe.name, recipe) as run:
            train_models(run, recipe, load_digits(recipe.dataset, recipe.validation_images))
        return f"digits: {', '.join(recipe.models)} → {run.path}"

    return launch(
        train, argv, prog="textvae.training.digits.train", about="Train a recipe's autoencoders.", default="digits",
        output="the run's folder (default runs/NAME)",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
