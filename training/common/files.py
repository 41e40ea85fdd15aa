"""Files that are whole or absent, and fingerprints of what stands in them.

Every file is written under a temporary name in its own folder, synced and renamed, so a reader (or a run that
goes on after a crash) never meets half of one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import UserError

DEFAULTS = 1  # one more whenever the default of a recipe's field changes: fingerprints leave out what is at its default


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write a file to; it takes the name `path` on a clean exit.

    The temporary name keeps the suffix, and is removed when the body raises.

    Raises:
        UserError: the file cannot be written (disk full, no permission, a file where a folder should be …).
    """
    path = Path(path)
    with _written(path) as temporary:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; on a clean exit it takes the place of the folder `path`.

    Raises:
        UserError: as for `atomic_path`.
    """
    path = Path(path)
    with _written(path) as temporary:
        temporary.mkdir()
        yield temporary
        for item in temporary.rglob("*"):
            _sync(item)
        if path.exists():
            replaced = path.with_name(_temporary_name(path))
            path.rename(replaced)
            temporary.rename(path)
            shutil.rmtree(replaced)
        else:
            temporary.rename(path)
        _sync(path.parent)


def check_replaceable(folder: str | Path, mark: str) -> None:
    """Told before any work: a folder that is written whole takes nobody's files away.

    Args:
        mark: name of a file that only the command which is to write the folder leaves in it.

    Raises:
        UserError: files stand there without the mark, or the path is, or leads through, a file.
    """
    folder = Path(folder)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{there}: is a file, not a folder; choose another place")
    if there == folder and any(folder.iterdir()) and not (folder / mark).is_file():
        raise UserError(f"{folder}: holds files that this command did not write; choose a new or empty folder")


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    temporary = path.with_name(_temporary_name(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except Exception as error:
        problem = _writing_problem(error, temporary)
        if problem is None:
            raise
        raise UserError(f"{path}: cannot be written: {problem}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # already renamed, or its folder could not be made
                temporary.unlink()


def _temporary_name(path: Path) -> str:
    return f".{path.stem}-{secrets.token_hex(4)}{path.suffix}"


def _writing_problem(error: Exception, temporary: Path) -> str | None:
    """What to tell the user when `error` came of writing, else None."""
    text = str(error)
    # safetensors and torch raise errors of their own around the system's words.
    if re.search("No space left on device|File too large|Disk quota exceeded", text):
        return "the disk is full, or a file size limit or quota is reached; free space or choose another place"
    if not isinstance(error, OSError):
        return None
    named = error.filename2 or error.filename
    if named is not None and not Path(os.fsdecode(named)).is_relative_to(temporary.parent):
        ours = temporary.is_relative_to(os.fsdecode(named))  # a parent folder that could not be made
        if not ours:
            return None
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "a part of this path is a file, not a folder; choose another place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another place"
    return f"{error.strerror or text}; choose another place" if error.errno else None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, data: Any) -> None:
    """Write strict JSON (a NaN raises ValueError), whole or not at all."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: missing, or not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the path and its permissions") from None
    except ValueError:
        raise UserError(f"{path}: not a JSON file; delete it to have it written again") from None


def append_jsonl(path: str | Path, row: dict[str, Any]) -> None:
    """Add one row in one synced write; the torn line that a crash left before it is cut off first."""
    path = Path(path)
    line = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", buffering=0) as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {_writing_problem(error, path) or error}") from error


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """All whole rows; a file that is not there has none.

    Raises:
        UserError: a line in the middle is not JSON.
    """
    if not Path(path).exists():
        return []
    rows = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n")[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise UserError(f"{path}: line {number} is not JSON; mend or delete it") from None
    return rows


def fingerprint(*parts: Any) -> str:
    """16 hex digits of `parts`: plain data, dataclasses, and Paths, which stand for what they hold.

    Of a dataclass only the fields that differ from their defaults count, so that an option that is new, and not used,
    leaves what was made before it valid.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=_canonical)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _canonical(part: Any) -> Any:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        values = {item.name: (getattr(part, item.name), item.default) for item in dataclasses.fields(part)}
        set_ones = {name: value for name, (value, default) in values.items() if value != default}
        return {"defaults": DEFAULTS, "set": set_ones}
    if isinstance(part, Path):
        if part.is_dir():
            return {item.relative_to(part).as_posix(): item for item in part.rglob("*") if item.is_file()}
        return file_digest(part) if part.exists() else None
    raise TypeError(f"no fingerprint of a {type(part).__name__}")


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
