"""The Space of a run: on the Hub, its pins at commits; on this machine, at folders."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import SpaceCard

from ..training.common.errors import UserError
from ..training.common.files import read_json, write_json
from .staging import CARD, Repo, stage

NAME = "textvae-demo"
Json = dict[str, Any]


def space(namespace: str, recipe: Json, repos: list[Repo], commits: dict[str, str], folder: Path) -> list[Repo]:
    """The Space of repositories at their commits, laid out in `folder`: one, or none where there is no text VAE."""
    model = next((repo for repo in repos if (repo.folder / "modeling_textvae.py").exists()), None)
    if model is None:
        return []
    datasets = [repo for repo in repos if repo.kind == "dataset"]
    pins = _pins(recipe, {"id": model.id, "revision": commits[model.id]})
    if datasets:
        largest = max(datasets, key=lambda repo: (repo.folder / "train.parquet").stat().st_size)
        pins["dataset"] = pins["evidence"] = {"id": largest.id, "revision": commits[largest.id]}
    folder.mkdir()
    write_json(folder / "pins.json", pins)

    def card(_: str) -> str:
        page = SpaceCard((source / CARD).read_text(encoding="utf-8"))
        page.data["models"], page.data["datasets"] = [model.id], [repo.id for repo in datasets]
        return str(page)

    with resources.as_file(resources.files("textvae.spaces_demo")) as source:
        files = [(source, ("[!_]*.py", "panels/*.py", "requirements.txt"), "")]
        return [stage("space", f"{namespace}/{NAME}", folder, files, card)]


def demo(args: argparse.Namespace) -> int:
    """Start the Space on this machine, on the model, datasets and report of a run folder; returns its exit code.

    Raises:
        UserError: Gradio is not installed, or the folder holds no trained VAE.
    """
    run: Path = args.run_folder
    if not (run / "vae" / "training.json").exists():
        raise UserError(f"{run}: holds no trained text VAE; give a folder that `textvae run` made")
    if find_spec("gradio") is None:
        raise UserError("gradio is not installed; run `pip install 'textvae[demo]'`")
    pins = _pins(read_json(run / "run.json")["recipe"], {"id": str((run / "vae").resolve())})
    rows = sorted((run / "augmented").glob("*/train.parquet"), key=lambda path: path.stat().st_size)
    if rows:
        pins["dataset"] = {"id": str(rows[-1].parent.resolve())}
    if (run / "report.md").exists():
        pins["evidence"] = {"id": str(run.resolve())}
    with resources.as_file(resources.files("textvae.spaces_demo")) as source, tempfile.TemporaryDirectory() as scratch:
        write_json(Path(scratch) / "pins.json", pins)
        command = [sys.executable, str(source / "app.py"), "--pins", str(Path(scratch) / "pins.json")]
        environment = os.environ | ({"GRADIO_SERVER_PORT": str(args.port)} if args.port else {})
        return subprocess.run(command, env=environment).returncode


def _pins(recipe: Json, model: Json) -> Json:
    """What the Space's `pins.json` says of the model: where it is, and how its draws read best."""
    evaluation = recipe["evaluation"]
    sampling = {
        "prior_temperature": evaluation["prior_temperature"],
        "latent_share": evaluation["latent_share"],
        "top_p": evaluation["token_top_p"],
    }
    return {"models": {evaluation["profile"]: model | {"sampling": sampling}}}
