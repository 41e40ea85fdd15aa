"""What a run's models are worth: errors and nats on the test images, and what a judge says of generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from textvae.modeling_digit_autoencoder.modeling_digit_autoencoder import DigitAutoencoderModel

from ..common.files import read_json, write_json
from ..common.progress import say
from ..common.run_folder import RunFolder
from ..common.sources import content_revision
from .classifier import DigitClassifier, load_judge, logits_of
from .data import Digits, Splits, pixels
from .few import augmentation, features
from .loop import keyed
from .passes import BATCH, rebuilt
from .recipe import DigitsRecipe
from .train import add_noise, load_model

CONFIDENCE = 0.9  # of the judge, from which on it accepts an image
LATENT_DRAWS = 10  # of each test image's posterior


def evaluate(run: RunFolder, recipe: DigitsRecipe, digits: Splits) -> None:
    """Write `evaluation.json`: flat figures, on the test images, with the models as they are."""
    inputs = [
        recipe,
        digits.source.revision,
        *(run.path / name / "model" for name in recipe.models),
        run.path / "judge",
    ]
    with run.stage("evaluate", inputs=inputs, outputs=["evaluation.json"]) as stage:
        if not stage.done:
            write_json(run.path / "evaluation.json", _figures(run, recipe, digits))


def _figures(run: RunFolder, recipe: DigitsRecipe, digits: Splits) -> dict[str, Any]:
    models = {name: load_model(run.path / name) for name in recipe.models}
    figures: dict[str, Any] = {
        "recipe": recipe.name, "dataset": recipe.dataset, "seed": recipe.seed, "epochs": recipe.epochs,
        "train_images": len(digits.train), "validation_images": len(digits.validation), "test_images": len(digits.test),
        "command": run.info["command"], "hardware": run.info["hardware"], "versions": run.info["versions"],
        "sources": run.info["sources"],
    }  # fmt: skip
    figures |= reconstruction_figures(models, recipe, digits.train, digits.test)
    say("digits: reconstructions measured")
    judge = load_judge(run.path / "judge", digits)
    figures |= _judge_figures(run.path, judge, digits)
    figures |= _named(sample_figures(real_images(digits.test, recipe), judge, digits.train), "_real")
    for name, model in models.items():
        if recipe.generates(name):
            found = sample_figures(draw(model, recipe), judge, digits.train)
            figures |= _named(found, f"_{name}") | (found if name == recipe.main else {})
    say("digits: samples judged")
    figures |= features(models[recipe.main], recipe, digits.train, digits.test)
    figures |= augmentation(models[recipe.main], recipe, digits, digits.test)
    for name in recipe.models:
        facts = read_json(run.path / name / "training.json")
        figures |= {
            f"weights_{name}": content_revision([run.path / name / "model" / "model.safetensors"]),
            f"train_minutes_{name}": round(facts["seconds"] / 60, 2),
            f"parameters_{name}": facts["parameters"],
        }
    return figures


def reconstruction_figures(
    models: dict[str, DigitAutoencoderModel], recipe: DigitsRecipe, train: Digits, test: Digits
) -> dict[str, float]:
    """Errors of every model by its latent size: squared error a pixel, and of principal components beside it; nats."""
    figures: dict[str, float] = {}
    clean = test.pixels()
    for name, model in models.items():
        settings = recipe.models[name]
        if settings.noise:
            seen = (255 * add_noise(clean, settings.noise, keyed(recipe.seed, 3))).round().to(torch.uint8)
            figures[f"noisy_mse_{name}"] = _mse(pixels(seen), clean)
            figures[f"denoised_mse_{name}"] = _mse(rebuilt(model, seen), clean)
            for other, plain in models.items():
                if recipe.models[other].latent_size == settings.latent_size and not recipe.models[other].noise:
                    figures[f"denoised_mse_{name}_by_{other}"] = _mse(rebuilt(plain, seen), clean)
        elif settings.variational:
            figures |= _named(vae_figures(model, test, recipe.seed), f"_latent_{settings.latent_size}")
        else:
            figures[f"mse_latent_{settings.latent_size}"] = _mse(rebuilt(model, test.images), clean)
    flat, held_out = train.pixels().flatten(1).numpy(), clean.flatten(1).numpy()
    for size in sorted({int(name.rpartition("_")[2]) for name in figures if name.startswith("mse_latent_")}):
        pca = PCA(size, random_state=recipe.seed).fit(flat)
        back = pca.inverse_transform(pca.transform(held_out))
        figures[f"pca_mse_latent_{size}"] = float(np.square(back - held_out).mean())
    return figures


@torch.inference_mode()
def vae_figures(model: DigitAutoencoderModel, digits: Digits, seed: int) -> dict[str, float]:
    """−ELBO, its two parts, and its standard error over images, in nats an image; several draws of each posterior."""
    parts = []
    for index, images in enumerate(digits.images.split(BATCH)):
        batch = pixels(images.to(model.device))
        for draw in range(LATENT_DRAWS):
            out = model(batch, generator=keyed(seed, 4, index, draw))
            parts.append(torch.stack([out.nll, out.kl]).double().cpu() / LATENT_DRAWS)
    rows = [sum(parts[start : start + LATENT_DRAWS]) for start in range(0, len(parts), LATENT_DRAWS)]
    nll, kl = torch.cat(rows, dim=1)
    losses = nll + kl
    error = (losses.std() / len(losses) ** 0.5).item()
    means = {"vae_loss": losses.mean().item(), "vae_nll": nll.mean().item(), "vae_kl": kl.mean().item()}
    return means | {"vae_loss_standard_error": error, "vae_mse": _mse(rebuilt(model, digits.images), digits.pixels())}


def draw(model: DigitAutoencoderModel, recipe: DigitsRecipe) -> Tensor:
    """The images that a model is judged by: its first draws, none left out."""
    return model.generate(recipe.samples, generator=keyed(recipe.seed, 5)).cpu()


def real_images(test: Digits, recipe: DigitsRecipe) -> Tensor:
    """As many test images beside them, drawn at random: MNIST's first half is easier than its second."""
    chosen = torch.randperm(len(test), generator=keyed(recipe.seed, 11))[: recipe.samples]
    return test.take(chosen).pixels()


def sample_figures(images: Tensor, judge: DigitClassifier, train: Digits) -> dict[str, float]:
    """What the judge says of (N, 1, S, S) images, and how far each is from the training image that is nearest.

    A share of a class counts all images, accepted or not; distances are Euclidean, of pixels in [0, 1].
    """
    with torch.inference_mode():
        place = next(judge.parameters()).device
        probabilities = torch.cat([judge(part.to(place)).softmax(1).cpu() for part in images.split(BATCH)])
    confidence, chosen = probabilities.max(1)
    shares = (torch.bincount(chosen, minlength=probabilities.shape[1]) / len(images)).tolist()
    distances = nearest_distances(images, train)
    return {
        "accepted_share": (confidence >= CONFIDENCE).float().mean().item(),
        "rarest_class_share": min(shares),
        "largest_class_share": max(shares),
        **{f"class_{label}_share": share for label, share in enumerate(shares)},
        "nearest_distance": distances.mean().item(),
        "nearest_distance_lowest": distances.min().item(),
        "nearest_distance_median": distances.median().item(),
    }


def nearest_distances(images: Tensor, train: Digits) -> Tensor:
    """(N,) distance of each image to the training image that is nearest to it."""
    found = torch.full((len(images),), float("inf"))
    flat = images.flatten(1)
    for part in train.images.split(5000):
        found = torch.minimum(found, torch.cdist(flat, pixels(part).flatten(1)).amin(1))
    return found


def _judge_figures(folder: Path, judge: DigitClassifier, digits: Splits) -> dict[str, float]:
    facts = read_json(folder / "judge" / "judge.json")
    right = (logits_of(judge, digits.test.images).argmax(1) == digits.test.labels).float().mean().item()
    return {
        "judge_accuracy": right,
        "judge_validation_accuracy": facts["validation_accuracy"],
        "judge_seed": facts["seed"],
        "judge_minutes": round(facts["seconds"] / 60, 2),
    }


def _mse(found: Tensor, wanted: Tensor) -> float:
    return (found - wanted).double().square().mean().item()


def _named(figures: dict[str, float], ending: str) -> dict[str, float]:
    return {f"{name}{ending}": value for name, value in figures.items()}
