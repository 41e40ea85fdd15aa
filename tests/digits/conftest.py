"""A tiny dataset of digits in a folder, and a recipe that trains on it in a second."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image


def png(values: np.ndarray) -> dict:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory):
    """400 training and 100 test images of three classes: a bright block at a place of the class, with noise."""
    folder = tmp_path_factory.mktemp("blocks")
    random = np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 100)):
        labels = random.permutation(np.arange(count) % 3)
        images = random.integers(0, 40, (count, 8, 8), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2:6, 2 * label + 1 : 2 * label + 3] = random.integers(150, 256)
        rows = {"image": [png(image) for image in images], "label": labels}
        pd.DataFrame(rows).to_parquet(folder / f"{split}.parquet")
    return folder


RECIPE = """
dataset: {dataset}
validation_images: 100
main: points
epochs: 2
judge_epochs: 3
samples: 40
few_labels: 5
subsets: 3
few_steps: 5
"""
MODELS = """
models:
  points: {latent_size: 3, channels: [4, 6], hidden_size: 16, prior_components: 3}
  flat: {latent_size: 2, channels: [4, 6], hidden_size: 16}
  vae: {latent_size: 4, channels: [4, 6], hidden_size: 16, variational: true}
  denoising: {latent_size: 3, channels: [4, 6], hidden_size: 16, noise: 0.2}
"""


@pytest.fixture
def recipe_file(tmp_path, digits_folder):
    """Writes the tiny recipe, some of its fields changed, and gives its path; `only` leaves the main model alone."""

    def write(only: bool = False, **changes: str) -> str:
        fields = yaml.safe_load(RECIPE.format(dataset=digits_folder) + MODELS)
        if only:
            fields["models"] = {"points": fields["models"]["points"]}
        fields |= {name: yaml.safe_load(value) for name, value in changes.items()}
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
        return str(path)

    return write
