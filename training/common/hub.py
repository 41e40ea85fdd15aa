"""The Hugging Face Hub: asked once a process whether it is there at all, then for pinned revisions only."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from .errors import NoSplit, UserError
from .files import file_digest
from .progress import say
from .rows import Rows

ANSWER_SECONDS = 5.0  # how long the Hub may take to answer at all


@functools.cache
def problem() -> str | None:
    """Why the Hub cannot be asked, else None; found out, and said, once a process."""
    found: str | None
    if constants.HF_HUB_OFFLINE:
        found = "the Hub is switched off by HF_HUB_OFFLINE"
    else:
        answers: list[str | None] = []
        # In a thread, because no time-out covers the look-up of a name.
        asking = threading.Thread(target=lambda: answers.append(_ask()), daemon=True)
        asking.start()
        asking.join(ANSWER_SECONDS)
        found = answers[0] if answers else f"the Hub does not answer within {ANSWER_SECONDS:.0f} s"
    if found:
        say(f"{found}: what is not cached comes from registry packages")
    return found


def _ask() -> str | None:
    try:
        urllib.request.urlopen(f"{constants.ENDPOINT}/api/models?limit=1", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        return f"the Hub answers with status {error.code}" if error.code >= 500 else None
    except OSError as error:
        reason = getattr(error, "reason", error)
        return f"the Hub cannot be reached ({getattr(reason, 'strerror', None) or reason})"
    return None


def dataset(name: str, revision: str | None, split: str) -> tuple[Rows, str] | None:
    """A split and the commit it is of; None where the Hub (or, offline, its cache) does not deliver.

    Raises:
        UserError: the Hub is there, and has no such dataset, revision or split.
    """
    if problem() and not constants.HF_HUB_OFFLINE:
        return None
    from datasets import ClassLabel, Image, load_dataset
    from datasets.exceptions import DatasetNotFoundError

    try:
        if not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
            revision = HfApi().dataset_info(name, revision=revision, timeout=ANSWER_SECONDS).sha
        data = load_dataset(name, split=split, revision=revision)
    except Exception as error:  # of huggingface_hub, its HTTP client and datasets, which share no base class
        _explain(name, error, DatasetNotFoundError)
        return None
    assert revision is not None
    for column, feature in data.features.items():
        if isinstance(feature, Image):  # its bytes, as in the parquet file
            data = data.cast_column(column, Image(decode=False))
    columns = {column: data[column] for column in data.column_names}  # each is read where it is asked for
    names = {key: feature.names for key, feature in data.features.items() if isinstance(feature, ClassLabel)}
    return Rows(f"{name}, split {split}", columns, class_names=names), revision


def model(name: str, revision: str | None) -> Path | None:
    """The snapshot folder, named after its commit; None and errors as for `dataset`."""
    unreachable = problem() is not None
    try:
        folder = snapshot_download(
            name,
            revision=revision,
            allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"],
            ignore_patterns=["*/*"],
            local_files_only=unreachable,
        )
    except Exception as error:  # see dataset
        _explain(name, error)
        return None
    # A cache may hold a configuration that something else asked for, and no weights.
    return None if unreachable and not list(Path(folder).glob("*.safetensors")) else Path(folder)


def hashes(path: Path) -> set[str]:
    """What the Hub may call a file by: its sha256 in LFS, else its git hash. The file may be larger than the memory."""
    header = b"blob %d\0" % path.stat().st_size
    with open(path, "rb") as file:
        git = hashlib.file_digest(file, lambda: hashlib.sha1(header))
    return {file_digest(path), git.hexdigest()}


def _explain(name: str, error: Exception, *not_found: type[Exception]) -> None:
    """Raise where asking elsewhere cannot help, else say what went wrong."""
    if problem():
        return
    if isinstance(error, (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError, ValueError, *not_found)):
        reason = str(error).strip() if isinstance(error, ValueError) else "not on the Hub, or not open to you"
        hint = "check id, revision and split, or log in with `hf auth login`"
        if "Config name is missing" in reason:
            hint = "save the configuration that you want as parquet (its split's `to_parquet`) and give that file"
        kind = NoSplit if reason.startswith("Unknown split") else UserError
        raise kind(f"{name}: {' '.join(reason.split()).rstrip('.')}; {hint}") from error
    say(f"{name}: the Hub failed ({type(error).__name__})")
