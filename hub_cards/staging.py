"""What a run folder has for the Hub, laid out as repositories in a folder each: files, remote code, plots, card.

Only what a list names is taken, so checkpoints, logs and whatever else lies in a run never travel.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from ..training.common.errors import UserError
from ..training.common.files import fingerprint

Kind = Literal["model", "dataset", "space"]
CARD = "README.md"
MODEL_FILES = (
    "config.json", "generation_config.json", "model.safetensors", "adapter_config.json", "adapter_model.safetensors",
    "tokenizer.json", "tokenizer_config.json", "*.prior.safetensors",
)  # fmt: skip
PLOTS = "plots"  # where a repository has them
DATASET_FILES = ("train.parquet", "candidates.parquet", "provenance.json")
REMOTE_CODE = ("modeling_textvae", "modeling_lstm", "modeling_emotion_vae", "modeling_digit_autoencoder")


@dataclass(frozen=True)
class Repo:
    """One repository, ready to be checked and pushed."""

    kind: Kind
    id: str
    folder: Path
    revision: str  # the tag that its commit gets: it names what the folder holds beside the card

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def stage(
    kind: Kind,
    repo_id: str,
    folder: Path,
    sources: Sequence[tuple[Path, tuple[str, ...], str]],
    write_card: Callable[[str], str],
) -> Repo:
    """Fill the empty `folder` and write its card.

    Args:
        sources: (folder, patterns of the files in it that are taken, where they go).
        write_card: makes the card's text, given the revision.

    Raises:
        UserError: a file is a link to elsewhere, or a fact of the card is missing.
    """
    for source, patterns, place in sources:
        for pattern in patterns:
            found = sorted(source.glob(pattern))
            if not found and place == PLOTS and "*" not in pattern:
                raise UserError(f"{source / pattern}: is missing, and the card shows it; run what draws it to its end")
            for path in found:
                copy_file(path, source, folder / place / path.relative_to(source))
    if (folder / "config.json").exists():
        _add_remote_code(folder)
    revision = f"v-{fingerprint(folder)[:12]}"
    (folder / CARD).write_text(write_card(revision), encoding="utf-8", newline="\n")
    return Repo(kind, repo_id, folder, revision)


def copy_file(path: Path, root: Path, target: Path) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{path}: links to a file outside {root}; put the file itself there")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _add_remote_code(folder: Path) -> None:
    """The code that figures are measured with is the installed one, not the one of the day of training."""
    auto_map: dict[str, str] = json.loads((folder / "config.json").read_bytes()).get("auto_map", {})
    wanted = {target.partition(".")[0] for target in auto_map.values()}
    for package in REMOTE_CODE:
        if package in wanted:
            for item in resources.files(f"textvae.{package}").iterdir():
                if item.name.endswith(".py") and item.name != "__init__.py":
                    (folder / item.name).write_bytes(item.read_bytes())


def short_name(dataset: str) -> str:
    """`rotten_tomatoes` → `rt`, `imdb` → `imdb`: how a repository's name speaks of a dataset."""
    words = re.split(r"[_-]", dataset.rpartition("/")[2].lower())
    return "".join(word[:1] for word in words) if len(words) > 1 else words[0]
