"""Whatever a stranger's file or recipe has wrong: one line that names it, exit code 2, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from textvae import cli

GOOD = "text,label\na fine film,good\na dull film,bad\n"

TABLES = {
    "missing file": (None, ["data.csv"]),
    "empty file": (b"", ["data.csv", "empty"]),
    "a folder": ("folder", ["data.csv", "folder"]),
    "binary": (bytes(range(256)) * 20, ["data.csv"]),
    "missing column": (b"body,label\nfine,good\n", ["data.csv", "'text'", "body"]),
    "empty text": (b"text,label\nfine,good\n,bad\n", ["data.csv", "row 2", "text"]),
    "blank text": (b'text,label\nfine,good\n"  ",bad\n', ["data.csv", "row 2", "text"]),
    "missing label": (b"text,label\nfine,good\ndull,\n", ["data.csv", "row 2", "label"]),
    "one class only": (b"text,label\nfine,good\ngreat,good\n", ["data.csv", "class"]),
    "not UTF-8": ("text,label\ncafé,good\ndull,bad\n".encode("latin-1"), ["data.csv", "UTF-8"]),
    "unclosed quote": (b'text,label\nfine,good\n"dull,bad\n', ["data.csv", "quote"]),
    "text over the limit": (b"text,label\nfine,good\n" + b"a " * 600_000 + b",bad\n", ["data.csv", "line 3", "MB"]),
}

LINES = {
    "a number for a text": ('{"text": 7, "label": "good"}\n{"text": "dull", "label": "bad"}\n', ["row 1", "text"]),
    "null for a text": ('{"text": "fine", "label": "a"}\n{"text": null, "label": "b"}\n', ["row 2", "text"]),
    "NaN for a text": ('{"text": "fine", "label": "a"}\n{"text": NaN, "label": "b"}\n', ["row 2", "text"]),
    "half a surrogate pair": ('{"text": "\\ud83d", "label": "a"}\n{"text": "dull", "label": "b"}\n', ["row 1", "text"]),
}

RECIPES = {
    "unknown key": ("vae:\n  latent_sise: 12\n", ["vae.latent_sise", "latent_size"]),
    "wrong type": ("vae:\n  steps: many\n", ["vae.steps", "whole number", "many"]),
    "not a mapping": ("- vae\n", ["mapping"]),
    "not YAML": ("vae: [\n", ["not valid YAML"]),
    "impossible value": ("vae:\n  latent_size: 10\n  latent_chunks: 4\n", ["vae.latent_size", "multiple"]),
    "an arm that adds nothing": (
        "classifiers: {probe: {model: org/m, arms: {vae: [100]}}}\n",
        ["classifiers.probe.arms.vae", "100", "larger"],
    ),
}


@pytest.fixture
def model(tiny_model, tiny_tokenizer, tmp_path):
    tiny_model.save_pretrained(tmp_path / "vae")
    tiny_tokenizer.save_pretrained(tmp_path / "vae")
    return str(tmp_path / "vae")


def refuse(arguments, capsys, named):
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if "error:" in line]
    assert len(errors) == 1, told.err
    assert "Traceback" not in told.err
    for word in named:
        assert word in errors[0], errors[0]
    assert told.out == ""


def augment(model, tmp_path, name):
    return ["augment", "--input", str(tmp_path / name), "--target-size", "4", "--model", model,
            "--output", str(tmp_path / "out")]  # fmt: skip


@pytest.mark.parametrize("wrong", TABLES)
def test_tables(wrong, model, tmp_path, capsys):
    content, named = TABLES[wrong]
    if content == "folder":
        (tmp_path / "data.csv").mkdir()
    elif content is not None:
        (tmp_path / "data.csv").write_bytes(content)
    refuse(augment(model, tmp_path, "data.csv"), capsys, named)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", LINES)
def test_lines_of_json(wrong, model, tmp_path, capsys):
    content, named = LINES[wrong]
    (tmp_path / "data.jsonl").write_text(content, encoding="utf-8")
    refuse(augment(model, tmp_path, "data.jsonl"), capsys, ["data.jsonl", *named])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", RECIPES)
def test_recipes(wrong, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, named = RECIPES[wrong]
    (tmp_path / "mine.yaml").write_text(content, encoding="utf-8")
    refuse(["run", "mine.yaml"], capsys, ["mine.yaml", *named])
    assert not (tmp_path / "runs").exists()


def test_fewer_rows_than_the_budget(smoke_mirror, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTVAE_MIRROR", str(smoke_mirror))
    (tmp_path / "mine.yaml").write_text(
        "vae: {encoder: hf-internal-testing/tiny-random-BertModel}\n"
        "augment: {sizes: [6000], perplexity_model: null}\nstudy: {budget: 5000}\n"
        "classifiers: {probe: {model: hf-internal-testing/tiny-random-BertModel, arms: {real: [5000]}, subsets: 1}}\n",
        encoding="utf-8",
    )
    refuse(["run", "mine.yaml"], capsys, ["budget"])


def test_fewer_rows_of_a_class_than_advise_has_folds(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(GOOD + "a slow film,bad\n", encoding="utf-8")
    asked = ["advise", "--input", "mine.csv", "--model", model]
    refuse(asked, capsys, ["mine.csv: class 'bad' has 2 rows, fewer than the 5 folds"])
    assert not (tmp_path / "runs").exists()


def test_where_no_model_is_named_and_none_was_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(GOOD, encoding="utf-8")
    for verb in (["advise", "--input", "mine.csv"], ["generate"]):
        refuse(
            verb, capsys, ["--model: no VAE stands in runs/quickstart/vae; `textvae train-vae quickstart` makes one"]
        )


def test_a_disk_that_fills_up_leaves_nothing_half_written(model, tmp_path):
    (tmp_path / "data.csv").write_text(GOOD * 1 + "a bad film,bad\n", encoding="utf-8")
    script = (
        "import resource, sys; from textvae import cli; "
        "import textvae.training.augment.files; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY)); sys.exit(cli.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, *augment(model, tmp_path, "data.csv")],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr[-2000:]
    last = done.stderr.strip().splitlines()[-1]
    assert "cannot be written" in last
    assert "disk is full" in last
    # What another try goes on from is there, of what was whole.
    assert {item.name for item in tmp_path.iterdir()} - {"cache"} == {"vae", "data.csv", ".out-parts"}
    assert {item.name for item in (tmp_path / ".out-parts").iterdir()} == {"made_from", "precision.json"}
