"""Images from every kind of source, and what is refused."""

from __future__ import annotations

import io
import struct
import tarfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from textvae.training.common import conversions, hub
from textvae.training.common.errors import UserError
from textvae.training.common.known import DATASETS
from textvae.training.digits.data import digit_share, load_digits
from textvae.training.digits.recipe import BUNDLED

FOUR = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17


def png(values, mode=None):
    file = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


def write(folder, train, test=None):
    for split, rows in (("train", train), ("test", test or train[:1])):
        pd.DataFrame(rows, columns=["image", "label"]).to_parquet(folder / f"{split}.parquet")
    return str(folder)


def test_the_bundled_digits_need_no_download():
    digits = load_digits("sklearn/digits", 144)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1293, 144, 360)
    assert digits.train.images.dtype == torch.uint8
    assert digits.image_size == 8
    assert (int(digits.train.images.min()), int(digits.train.images.max())) == (0, 255)
    assert digits.label_names == list("0123456789")
    assert torch.bincount(digits.test.labels).min() > 30
    assert digits.source.location.startswith("scikit-learn ")
    assert digits.train.pixels().max() == 1


def test_the_share_of_a_side_that_digits_take_is_that_of_most_images():
    assert digit_share(load_digits(BUNDLED, 144).train.images) == 1.0
    images = torch.zeros(5, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 4:24, 10:14] = 200  # a box of 20 pixels, as in MNIST
    images[1, 0, 4:24, 10:14], images[1, 0, 10:14, 4:24] = 0, 200
    images[2, 0, 0] = 12  # no ink
    images[3, 0, 24:26, 10] = 255
    assert digit_share(images) == 20 / 28


def test_a_folder_of_parquet_files_is_cut_at_its_end(tmp_path):
    rows = [(png(np.full((4, 4), 10 * n, np.uint8)), n % 2) for n in range(10)]
    digits = load_digits(write(tmp_path, rows, rows[:3]), 4)
    assert digits.train.images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert digits.validation.images[:, 0, 0, 0].tolist() == [60, 70, 80, 90]
    assert digits.validation.labels.tolist() == [0, 1, 0, 1]
    assert len(digits.test) == 3
    assert digits.label_names == ["0", "1"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((png(FOUR, "RGB"), 1), r"row 3: 'image' has mode RGB; make it 8-bit grey"),
        ((png(FOUR.astype(np.uint16) * 200), 1), r"row 3: 'image' has mode I;16; make it 8-bit grey"),
        ((png(FOUR[:3]), 1), r"row 3: 'image' is 4 × 3 pixels; cut or pad it to a square"),
        ((png(FOUR[:3, :3]), 1), r"row 3: 'image' is 3 × 3 pixels, row 1 4 × 4; resize one"),
        (({"bytes": b"no image", "path": None}, 1), r"row 3: 'image' is no image that can be read"),
        (({"bytes": png(FOUR)["bytes"][:60], "path": None}, 1), r"row 3: 'image' is no image that can be read"),
        (({"bytes": None, "path": "digit.png"}, 1), r"row 3: 'image' holds no image; give its PNG as bytes"),
        ((png(FOUR), None), r"row 3: 'label' is missing; fill it in or delete the row"),
    ],
)
def test_a_row_that_is_no_digit_is_named(tmp_path, row, told):
    good = [(png(FOUR), 0), (png(FOUR), 1)]
    with pytest.raises(UserError, match=told):
        load_digits(write(tmp_path, [*good, row], good), 1)


def test_parts_that_do_not_fit_are_named(tmp_path):
    rows = [(png(FOUR), n % 2) for n in range(6)]
    with pytest.raises(UserError, match="lower 'validation_images'"):
        load_digits(write(tmp_path, rows, rows), 4)
    with pytest.raises(UserError, match="the test part has the labels"):
        load_digits(write(tmp_path, rows, rows[:1]), 2)
    with pytest.raises(UserError, match="another size"):
        load_digits(write(tmp_path, rows, [(png(FOUR[:2, :2]), n % 2) for n in range(2)]), 2)
    pd.DataFrame({"picture": [1], "label": [0]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(UserError, match="no column 'image'"):
        load_digits(str(tmp_path), 2)


def test_mnist_of_the_package_has_the_shape_of_the_hubs(tmp_path, monkeypatch):
    """Its idx files: two zero bytes, the type (8: bytes), the number of dimensions, their sizes, the bytes."""
    random = np.random.default_rng(0)
    members, wanted = {}, {}
    for prefix, count in (("train", 8), ("t10k", 3)):
        images, labels = random.integers(0, 256, (count, 4, 4), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10
        wanted[prefix] = images, labels
        members[f"{prefix}-images-idx3"] = struct.pack(">BBBBIII", 0, 0, 8, 3, *images.shape) + images.tobytes()
        members[f"{prefix}-labels-idx1"] = struct.pack(">BBBBI", 0, 0, 8, 1, count) + labels.tobytes()
    archive = tmp_path / "mnist.tgz"
    with tarfile.open(archive, "w:gz") as package:
        for name, data in members.items():
            info = tarfile.TarInfo(f"package/data/{name}-ubyte")
            info.size = len(data)
            package.addfile(info, io.BytesIO(data))
    folder = tmp_path / "mirror/datasets/ylecun/mnist"
    folder.mkdir(parents=True)
    conversions.mnist([archive], folder)
    monkeypatch.setenv("TEXTVAE_MIRROR", str(tmp_path / "mirror"))
    digits = load_digits("ylecun/mnist", 2)
    images, labels = wanted["train"]
    assert np.array_equal(torch.cat([digits.train.images, digits.validation.images])[:, 0], images)
    assert torch.cat([digits.train.labels, digits.validation.labels]).tolist() == labels.tolist()
    assert np.array_equal(digits.test.images[:, 0], wanted["t10k"][0])
    assert digits.label_names == list("0123456789") == list(DATASETS["ylecun/mnist"].label_names)


def test_images_of_the_hub_come_as_bytes(tmp_path, monkeypatch):
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(), "label": ClassLabel(names=list("ab"))})
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    Dataset.from_dict({"image": [png(FOUR)] * 2, "label": [1, 0]}, features).to_parquet(tmp_path / "train.parquet")
    monkeypatch.setattr(hub, "problem", lambda: None)
    rows, _ = hub.dataset(str(tmp_path), "0" * 40, "train")
    assert rows.column("image") == [png(FOUR)] * 2
    assert rows.class_names["label"] == ["a", "b"]
