"""The pictures of a run: grids of digits as PNG, and maps of the latents."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor

from textvae.modeling_digit_autoencoder.modeling_digit_autoencoder import DigitAutoencoderModel

from ..common.drawing import INK, STYLE, axes, standalone, svg
from ..common.files import atomic_path, write_text
from ..common.run_folder import RunFolder
from .data import Digits, Splits, pixels
from .evaluate import draw
from .loop import keyed
from .passes import codes, rebuilt
from .recipe import DigitsRecipe
from .train import add_noise, load_model

COLUMNS = 10
PLANE = 16  # images a side of the grid that shows a plane of latents
SIDE = 56  # pixels of a digit in a picture, at least
MAPPED = 250  # a mark each: more hide one another on a phone, and a page of five maps grows past a megabyte
# Ten colours that a page has in light and dark; the digits themselves are the marks.
SHADES = (
    "vae",
    "oracle",
    "rules",
    "self_training",
    "masked_lm",
    "language_model",
    "variant",
    "duplicate",
    "real",
    "vae",
)


def draw_pictures(run: RunFolder, recipe: DigitsRecipe, digits: Splits) -> None:
    """Write `pictures/`: what every model rebuilds, generates and interpolates, nothing picked, and maps of codes."""
    inputs = [recipe, digits.source.revision, *(run.path / name / "model" for name in recipe.models)]
    kinds = ("reconstructions_{}.png", "latent_map_{}.svg")
    outputs = [f"pictures/{kind.format(name)}" for kind in kinds for name in recipe.models]
    with run.stage("pictures", inputs=inputs, outputs=outputs) as stage:
        if stage.done:
            return
        folder = run.path / "pictures"
        for name in recipe.models:
            model = load_model(run.path / name)
            _write(folder / f"reconstructions_{name}.png", *reconstructions(model, digits.test, recipe, name))
            _write(folder / f"interpolations_{name}.png", *interpolations(model, digits.test))
            if recipe.generates(name):
                _write(folder / f"generated_{name}.png", *draw(model, recipe)[: COLUMNS**2].split(COLUMNS))
            if model.config.latent_size == 2:
                _write(folder / f"plane_{name}.png", *plane(model, digits.train))
            drawing = latent_map(model, digits.test, name, digits.label_names)
            write_text(folder / f"latent_map_{name}.svg", standalone(drawing))


def reconstructions(model: DigitAutoencoderModel, test: Digits, recipe: DigitsRecipe, name: str) -> list[Tensor]:
    """Rows of the first test images: originals, what was read where that is noisy, and what was made of it."""
    rows, noise = [], recipe.models[name].noise
    for images in test.images[: 3 * COLUMNS].split(COLUMNS):
        rows.append(pixels(images))
        if noise:
            rows.append(add_noise(pixels(images), noise, keyed(recipe.seed, 10, len(rows))))
            images = (255 * rows[-1]).round().to(torch.uint8)
        rows.append(rebuilt(model, images))
    return rows


def interpolations(model: DigitAutoencoderModel, test: Digits) -> list[Tensor]:
    """Rows from one of the first test images to the next."""
    images = test.pixels()[: 2 * 6].to(model.device)
    return [model.interpolate(*images[start : start + 2], steps=COLUMNS).cpu() for start in range(0, 2 * 6, 2)]


def plane(model: DigitAutoencoderModel, train: Digits) -> list[Tensor]:
    """What a latent of two numbers means: images decoded on a grid over the middle 96 % of the training codes."""
    low, high = torch.quantile(codes(model, train.images), torch.tensor([0.02, 0.98]), dim=0)
    across, up = (torch.linspace(float(low[axis]), float(high[axis]), PLANE) for axis in (0, 1))
    with torch.inference_mode():
        grid = torch.cartesian_prod(up.flip(0), across).flip(1)
        return list(model.decode(grid.to(model.device)).cpu().split(PLANE))


@matplotlib.rc_context(STYLE)
def latent_map(model: DigitAutoencoderModel, test: Digits, name: str, label_names: Sequence[str]) -> str:
    """Codes of the first test images, on two principal components where they have more than two numbers."""
    places, labels = codes(model, test.images[:MAPPED]).numpy(), test.labels[:MAPPED].numpy()
    of_code = places.shape[1] == 2
    places = places if of_code else PCA(2, random_state=0).fit_transform(places)
    figure, plot = axes(4.6)
    for label, text in enumerate(label_names):
        colour = INK[SHADES[label % len(SHADES)]]
        x, y = places[labels == label].T
        plot.plot(x, y, linestyle="", marker=f"${text}$", color=colour, markersize=5, markeredgewidth=0.1)
    plot.set_xlabel("first number of the code" if of_code else "first principal component of the code")
    plot.set_ylabel("second")
    told = f"{len(places)} test images by their codes in {name}, each drawn as its label."
    return svg(figure, f"latent-map-{name}", f"Map of the latents of {name}", told)


def png(rows: Sequence[Tensor]) -> bytes:
    """Rows of (N, 1, S, S) pixels in [0, 1] as one picture, with hairlines between the digits."""
    side = rows[0].shape[-1]
    scale = -(-SIDE // side)
    wide = max(len(row) for row in rows)
    step = side * scale + 2
    canvas = np.full((len(rows) * step - 2, wide * step - 2), 96, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate((255 * row[:, 0]).round().to(torch.uint8).numpy()):
            block = image.repeat(scale, 0).repeat(scale, 1)
            canvas[y * step : y * step + side * scale, x * step : x * step + side * scale] = block
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "png", optimize=True)
    return file.getvalue()


def _write(path: Path, *rows: Tensor) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(png(rows))
