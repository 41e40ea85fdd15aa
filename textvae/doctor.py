"""`textvae doctor`: what is installed, which sources can be reached, and what this machine has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
import torch
from huggingface_hub import HfApi, constants

from .training.common import precision
from .training.common.known import MODELS
from .training.common.machine import cores
from .training.common.registry import cache_folder
from .training.common.run_folder import LIBRARIES

HUB_SECONDS = 5.0


def examine() -> Iterator[str]:
    """Lines `what: finding`, each yielded as soon as it is known."""
    yield f"textvae: {metadata.version('textvae')}, Python {platform.python_version()}"
    yield "libraries: " + ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    memory = psutil.virtual_memory()
    yield f"machine: {cores()} cores, {memory.total / 1e9:.1f} GB of memory, " + (
        f"{memory.available / 1e9:.1f} GB of it free"
    )
    device = precision.device()
    yield f"GPU: {torch.cuda.get_device_name() if device.type == 'cuda' else 'none'}"
    choice = precision.choose("auto", device)
    yield f"precision: {str(choice.dtype).removeprefix('torch.')}, because {choice.reason}"
    yield f"mirror: {_mirror()}"
    yield f"Hub: {_hub()}"
    yield f"PyPI: {_version([sys.executable, '-m', 'pip'], 'with Python: python -m ensurepip')}"
    yield f"npm: {_version(['npm'], 'with Node.js')}"
    yield f"cache: {_cache(cache_folder())}"


def _mirror() -> str:
    folder = os.environ.get("TEXTVAE_MIRROR")
    if not folder:
        return "none (TEXTVAE_MIRROR is not set)"
    if not Path(folder).is_dir():
        return f"{folder}, which is not a folder: correct TEXTVAE_MIRROR"
    found = [path.relative_to(folder).as_posix() for path in Path(folder).glob("*/*/*") if path.is_dir()]
    return f"{folder}: {', '.join(sorted(found)) or 'empty'}"


def _hub() -> str:
    if constants.HF_HUB_OFFLINE:
        return "not asked (HF_HUB_OFFLINE is set); its cache and the registries serve"
    name, known = next(iter(MODELS.items()))
    try:
        HfApi().model_info(name, revision=known.revision, timeout=HUB_SECONDS)
    except Exception as error:  # whatever went wrong: this is the finding
        return f"cannot be reached ({type(error).__name__}); the registries serve"
    return "reached"


def _version(command: list[str], remedy: str) -> str:
    try:
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return f"{command[-1]} is missing; it comes {remedy}"
    return f"{command[-1]} {result.stdout.removeprefix('pip ').split()[0]}"


def _cache(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{folder} holds {size / 1e6:.0f} MB (TEXTVAE_CACHE)"
