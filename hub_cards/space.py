"""The Space of runs: on the Hub, its pins at commits; on this machine, at folders."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import HfApi, SpaceCard

from ..training.common.errors import UserError
from ..training.common.files import read_json, write_json
from .layout import Json, Layout
from .layouts import layout_of
from .push import retried
from .staging import CARD, Repo, stage

NAME = "textvae-demo"
PINS = "pins.json"
OTHERS = ("models", "dataset", "evidence")  # pins of the text VAE; every other is a sister system's model


def space(
    namespace: str,
    pinned: Sequence[tuple[Layout, Sequence[Repo]]],
    commits: Mapping[str, str],
    folder: Path,
    there: Json | None = None,
) -> list[Repo]:
    """The Space of runs' repositories at their commits, laid out in `folder`: one, or none where no model has a tab.

    Args:
        there: pins of the Space as it is on the Hub: tabs of what was published before stay.
    """
    pins = _together([there or {}, *(layout.pins(repos, commits) for layout, repos in pinned)])
    if not pins:
        return []
    folder.mkdir()
    write_json(folder / PINS, pins)
    shown = {"datasets": ("dataset", "evidence"), "models": [name for name in pins if name not in OTHERS]}

    def card(_: str) -> str:
        page = SpaceCard((source / CARD).read_text(encoding="utf-8"))
        for kind, names in shown.items():
            ids = [pins[name]["id"] for name in names if name in pins]
            ids += [pin["id"] for pin in pins.get("models", {}).values()] if kind == "models" else []
            page.data[kind] = sorted(set(ids))
        return str(page)

    with resources.as_file(resources.files("textvae.spaces_demo")) as source:
        files = [(source, ("[!_]*.py", "panels/*.py", "requirements.txt"), "")]
        return [stage("space", f"{namespace}/{NAME}", folder, files, card)]


def pins_there(api: HfApi, namespace: str) -> tuple[Json, str]:
    """What the Space on the Hub shows already, and at which commit; nothing, and "", where there is none.

    Raises:
        UserError: the Hub refuses, or does not answer.
    """
    name = f"{namespace}/{NAME}"
    if not retried(lambda: api.file_exists(name, PINS, repo_type="space"), name):
        return {}, ""
    commit = str(retried(lambda: api.space_info(name).sha, name))
    path = retried(lambda: api.hf_hub_download(name, PINS, repo_type="space", revision=commit), name)
    return read_json(path), commit


def demo(args: argparse.Namespace) -> int:
    """Start the Space on this machine, on what run folders hold; returns its exit code.

    Raises:
        UserError: Gradio is not installed, or a folder holds no trained model.
    """
    if find_spec("gradio") is None:
        raise UserError("gradio is not installed; run `pip install 'textvae[demo]'`")
    nowhere = Path()  # nothing is laid out
    pins = _together(layout_of(run, "", nowhere).local_pins() for run in args.run_folders)
    with resources.as_file(resources.files("textvae.spaces_demo")) as source, tempfile.TemporaryDirectory() as scratch:
        write_json(Path(scratch) / PINS, pins)
        command = [sys.executable, str(source / "app.py"), "--pins", str(Path(scratch) / PINS)]
        environment = os.environ | ({"GRADIO_SERVER_PORT": str(args.port)} if args.port else {})
        return subprocess.run(command, env=environment).returncode


def _together(parts: Iterable[Json]) -> Json:
    """Pins of several runs: models of both profiles, of the rest the last that names it."""
    pins: Json = {}
    for part in parts:
        models = pins.get("models", {}) | part.get("models", {})
        pins |= part | ({"models": models} if models else {})
    return pins
