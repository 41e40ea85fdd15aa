"""The page starts with the tabs that it can have, and says what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
from processes import python, serving

APP = Path(__file__).parents[2] / "spaces_demo/app.py"


def write_pins(path, **pins):
    path.write_text(json.dumps(pins))
    return path


def test_a_pin_that_leads_nowhere_costs_its_own_tab(folder, tmp_path):
    broken = tmp_path / "broken"  # of a class that the page has, without weights
    broken.mkdir()
    (broken / "config.json").write_text((folder / "digits/config.json").read_text())
    pins = json.loads((folder / "pins.json").read_text())
    chosen = {"lstm": pins["lstm"], "digits": {"id": str(broken)}, "dataset": {"id": "org/unread"}}
    absent = {"emotion": {"id": "org/gone"}, "evidence": {"id": str(tmp_path)}}
    table = write_pins(tmp_path / "pins.json", **chosen, **absent)
    with serving([sys.executable, APP, "--pins", table], tmp_path) as server:
        parts = httpx.get(f"{server.url}/config").json()["components"]
        labels = [part["props"]["label"] for part in parts if part["type"] == "tabitem"]
        texts = " ".join(str(part["props"].get("value")) for part in parts if part["type"] == "markdown")
        assert labels == ["Belief word by word", "Digits"]
        for name in ("org/gone: no such folder", f"{tmp_path}: holds no report.md"):
            assert f"Not shown: `{name}" in texts
            assert f"error: {name}" in server.log.read_text()
        assert "unread" not in texts
        call = httpx.post(f"{server.url}/gradio_api/call/belief", json={"data": ["a moving film."]})
        answer = httpx.get(f"{server.url}/gradio_api/call/belief/{call.json()['event_id']}", timeout=60).text
        assert "event: complete" in answer


def test_without_any_model_it_does_not_start(tmp_path):
    table = write_pins(tmp_path / "pins.json", lstm={"id": "org/gone"}, digits={"id": "org/too"})
    done = python([APP, "--pins", table], tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: org/gone: no such folder")
    assert done.stderr.count("\n") == 1
