"""What a long piece of work has finished, one file a part, so that it goes on where it was stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..common.files import atomic_path, read_json, write_json, write_text


class Parts:
    """A folder of finished parts; those of other inputs than `made_from` (a fingerprint) are thrown away."""

    def __init__(self, folder: Path, made_from: str) -> None:
        self.folder = folder
        label = folder / "made_from"
        if not label.exists() or label.read_text(encoding="utf-8") != made_from:
            shutil.rmtree(folder, ignore_errors=True)
            write_text(label, made_from)

    def data(self, name: str, make: Callable[[], Any]) -> Any:
        """The part `name`, made where it is not there yet; what JSON can hold, and as JSON gives it back."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_json(path, make())
        return read_json(path)

    def tensors(self, name: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The tensors of the part `name`, made where they are not there yet."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            with atomic_path(path) as temporary:
                save_file({key: tensor.contiguous() for key, tensor in make().items()}, temporary)
        return load_file(path)
