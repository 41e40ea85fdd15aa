"""Imports run one way, and only by the installed names."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Lowest first. A module may import its own package and lower layers; packages of one layer ignore each other.
LAYERS = (
    (
        "textvae.modeling_textvae",
        "textvae.modeling_lstm",
        "textvae.modeling_emotion_vae",
        "textvae.modeling_digit_autoencoder",
    ),
    ("textvae.training.common", "textvae.training.recipes"),
    ("textvae.training.vae", "textvae.training.classify", "textvae.training.emotion", "textvae.training.digits"),
    ("textvae.training.augment", "textvae.training.lstm"),
    ("textvae.training.study",),
    ("textvae.hub_cards",),
    ("textvae",),
)
REMOTE_CODE_MAY_USE = {"torch", "transformers", "safetensors", *sys.stdlib_module_names}
PACKAGES = [*sorted(folder.name for folder in ROOT.glob("modeling_*")), "training", "hub_cards", "textvae"]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
OURS = SOURCES + sorted(path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def test_the_walk_sees_the_packages():
    assert {"cli.py", "recipe.py", "modeling_textvae.py", "modeling_lstm.py"} <= {path.name for path in SOURCES}


def test_every_package_has_a_layer():
    folders = [
        path for place in ("modeling_*", "training/*", "hub_cards") for path in ROOT.glob(f"{place}/__init__.py")
    ]
    assert {name_of(path) for path in folders} | {"textvae"} == {package for layer in LAYERS for package in layer}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = name_of(path)
    for imported in imports_of(path):
        if not imported.startswith("textvae"):
            continue
        target = layer_of(imported)
        same_package = package_of(imported) == package_of(name)
        assert same_package or target < layer_of(name), f"{name} imports {imported}, which is not below it"


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.parent.name.startswith("modeling_")],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_remote_code_can_travel(path):
    """Files of `modeling_*` go to the Hub as they are, to users who have transformers and what it needs alone."""
    assert path.parent.parent == ROOT, "remote code is flat"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] in REMOTE_CODE_MAY_USE, f"line {node.lineno}: {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] in REMOTE_CODE_MAY_USE, f"line {node.lineno}: {node.module}"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"line {node.lineno}: reaches out of its folder"
            assert node.module, f"line {node.lineno}: write `from .file import name`"
            assert path.with_name(f"{node.module}.py").is_file(), f"line {node.lineno}: no sibling {node.module}.py"


@pytest.mark.parametrize("path", sorted((ROOT / "spaces_demo").rglob("*.py")), ids=lambda path: path.name)
def test_the_space_stands_alone(path):
    """On the Hub it has the model's own code and nothing of ours."""
    ours = {*PACKAGES, "textvae"}
    assert not ours & {imported.split(".")[0] for imported in imports_in(parse(path), package="spaces_demo")}


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_by_folder_name(path):
    """`training.x` and `textvae.training.x` would be two modules with two sets of classes."""
    for imported in imports_of(path):
        assert imported.split(".")[0] not in set(PACKAGES) - {"textvae"}, f"{imported}: write textvae.{imported}"


def test_the_walk_finds_lazy_and_relative_imports(tmp_path):
    source = "def f():\n    from ..study.run import g\n    import training.vae\n    import_module('textvae.cli')\n"
    found = set(imports_in(ast.parse(source), package="textvae.training.vae"))
    assert {"textvae.training.study.run", "training.vae", "textvae.cli"} <= found


def name_of(path: Path) -> str:
    """Installed name of a module; tests and benchmarks keep their path."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    prefix = ("textvae",) if parts[0] in PACKAGES and parts[0] != "textvae" else ()
    return ".".join(prefix + parts)


def package_of(module: str) -> str:
    """The layer's package that a module belongs to: the longest that it stands in."""
    # The launcher of `accelerate launch training` stands in the folder of the layers, above them.
    if module == "textvae.training.__main__":
        return "textvae"
    if module == "textvae.training":
        return "textvae.training.common"  # empty, and every layer's parent
    packages = [package for layer in LAYERS for package in layer]
    return max((p for p in packages if f"{module}.".startswith(f"{p}.")), key=len)


def layer_of(module: str) -> int:
    package = package_of(module)
    return next(index for index, layer in enumerate(LAYERS) if package in layer)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(path: Path) -> Iterator[str]:
    name = name_of(path)
    return imports_in(parse(path), package=name if path.name == "__init__.py" else name.rpartition(".")[0])


def imports_in(tree: ast.Module, package: str) -> Iterator[str]:
    """Absolute names of all modules imported at any depth, `from package import module` included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(
                [*parents[: len(parents) - node.level + 1], *filter(None, [node.module])]
                if node.level
                else [node.module]
            )
            yield base
            # `from . import vae` names a package in its list; a class in that place is harmless here.
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            yield from (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))
