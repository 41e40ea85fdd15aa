"""What the README tells a reader to type exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from textvae import cli
from textvae.training.common.recipe_files import SISTERS, read_recipe, shipped_recipes

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Arguments of every call of `program`; continued lines are joined, comments dropped."""
    lines = "\n".join(fenced("sh")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.match(rf"{program}\b", line)]
    return [line[1:] for line in words]


@pytest.mark.parametrize("arguments", commands("textvae"), ids=" ".join)
def test_textvae_commands_parse(arguments):
    args = cli.build_parser().parse_args(arguments)
    if getattr(args, "recipe", None):
        system = args.verb if args.verb in SISTERS else ""
        assert args.recipe in shipped_recipes(system) or read_recipe(args.recipe, system)
    for place in ("input", "test_input", "train", "test"):
        file = getattr(args, place, None)
        if file and file.startswith("examples/"):
            assert (ROOT / file).is_file()


def test_the_readme_shows_the_verbs():
    assert {arguments[0] for arguments in commands("textvae")} == set(cli.VERBS)


@pytest.mark.parametrize("arguments", [*commands("accelerate"), *commands("torchrun")], ids=" ".join)
def test_launchers_start_a_training_that_takes_their_arguments(arguments, monkeypatch):
    from textvae.training.vae import train

    started = []

    def train_vae(recipe, output):
        started.append(recipe.name)
        return {"seconds": 0.0}

    monkeypatch.setattr(train, "train_vae", train_vae)
    entry = next(index for index, word in enumerate(arguments) if word in ("training", "textvae.training.vae.train"))
    # The recipe that the reader has just made is quickstart with one line more.
    own = [word.replace("two.yaml", "quickstart") for word in arguments[entry + 1 :]]
    assert train.main(own) == 0
    assert started == ["quickstart"]


def test_make_targets_and_recipes_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[1].split())
    assert {words[0] for words in commands("make")} <= targets
    assert {"run", "test"} <= {words[0] for words in commands("make")}
    assert set(re.findall(r"RECIPE=(\w+)", README)) <= set(shipped_recipes())


@pytest.mark.parametrize("program", fenced("python"))
def test_python_snippets(program):
    """They parse, what they import exists, and what they call on a model is a method of it."""
    from textvae import TextVAEModel

    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "model":
            assert callable(getattr(TextVAEModel, node.attr))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_example_is_what_the_readme_says():
    import pandas

    tickets, test = (pandas.read_csv(ROOT / "examples" / name) for name in ("tickets.csv", "tickets_test.csv"))
    assert len(tickets) >= 60
    assert set(tickets["label"]) == set(test["label"]) == {"billing", "technical", "delivery"}
    assert not set(tickets["text"]) & set(test["text"])
    assert not tickets["text"].duplicated().any()
