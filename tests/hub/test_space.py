"""The Space of a run, on this machine and from the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from running import started, textvae


def tabs(address):
    """Labels of the page's tabs, by its own account."""
    with urllib.request.urlopen(f"{address}/config", timeout=10) as answer:
        page = json.loads(answer.read())
    return [part["props"]["label"] for part in page["components"] if part["type"] == "tabitem"]


TABS = ["Reconstruct", "Interpolate", "Generate", "Latent map", "Grow a dataset", "Evidence"]


def test_demo_starts_on_a_run_folder(finished_run, tmp_path):
    with started([sys.executable, "-m", "textvae", "demo", str(finished_run)], tmp_path, {}) as address:
        assert tabs(address) == TABS


def test_demo_refuses_a_folder_without_a_model(tmp_path):
    done = textvae(["demo", "."], tmp_path)
    assert done.returncode == 2
    assert "holds no trained text VAE" in done.stderr


def test_the_published_space_starts_from_what_hf_downloads(published, tmp_path):
    hub, _ = published
    environment = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path / "home")}
    environment.pop("TEXTVAE_MIRROR", None)
    command = ["hf", "download", "org/textvae-demo", "--repo-type", "space", "--local-dir", "space"]
    command[0] = str(Path(sys.executable).with_name("hf"))
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with started([sys.executable, "app.py"], tmp_path / "space", environment) as address:
        assert tabs(address) == TABS
