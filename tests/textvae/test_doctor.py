"""`textvae doctor` says what it finds, missing things and their remedies included."""

from __future__ import annotations

import os

import pytest

from textvae import cli, doctor
from textvae.training.common.machine import cores, hardware


@pytest.fixture
def found(monkeypatch, tmp_path, capsys):
    """What doctor finds, by name, with the Hub switched off and folders of our own."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TEXTVAE_MIRROR", str(tmp_path / "mirror"))
    for setting in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "npm_config_registry"):
        monkeypatch.setenv(setting, "http://127.0.0.1:9/")  # where nobody answers

    def examine() -> dict[str, str]:
        assert cli.main(["doctor"]) == 0
        return dict(line.split(": ", maxsplit=1) for line in capsys.readouterr().out.splitlines())

    return examine


def test_every_line_has_a_finding(found, tmp_path):
    (tmp_path / "mirror" / "datasets" / "org" / "name").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "package").write_bytes(bytes(3_000_000))
    lines = found()
    assert "torch 2" in lines["libraries"]
    assert "cores" in lines["machine"]
    assert lines["precision"].split(",")[0] in ("float32", "bfloat16")
    assert "because" in lines["precision"]
    assert lines["mirror"].endswith("datasets/org/name")
    assert "HF_HUB_OFFLINE" in lines["Hub"]
    assert lines["PyPI"].startswith("cannot be reached by pip ")
    assert "holds 3 MB" in lines["cache"]


def test_missing_things_name_their_remedy(found, monkeypatch):
    monkeypatch.setenv("PATH", "")
    lines = found()
    assert lines["npm"] == "npm is missing; it comes with Node.js"
    assert "correct TEXTVAE_MIRROR" in lines["mirror"]
    assert "holds 0 MB" in lines["cache"]


def test_an_unreachable_hub_is_a_finding(found, monkeypatch):
    def refuse(*arguments, **options):
        raise ConnectionError("secret-host refused")

    monkeypatch.setattr(doctor.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctor.HfApi, "model_info", refuse)
    assert found()["Hub"] == "cannot be reached (ConnectionError); the registries serve"


def test_cores_are_counted_where_the_system_has_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert hardware()["cores"] == cores() == 7
