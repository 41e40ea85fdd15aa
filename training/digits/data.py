"""Images of digits: read strictly, cut into training, validation and test part."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..common.errors import UserError
from ..common.progress import say
from ..common.rows import Rows, labels_of
from ..common.sources import Source, load_rows
from .recipe import BUNDLED

BUNDLED_TEST = 360  # its last images, a fifth
INK = 13  # least of 255 that counts as drawn


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, S, S) uint8, black 0, and labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Tensor) -> Digits:
        return Digits(self.images[rows], self.labels[rows])

    def pixels(self) -> Tensor:
        """(N, 1, S, S) float32 in [0, 1]."""
        return pixels(self.images)


@dataclass(frozen=True)
class Splits:
    """The three parts, the classes' names, and where all of it came from."""

    train: Digits
    validation: Digits
    test: Digits
    label_names: list[str]
    source: Source

    @property
    def image_size(self) -> int:
        return self.train.images.shape[-1]


def pixels(images: Tensor) -> Tensor:
    """uint8 → float32 in [0, 1], of the same shape."""
    return images.float() / 255


def digit_share(images: Tensor) -> float:
    """Of a side, taken by the longer side of a digit's box: the median over (N, 1, S, S) uint8 images.

    Empty images count as full ones.
    """
    ink, side = images[:, 0] >= INK, images.shape[-1]
    extents = []
    for across in (1, 2):
        drawn = ink.any(across).byte()  # (N, S)
        extents.append(side - drawn.argmax(1) - drawn.flip(1).argmax(1))
    return float(torch.stack(extents).amax(0).median()) / side


def load_digits(name: str, validation_images: int) -> Splits:
    """The dataset's parts; the last `validation_images` of the training part are held out of it.

    Raises:
        UserError: nowhere to be had; an image that is not square, 8-bit and grey, or of another size than the first; a
            label that is missing; too few images.
    """
    if name == BUNDLED:
        whole, names, source = _bundled()
        cut = len(whole) - BUNDLED_TEST
        train, test = whole.take(torch.arange(cut)), whole.take(torch.arange(cut, len(whole)))
    else:
        rows, source = load_rows(name, "train")
        train, names = _read(rows)
        test_rows, _ = load_rows(name, "test")
        test, test_names = _read(test_rows)
        if test_names != names:
            raise UserError(f"{name}: the test part has the labels {test_names}, the training part {names}; mend one")
        if test.images.shape[1:] != train.images.shape[1:]:
            raise UserError(f"{name}: images of the test part have another size than the training part's; resize them")
    if len(train) < 2 * validation_images:
        hint = "lower 'validation_images'"
        raise UserError(f"{name}: {len(train)} training images, {validation_images} of them for validation; {hint}")
    cut = len(train) - validation_images
    held_out = train.take(torch.arange(cut, len(train)))
    return Splits(train.take(torch.arange(cut)), held_out, test, names, source)


def _read(rows: Rows) -> tuple[Digits, list[str]]:
    labels, names = labels_of(rows, "label")
    images: list[np.ndarray] = []
    for index, value in enumerate(rows.column("image")):
        image = _pixels(value, f"{rows.where(index)}: 'image'")
        if images and image.shape != images[0].shape:
            high, wide = images[0].shape
            raise UserError(
                f"{rows.where(index)}: 'image' is {image.shape[1]} × {image.shape[0]} pixels, row 1 {wide} × {high}; "
                "resize one"
            )
        images.append(image)
    return Digits(torch.from_numpy(np.stack(images)[:, None]), torch.tensor(labels)), names


def _pixels(value: Any, where: str) -> np.ndarray:
    """(S, S) uint8 of an encoded image, alone or as the Hub's {bytes, path}."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise UserError(f"{where} holds no image; give its PNG as bytes, or as a mapping with the key 'bytes'")
    try:
        image = Image.open(io.BytesIO(data))
        values = np.array(image)
    except Exception:  # Pillow's readers raise whatever they like
        raise UserError(f"{where} is no image that can be read; save it again as PNG") from None
    if image.mode != "L":
        raise UserError(f"{where} has mode {image.mode}; make it 8-bit grey (mode L, values 0 to 255)")
    if values.shape[0] != values.shape[1]:
        raise UserError(f"{where} is {values.shape[1]} × {values.shape[0]} pixels; cut or pad it to a square")
    return values


def _bundled() -> tuple[Digits, list[str], Source]:
    """scikit-learn's 1,797 digits of 8 × 8 pixels. They are in the order of their writers, so the last are others'."""
    from sklearn import datasets

    found = datasets.load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)[:, None]
    digits = Digits(torch.from_numpy(images), torch.from_numpy(found.target).long())
    digest = hashlib.sha256(images.tobytes() + found.target.astype("<i8").tobytes()).hexdigest()
    package = f"scikit-learn {metadata.version('scikit-learn')}"
    source = Source(
        BUNDLED, "registry", package, f"sha256:{digest}", licence="CC BY 4.0, cite Alpaydin and Kaynak 1998"
    )
    say(source.sentence())
    return digits, [str(name) for name in found.target_names], source
