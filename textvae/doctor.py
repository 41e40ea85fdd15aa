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
from .training.common.known import MINILM, MODELS, WORDNET
from .training.common.machine import cores
from .training.common.registry import cache_folder
from .training.common.run_folder import LIBRARIES

SECONDS = 5  # that the Hub and the registries have to answer


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
    choice = precision.choose("auto")
    yield f"precision: {str(choice.dtype).removeprefix('torch.')}, because {choice.reason}"
    yield f"mirror: {_mirror()}"
    yield f"Hub: {_hub()}"
    pip = [sys.executable, "-m", "pip"]
    asked = ["index", "versions", MINILM.name, "--disable-pip-version-check", "--retries=0", f"--timeout={SECONDS}"]
    yield f"PyPI: {_registry(pip, asked, 'with Python: python -m ensurepip')}"
    asked = ["view", WORDNET.name, "version", "--fetch-retries=0", f"--fetch-timeout={SECONDS}000"]
    yield f"npm: {_registry(['npm'], asked, 'with Node.js')}"
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
        HfApi().model_info(name, revision=known.revision, timeout=SECONDS)
    except Exception as error:  # whatever went wrong: this is the finding
        return f"cannot be reached ({type(error).__name__}); the registries serve"
    return "reached"


def _registry(tool: list[str], asked: list[str], remedy: str) -> str:
    """Whether the tool is there, and whether the registry that it is set up for knows a package of ours."""
    name = tool[-1]
    try:
        found = subprocess.run([*tool, "--version"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return f"{name} is missing; it comes {remedy}"
    version = found.stdout.removeprefix("pip ").split()[0]
    try:
        subprocess.run([*tool, *asked], capture_output=True, check=True, timeout=4 * SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return f"cannot be reached by {name} {version}; check the network and its settings"
    return f"reached by {name} {version}"


def _cache(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{folder} holds {size / 1e6:.0f} MB (TEXTVAE_CACHE)"
