"""What may leave this machine: repositories without pickles and secrets, with a whole card, that work when loaded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from huggingface_hub import get_token
from safetensors import safe_open

from ..training.common.errors import UserError
from ..training.common.sources import resolve_model
from .staging import CARD, Repo

LARGEST_FILE = 5 * 10**9  # bytes; what the Hub takes over HTTP in one piece
LARGEST_SCANNED = 50 * 10**6  # bytes of a file that is searched for secrets whole; weights are not text
PICKLE_SUFFIXES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
SECRETS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "a GitHub token": r"\bgh[a-z]_[A-Za-z0-9]{36}|\bgithub_pat_\w{50,}",
    "an AWS key": r"\bAKIA[0-9A-Z]{16}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32,}",
    "a Slack token": r"\bxox[a-z]-[A-Za-z0-9-]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
# Types of our own models, and what `try_out` does with them; every other model is a classifier.
ALONE = {"textvae": "text_vae", "emotion_vae": "emotion_vae", "digit_autoencoder": "digit_autoencoder"}
REQUIRED = {
    "model": ("license", "library_name", "model-index"),
    "dataset": ("license", "pretty_name", "configs", "task_categories"),
    "space": ("title", "sdk", "sdk_version", "app_file", "license"),
}


def check_run(run: Path, parts: Sequence[str]) -> None:
    """Refuse a run folder that somebody has put a pickle or a link into, where files are taken from.

    Checkpoints are pickles of our own, in folders that nothing is taken from.

    Raises:
        UserError: names the file.
    """
    for part in parts:
        for path in sorted((run / part).rglob("*")):
            if {"checkpoints", "language_model"} & set(path.relative_to(run).parts):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(run.resolve()):
                raise UserError(f"{path}: links to a file outside {run}; remove the link")
            if path.is_file() and _is_pickle(path):
                raise UserError(f"{path}: is a pickle, which runs code in whoever loads it; remove it")


def check(repos: Sequence[Repo]) -> None:
    """Raises:
    UserError: one of the repositories must not, or cannot, be published; says which file and why.
    """
    for repo in repos:
        for path in repo.files:
            _check_file(path, f"{repo.id}: {path.relative_to(repo.folder)}")
        _check_card(repo)
    _try_out(repos)


def _check_file(path: Path, name: str) -> None:
    if path.is_symlink():
        raise UserError(f"{name}: is a link; put the file itself there")
    if _is_pickle(path):
        raise UserError(f"{name}: is a pickle, which runs code in whoever loads it; remove it")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{name}: has {path.stat().st_size / 1e9:.1f} GB; {LARGEST_FILE / 1e9:.0f} GB at most")
    token = get_token()
    for text in _texts(path):
        if token and token in text:
            raise UserError(f"{name}: holds your Hugging Face token; remove it there")
        for kind, pattern in SECRETS.items():
            if re.search(pattern, text):
                raise UserError(f"{name}: holds what looks like {kind}; remove it there")
        if path.suffix != ".parquet" and Path.home() != Path("/") and f"{Path.home()}/" in text:
            raise UserError(f"{name}: names your home folder; run again with relative paths, or edit it")


def _is_pickle(path: Path) -> bool:
    if path.suffix in PICKLE_SUFFIXES:
        return True
    if zipfile.is_zipfile(path):  # as torch writes it
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    with open(path, "rb") as file:
        start = file.read(9)
    # Protocol 2 and later; a safetensors file may begin alike with the length of its header, which is JSON.
    return start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5") and start[8:] != b"{"


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            raise UserError(f"{path.name}: is no parquet file ({error}); make it anew") from None
        for name in table.column_names:
            kind = table.schema.field(name).type
            if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                yield "\n".join(value for value in table.column(name).to_pylist() if value)
        yield json.dumps({k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()})
    else:
        with open(path, "rb") as file:
            yield file.read(LARGEST_SCANNED).decode("utf-8", "replace")


def _check_card(repo: Repo) -> None:
    place = f"{repo.id}: {CARD}"
    text = (repo.folder / CARD).read_text(encoding="utf-8")
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    front_matter = front[1] if front else ""
    try:
        metadata = yaml.safe_load(front_matter)
    except yaml.YAMLError:
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(f"{place}: does not begin with YAML that can be read")
    missing = [name for name in REQUIRED[repo.kind] if not metadata.get(name)]
    if missing:
        raise UserError(f"{place}: its metadata lacks {', '.join(missing)}")
    if "verified" in front_matter:
        raise UserError(f"{place}: says 'verified', which is the Hub's own word")


def _classes(adapter: Path) -> int:
    """How many a classification adapter tells apart: the rows of its head."""
    with safe_open(adapter, framework="np") as file:
        (head,) = (name for name in file.keys() if name.endswith("score.weight"))  # noqa: SIM118 (no mapping)
        return int(file.get_slice(head).get_shape()[0])


def _try_out(repos: Sequence[Repo]) -> None:
    """Load them in a process without us, offline, with an empty cache."""
    tasks = [_task(repo) for repo in repos]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HF_HOME": home, "HF_MODULES_CACHE": f"{home}/modules", "HF_HUB_OFFLINE": "1"}
        environment.pop("HF_TOKEN", None)
        command = [sys.executable, "-I", str(Path(__file__).with_name("try_out.py"))]
        done = subprocess.run(
            command, input=json.dumps(tasks), env=environment, cwd=home, capture_output=True, text=True
        )
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or ["loading what is to be published died"])[-1])


def _task(repo: Repo) -> tuple[str, str, dict[str, Any]]:
    """What `try_out` is to load, and how."""
    folder = repo.folder
    arguments: dict[str, Any] = {"folder": str(folder)}
    if (folder / "adapter_config.json").exists():
        settings = json.loads((folder / "adapter_config.json").read_bytes())
        arguments["base"] = str(resolve_model(settings["base_model_name_or_path"])[0])
        arguments["classes"] = _classes(folder / "adapter_model.safetensors")
        return "adapter", repo.id, arguments
    if repo.kind == "model":
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
        return ALONE.get(kind, "classifier"), repo.id, arguments
    if repo.kind == "dataset":
        return "grown_dataset" if (folder / "candidates.parquet").exists() else "test_dataset", repo.id, arguments
    return repo.kind, repo.id, arguments
