"""The wheel holds one package, with its recipes and templates, and works outside the checkout."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOP_FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def test_listed_packages_are_the_folders():
    """`packages = find:` would ship top-level `training` and `tests`, so the list is written by hand."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = settings["options"]["packages"].split()
    places = dict(line.split(" = ") for line in settings["options"]["package_dir"].strip().splitlines())
    folders = [path.parent.relative_to(ROOT) for top in TOP_FOLDERS for path in (ROOT / top).rglob("__init__.py")]
    names = {place: name for name, place in places.items()}
    assert sorted(listed) == sorted(".".join((names[folder.parts[0]], *folder.parts[1:])) for folder in folders)


@pytest.fixture(scope="module")
def wheel(once) -> Path:
    """Built from a copy, offline, so that the checkout stays as it is."""

    def make(work: Path) -> Path:
        source = work / "source"
        source.mkdir()
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        for name in [*TOP_FOLDERS, "tests"]:
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", work / "built", source)
        return work / "built"

    return next(once("wheel", make).glob("*.whl"))


def test_wheel_has_one_top_level_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"textvae"}


@pytest.mark.parametrize(
    "pattern",
    [
        "training/recipes/*.yaml",
        "training/*/templates/*",
        "training/*/*.csv",
        "hub_cards/**/*.j*",
        "modeling_*/*.py",
        "spaces_demo/*",
    ],
)
def test_wheel_has_every_file(wheel, pattern):
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern) if path.is_file()}
    assert files
    assert {f"textvae/{file}" for file in files} <= set(zipfile.ZipFile(wheel).namelist())


def test_installed_wheel_works_outside_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    pip("install", "--no-deps", "--no-index", "--target", site, wheel)
    # PYTHONPATH comes before the environment's own, editable textvae.
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*command: str | Path) -> str:
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert "usage: textvae" in run(sys.executable, site / "bin" / "textvae", "--help")
    program = (
        "import textvae; from textvae.training.common.recipe_files import SISTERS, read_recipe, shipped_recipes;"
        "names = [name for system in ('', *SISTERS) for name in shipped_recipes(system) if read_recipe(name, system)];"
        "[textvae.load_recipe(name) for name in shipped_recipes()];"
        "print(textvae.__file__, textvae.__version__, *names)"
    )
    place, version, *recipes = run(sys.executable, "-c", program).split()
    assert Path(place).is_relative_to(site)
    assert version == wheel.name.split("-")[1]
    assert set(recipes) == {path.stem for path in (ROOT / "training" / "recipes").glob("*.yaml")}
    assert recipes


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
