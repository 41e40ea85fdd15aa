"""A small convolutional classifier of digits: trained on all of them it is the judge of what the models make."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..common.files import atomic_path, fingerprint, write_json
from ..common.precision import device
from ..common.run_folder import RunFolder
from .data import Digits, Splits, pixels
from .loop import Loop, Schedule
from .passes import in_batches
from .recipe import DigitsRecipe

BATCH = 64
LEARNING_RATE = 0.002
# What a writer might have done otherwise: shares of the image's side, of its size, and radians.
SHIFT, ZOOM, SHEAR, TURN = 0.07, 0.1, 0.1, math.radians(10)


class DigitClassifier(nn.Module):
    """(B, 1, S, S) pixels in [0, 1] → (B, classes) logits, for any S of at least 4."""

    def __init__(self, image_size: int, classes: int):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 32), (32, 48), (48, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if outputs < 64 else []
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(64 * (image_size // 4) ** 2, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.convolutions(images).flatten(1))


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, S, S) pixels, each image shifted, zoomed, sheared and turned a little, by bilinear interpolation."""
    draws = 2 * torch.rand(5, len(images), generator=generator) - 1
    turn, zoom, shear = TURN * draws[0], 1 + ZOOM * draws[1], SHEAR * draws[2]
    cosine, sine = zoom * turn.cos(), zoom * turn.sin()
    # `affine_grid` measures in half sides.
    first = torch.stack([cosine, shear * cosine - sine, 2 * SHIFT * draws[3]], dim=1)
    second = torch.stack([sine, shear * sine + cosine, 2 * SHIFT * draws[4]], dim=1)
    places = torch.stack([first, second], dim=1).to(images.device)
    grid = F.affine_grid(places, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False).clamp(0, 1)


def train_judge(run: RunFolder, recipe: DigitsRecipe, digits: Splits) -> None:
    """Train the judge into `judge/` on jittered images of the training part; `load_judge` reads it."""
    read = [digits.source.revision, recipe.validation_images, recipe.judge_epochs, recipe.seed]
    folder, outputs = run.path / "judge", ["judge/judge.json", "judge/model.safetensors"]
    with run.stage("judge", inputs=read, outputs=outputs) as stage:
        if stage.done:
            return
        train, validation = digits.train, digits.validation
        model = new_classifier(digits, recipe.seed)

        def loss(model: DigitClassifier, rows: Tensor, generator: torch.Generator) -> Tensor:
            part, place = train.take(rows), next(model.parameters()).device
            return F.cross_entropy(model(jitter(part.pixels().to(place), generator)), part.labels.to(place))

        def validate(model: DigitClassifier) -> dict[str, float]:
            logits = logits_of(model, validation.images)
            right = (logits.argmax(1) == validation.labels).float().mean().item()
            return {"loss": F.cross_entropy(logits, validation.labels).item(), "accuracy": right}

        schedule = Schedule(recipe.judge_epochs, BATCH, LEARNING_RATE, 0.01, recipe.seed)
        loop = Loop("judge", model, loss, validate, len(train), schedule, fingerprint(*read))
        model = loop.run(folder)
        with atomic_path(folder / "model.safetensors") as path:
            save_file({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}, path)
        accuracy = validate(model)["accuracy"]
        facts = {"seed": recipe.seed, "seconds": round(loop.seconds, 1), "best_epoch": loop.best["epoch"]}
        write_json(folder / "judge.json", facts | {"validation_accuracy": accuracy})
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        stage.note = f"validation accuracy {100 * accuracy:.2f} %"


def new_classifier(digits: Splits, seed: int) -> DigitClassifier:
    """An untrained classifier of these digits, on the device that there is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DigitClassifier(digits.image_size, len(digits.label_names))
    return model.to(device())


def load_judge(folder: Path, digits: Splits) -> DigitClassifier:
    """The judge that `train_judge` left in `folder`, in eval mode."""
    model = new_classifier(digits, 0)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def logits_of(model: DigitClassifier, images: Tensor) -> Tensor:
    """(N, classes) of uint8 images, on the CPU."""
    return in_batches(model, images, next(model.parameters()).device)


def fit(
    model: DigitClassifier, digits: Digits, steps: int, batch: int, generator: torch.Generator, jittered: bool = False
) -> DigitClassifier:
    """Train on few images for a fixed number of steps; returns the model in eval mode."""
    place = next(model.parameters()).device
    images, labels = pixels(digits.images).to(place), digits.labels.to(place)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = Schedule(1, batch, LEARNING_RATE, 0.01, 0)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step / steps)
        rows = torch.randint(len(labels), (batch,), generator=generator).to(place)
        seen = jitter(images[rows], generator) if jittered else images[rows]
        loss = F.cross_entropy(model(seen), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
