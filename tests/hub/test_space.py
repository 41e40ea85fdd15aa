"""The Space of a run, on this machine and from the Hub."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from processes import environment, serving, textvae

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def tabs(address):
    """Labels of the page's tabs, by its own account."""
    with urllib.request.urlopen(f"{address}/config", timeout=10) as answer:
        page = json.loads(answer.read())
    return [part["props"]["label"] for part in page["components"] if part["type"] == "tabitem"]


DEMO = [sys.executable, "-m", "textvae", "demo"]
TABS = ["Reconstruct", "Interpolate", "Generate", "Latent map", "Grow a dataset", "Evidence"]


def test_demo_starts_on_a_run_folder(finished_run, tmp_path):
    with serving([*DEMO, finished_run], tmp_path) as page:
        assert tabs(page.url) == TABS


def test_demo_shows_several_runs_at_the_port_that_is_asked_for(lstm_run, digits_run, emotion_run, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving([*DEMO, digits_run, lstm_run, emotion_run, "--port", port], tmp_path) as page:
        assert page.url == f"http://127.0.0.1:{port}"
        assert tabs(page.url) == ["Belief word by word", "Emotion map", "Digits"]


def test_demo_refuses_a_folder_without_a_model(tmp_path):
    done = textvae(["demo", "."], tmp_path)
    assert done.returncode == 2
    assert "holds no run.json" in done.stderr
    (tmp_path / "run.json").write_text('{"system": "study", "recipe": {}}')
    done = textvae(["demo", "."], tmp_path)
    assert done.returncode == 2
    assert "holds no trained text VAE" in done.stderr


def test_the_published_space_starts_by_the_commands_of_the_readme(published, tmp_path):
    hub, _ = published
    # What it would install is installed here, by the extra `demo`.
    download, _, start = re.findall(r"^(?:hf download|pip install|python) .*\bspace\b.*$", README, re.MULTILINE)
    hf, *arguments = shlex.split(download.replace("ORG/", "org/"))
    command = [str(Path(sys.executable).with_name(hf)), *arguments]
    variables = environment(tmp_path, **hub.environment)
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with serving([sys.executable, *shlex.split(start)[1:]], tmp_path, **hub.environment) as page:
        assert tabs(page.url) == TABS
