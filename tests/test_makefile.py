"""`make` installs once, and says in one line what is wrong with the interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def checkout(tmp_path) -> Path:
    for name in ("Makefile", "setup.cfg", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A make that runs the tests hands its own flags down.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_installs_when_the_requirements_are_newer_only(checkout):
    assert "pip" in make(checkout, "--dry-run", "run").stdout
    stamp = checkout / ".venv" / "setup-seconds"
    stamp.parent.mkdir()
    stamp.write_text("7\n")
    again = make(checkout, "--dry-run", "run", "RECIPE=smoke").stdout
    assert again.splitlines() == ['.venv/bin/textvae run smoke --setup-seconds "$(cat .venv/setup-seconds)"']
    after = stamp.stat().st_mtime + 10
    for name in ("setup.cfg", "constraints.txt"):
        os.utime(checkout / name, (after, after))
        assert "pip" in make(checkout, "--dry-run", "run").stdout
        os.utime(checkout / name, (after - 20, after - 20))


@pytest.mark.parametrize("python", ["", "no-such-python"])
def test_wrong_interpreter_is_one_line(checkout, python):
    result = make(checkout, "test", f"PYTHON={python}")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        "textvae needs Python 3.11 or newer; name one: make test PYTHON=/path/to/python3.11"
    )
    assert not (checkout / ".venv").exists()


def test_constraints_pin_every_requirement_within_its_range():
    import configparser

    from packaging.requirements import Requirement

    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = settings["options"]["install_requires"] + settings["options.extras_require"]["dev"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))
    assert not [version for version in pins.values() if "+" in version]
    for requirement in map(Requirement, wanted.split("\n")[1:]):
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement
