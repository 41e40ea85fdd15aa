"""What the README tells a reader to type exists, and runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
import torch
from processes import stranger, textvae
from transformers import BertConfig, BertModel

import textvae as package
from textvae import cli
from textvae.training.common.model_folders import save_model
from textvae.training.common.recipe_files import SISTERS, read_recipe, shipped_recipes
from textvae.training.study.advice import Advice

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
def test_launchers_start_a_training_that_takes_their_arguments(arguments, monkeypatch, tmp_path):
    from textvae.training.vae import train

    started = []

    def train_vae(recipe, output):
        started.append((recipe.name, recipe.num_processes))
        return {"seconds": 0.0}

    (tmp_path / "training").symlink_to(ROOT / "training")
    (own_recipe,) = [line for block in fenced("sh") for line in block.splitlines() if line.startswith("{")]
    subprocess.run(["bash", "-c", own_recipe], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "train_vae", train_vae)
    entry = next(index for index, word in enumerate(arguments) if word in ("training", "textvae.training.vae.train"))
    assert train.main(arguments[entry + 1 :]) == 0
    assert started == [("two", 2) if "--nproc_per_node" in arguments else ("quickstart", 1)]


def test_make_targets_and_recipes_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[1].split())
    assert {words[0] for words in commands("make")} <= targets
    assert {"run", "test"} <= {words[0] for words in commands("make")}
    assert set(re.findall(r"RECIPE=(\w+)", README)) <= set(shipped_recipes())


def test_the_way_of_a_file_of_ones_own_runs(tmp_path, tiny_model, tiny_tokenizer, tiny_encoder):
    """As it is typed, on a tiny model and with few steps; then the programs, by somebody who has nothing of ours.

    What reads the Hub is run in tests/hub/test_publish.py.
    """
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    save_model(tiny_model, tiny_tokenizer, tmp_path / "runs/quickstart/vae")
    mirror = tmp_path / "mirror"
    body = mirror / "models/sentence-transformers/all-MiniLM-L6-v2"
    torch.manual_seed(0)
    BertModel(BertConfig.from_pretrained(tiny_encoder, max_position_embeddings=128)).save_pretrained(body)
    tiny_tokenizer.save_pretrained(body)
    printed = {"augment": [], "classify": [], "generate": []}
    for arguments in commands("textvae"):
        if (verb := arguments[0]) in printed:
            short = ["2" if before in ("--adapt", "--steps") else word for before, word in pairwise(["", *arguments])]
            done = textvae(short, tmp_path, TEXTVAE_MIRROR=mirror)
            assert done.returncode == 0, done.stderr[-3000:]
            printed[verb].append(done.stdout)
    assert json.loads(printed["augment"][0])["real"] == 78
    real, grown = (json.loads(said) for said in printed["classify"])
    assert real["test_rows"] == grown["test_rows"] == 30
    assert len(printed["generate"][0].splitlines()) == 5

    rows, model = (program for program in fenced("python") if "runs/" in program and "advise" not in program)
    counts = stranger(f"{rows}\nprint(len(rows), len(candidates))", tmp_path).split()
    assert int(counts[0]) == json.loads(printed["augment"][0])["rows"]
    assert int(counts[1]) > int(counts[0]) - 78
    assert int(stranger(f"{model}\nprint(len(grown))", tmp_path)) >= 2


def test_the_program_that_asks_for_advice_fits_it(capsys):
    """Advice itself is asked for in tests/study/test_advise.py."""
    (program,) = [program for program in fenced("python") if "advise" in program]
    found = mock.create_autospec(Advice, instance=True, sentence="do not augment")
    with mock.patch.object(package, "advise", mock.create_autospec(package.advise, return_value=found)):
        exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out == "do not augment\n"


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
