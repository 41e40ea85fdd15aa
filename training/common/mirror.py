"""`textvae mirror`: a folder of models and datasets from the Hub, for machines that cannot reach it.

`mirror.json` in it says which commit each repository is at and which hash each file has. With `TEXTVAE_MIRROR` set to
the folder every command, and the Space, asks it before the Hub.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download

from . import hub
from .errors import UserError
from .files import atomic_folder, file_digest, read_json, write_json
from .known import DATASETS, MODELS
from .progress import say

MANIFEST = "mirror.json"
# Weights, code, texts, results; never a pickle.
TAKEN = ("*.safetensors", "*.parquet", "*.json", "*.jsonl", "*.py", "*.txt", "*.model", "*.md", "*.svg")
TIMEOUT = 30.0

Manifest = dict[str, dict[str, Any]]  # "models/ORG/NAME" → {"revision": commit, "files": {path: sha256}}


def mirror(folder: Path, names: list[str]) -> None:
    """Fetch what is named, as `datasets/ID`, `models/ID` or `ID`, into the folder, and verify all that stands there.

    What is named later counts where two revisions of one are asked for.

    Raises:
        UserError: nothing is asked for, the Hub does not have it, or a file is not what its manifest says.
    """
    wanted = dict(map(_place, names))
    manifest: Manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).exists() else {}
    if not wanted and not manifest:
        raise UserError(
            f"{folder}: no mirror stands there yet; name ids, as ORG/NAME or datasets/ORG/NAME, or a --recipe"
        )
    for place, revision in wanted.items():
        commit, known = _commit(place, revision), manifest.get(place, {})
        if known.get("revision") == commit and not _differences(folder / place, known["files"]):
            say(f"{place}: unchanged, {commit[:12]}")
            continue
        manifest[place] = {"revision": commit, "files": _fetch(folder / place, place, commit)}
        write_json(folder / MANIFEST, manifest)
        say(f"{place}: {commit[:12]} → {folder / place}")
    for place, known in manifest.items():
        for name in _differences(folder / place, known["files"]):
            raise UserError(f"{folder / place / name}: is not what {MANIFEST} says; fetch {place} again")
    files = [size for place, known in manifest.items() for size in _sizes(folder / place, known["files"])]
    print(f"{len(manifest)} repositories, {len(files)} files, {sum(files) / 1e6:.1f} MB verified; use them by")
    print(f"export TEXTVAE_MIRROR={folder.resolve()}")


def _place(name: str) -> tuple[str, str | None]:
    """`datasets/ORG/NAME@REVISION` → its place in the mirror, and the revision, or the one that recipes pin."""
    name, _, revision = name.partition("@")
    kind, _, rest = name.partition("/")
    if kind not in ("models", "datasets"):
        kind, rest = "models", name
    if rest.count("/") > 1 or not all(rest.split("/")):
        raise UserError(f"{name}: is no Hub id; write ORG/NAME for a model, datasets/ORG/NAME for a dataset")
    known = (DATASETS if kind == "datasets" else MODELS).get(rest)
    return f"{kind}/{rest}", revision or (known.revision if known else None)


def _commit(place: str, revision: str | None) -> str:
    kind, _, name = place.partition("/")
    if problem := hub.problem():
        raise UserError(f"{place}: {problem}; a mirror is made where the Hub can be reached")
    try:
        info: Any = HfApi().repo_info(name, revision=revision, repo_type=kind.removesuffix("s"), timeout=TIMEOUT)
    except Exception as error:  # of huggingface_hub and of its HTTP client, which share no base class
        raise UserError(
            f"{place}: the Hub does not deliver it ({type(error).__name__}); check id and revision"
        ) from error
    return str(info.sha)


def _fetch(target: Path, place: str, commit: str) -> dict[str, str]:
    """Put a repository's files at a commit in place of what stood there; returns their sha256."""
    kind, _, name = place.partition("/")
    with atomic_folder(target) as folder:
        try:
            snapshot_download(
                name, revision=commit, repo_type=kind.removesuffix("s"), local_dir=folder, allow_patterns=list(TAKEN)
            )
            info: Any = HfApi().repo_info(
                name, revision=commit, repo_type=kind.removesuffix("s"), files_metadata=True, timeout=TIMEOUT
            )
        except Exception as error:  # as above
            raise UserError(f"{place}: broke off ({type(error).__name__}); run the command again") from error
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        hashes = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings}
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        for name_in_repo, path in files.items():
            if hashes[name_in_repo] not in hub.hashes(path):
                raise UserError(f"{place}/{name_in_repo}: came damaged; run the command again")
        return {name_in_repo: file_digest(path) for name_in_repo, path in files.items()}


def _differences(folder: Path, files: dict[str, str]) -> list[str]:
    return [
        name for name, digest in files.items() if not (folder / name).is_file() or file_digest(folder / name) != digest
    ]


def _sizes(folder: Path, files: dict[str, str]) -> list[int]:
    return [(folder / name).stat().st_size for name in files]
