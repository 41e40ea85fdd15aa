"""The whole chain, from a recipe to a report, in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import yaml

from textvae.training.common.files import read_jsonl
from textvae.training.common.known import WORDNET
from textvae.training.common.recipe import load_recipe
from textvae.training.common.registry import READING


def run(arguments, mirror, cwd):
    environment = {
        **os.environ, "TEXTVAE_MIRROR": str(mirror), "HF_HUB_OFFLINE": "1", "TEXTVAE_PROGRESS": "0",
        "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(cwd / "home"),
        "TEXTVAE_CACHE": str(cwd / "cache"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "textvae", *arguments], env=environment, cwd=cwd, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip


def a_small_dictionary(cache):
    """Where a fetched WordNet would be."""
    folder = cache / f"{WORDNET.name}-{WORDNET.version}-reading{READING}"
    folder.mkdir(parents=True)
    rows = [("film", ["movie"]), ("movie", ["film"]), ("good", ["fine"]), ("bad", ["poor"])]
    pd.DataFrame(rows, columns=["word", "synonyms"]).to_parquet(folder / "synonyms.parquet", index=False)


def test_a_recipe_becomes_a_report_and_a_second_run_reuses_it(smoke_mirror, tmp_path):
    recipe = load_recipe("smoke").to_dict()
    recipe["classifiers"]["lstm"]["arms"] |= {"rules": [24], "self_training": [24]}
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    a_small_dictionary(tmp_path / "cache")
    done = run(["run", "smoke.yaml"], smoke_mirror, tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    folder = tmp_path / "runs/smoke"
    for name in (
        "recipe.yaml", "run.json", "results.jsonl", "report.md", "report.html", "summary.json",
        "vae/config.json", "vae/model.safetensors", "vae/metrics.jsonl",
        "augmented/imdb-vae-aug16/train.parquet", "augmented/imdb-vae-aug24/README.md",
    ):  # fmt: skip
        assert (folder / name).exists(), name
    rows = read_jsonl(folder / "results.jsonl")
    assert len(rows) == 2 + 4 + 3 * 7 + 3 * 5
    assert {row["classifier"] for row in rows} == {"gpt2_lora", "bert", "lstm", "probe"}
    for row in rows:
        assert 0 <= row["accuracy"] <= 1
        assert row["cross_entropy"] > 0
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["subsets_lstm"] == 3
    assert summary["lift_bert_vae_24"] is None
    report = (folder / "report.md").read_text()
    assert "lstm" in report
    assert "WordNet" in report
    changed = pd.read_parquet(folder / "augmented/candidates/rules-subset-0.parquet")
    assert set(changed["method"]) == {"original", "synonyms", "insertion", "swap", "deletion", "punctuation"}
    assert changed["kept"].sum() == 24
    real = pd.read_parquet(folder / "augmented/candidates/self_training-subset-2.parquet")
    assert set(real["method"]) == {"original", "self_training"}
    again = run(["run", "smoke.yaml"], smoke_mirror, tmp_path)
    assert again.returncode == 0, again.stderr[-4000:]
    assert again.stderr.count("reused") == 4
    assert read_jsonl(folder / "results.jsonl") == rows
