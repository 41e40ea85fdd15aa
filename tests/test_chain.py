"""The whole chain, from a recipe to a report, in fresh processes."""

from __future__ import annotations

import json

import pandas as pd
import yaml
from processes import textvae

from textvae.training.common.files import read_jsonl
from textvae.training.common.known import WORDNET
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.registry import READING


def a_small_dictionary(cache):
    """Where a fetched WordNet would be."""
    folder = cache / f"{WORDNET.name}-{WORDNET.version}-reading{READING}"
    folder.mkdir(parents=True)
    rows = [("film", ["movie"]), ("movie", ["film"]), ("good", ["fine"]), ("bad", ["poor"])]
    pd.DataFrame(rows, columns=["word", "synonyms"]).to_parquet(folder / "synonyms.parquet", index=False)


def test_a_recipe_becomes_a_report_and_a_second_run_reuses_it(smoke_mirror, tmp_path):
    recipe = load_recipe("smoke").to_dict()
    recipe["classifiers"]["lstm"]["arms"] |= {
        "rules": [24], "self_training": [24], "language_model": [24], "soft": [24], "filtered": [24], "both": [24],
    }  # fmt: skip
    recipe["classifiers"]["lstm"]["other_budgets"] = {4: {"real": [4], "duplicate": [16], "vae": [16]}}
    recipe["classifiers"]["lstm"]["steps"] |= {4: 2}
    recipe["classifiers"]["lstm"]["fewer_subsets"] = {"language_model": 1, "both": 1}
    recipe["variants"] = {
        "soft": {"generators": ["vae"], "soft_labels": True, "synthetic_weight": 0.5},
        "filtered": {"generators": ["vae"], "filters": ["agreement", "perplexity", "novelty", "diversity"]},
        "both": {"generators": ["vae", "language_model"]},
    }
    recipe["augment"] |= {
        "language_model": "hf-internal-testing/tiny-random-gpt2", "language_model_sentences": 96,
        "language_model_steps": 1, "vae_latents": "prior", "bank_sentences": 300, "bank_share": 0.5,
    }  # fmt: skip
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    a_small_dictionary(tmp_path / "cache")
    done = textvae(["run", "smoke.yaml"], tmp_path, TEXTVAE_MIRROR=smoke_mirror)
    assert done.returncode == 0, done.stderr[-4000:]
    folder = tmp_path / "runs/smoke"
    for name in (
        "recipe.yaml", "run.json", "results.jsonl", "report.md", "report.html", "summary.json",
        "vae/config.json", "vae/model.safetensors", "vae/metrics.jsonl",
        "augmented/imdb-vae-aug16/train.parquet", "augmented/imdb-vae-aug24/README.md",
    ):  # fmt: skip
        assert (folder / name).exists(), name
    rows = read_jsonl(folder / "results.jsonl")
    assert len(rows) == 2 + 4 + 3 * 9 + 2 + 3 * 3 + 3 * 5
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
    changed = pd.read_parquet(folder / "augmented/candidates/rules-of8-subset0.parquet")
    assert set(changed["method"]) == {"original", "synonyms", "insertion", "swap", "deletion", "punctuation"}
    assert changed["kept"].sum() == 24
    real = pd.read_parquet(folder / "augmented/candidates/self_training-of8-subset2.parquet")
    assert set(real["method"]) == {"original", "self_training"}
    written = pd.read_parquet(folder / "augmented/candidates/language_model-of8-subset0.parquet")
    assert set(written["method"]) == {"original", "prompted", "continuation", "tuned"}
    sampled = pd.read_parquet(folder / "augmented/candidates/vae-of4-subset2.parquet")
    assert sampled["kept"].sum() == 16
    assert (sampled["method"] == "original").sum() == 4
    judged = pd.read_parquet(folder / "augmented/candidates/vae-of8-subset0.parquet")
    assert judged.loc[judged["reject_reason"].isna(), ["second_confidence", "perplexity"]].notna().all(axis=None)
    assert {(row["budget"], row["size"]) for row in rows if row["arm"] == "vae"} == {(8, 16), (8, 24), (4, 16)}
    analysis = json.loads((folder / "run.json").read_text())["analysis"]
    places = {(row["classifier"], row["arm"], row["size"], row["budget"]) for row in analysis["bootstrap"]}
    assert ("lstm", "soft", 24, 8) in places
    assert ("lstm", "vae", 16, 4) in places
    assert {row["classifier"] for row in analysis["slices"]} == {"lstm", "probe"}
    again = textvae(["run", "smoke.yaml"], tmp_path, TEXTVAE_MIRROR=smoke_mirror)
    assert again.returncode == 0, again.stderr[-4000:]
    assert again.stderr.count("reused") == 5
    assert read_jsonl(folder / "results.jsonl") == rows
