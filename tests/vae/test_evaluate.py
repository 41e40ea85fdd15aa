"""`evaluate-vae` through its command, and its own arithmetic."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from html import escape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from textvae.modeling_textvae.generation import encode_texts
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.posterior import Posterior
from textvae.training.common.files import file_digest, fingerprint, read_json, write_json
from textvae.training.common.recipe import EvaluationRecipe, Recipe, VaeRecipe
from textvae.training.common.recipe_files import load_recipe
from textvae.training.vae import evaluate as evaluating
from textvae.training.vae.class_measures import _class_figures
from textvae.training.vae.evaluate import (
    Read,
    _class_inputs,
    _latent_inputs,
    _sample_inputs,
    evaluate_vae,
    what_is_read,
)
from textvae.training.vae.latent_measures import perplexity_ratio
from textvae.training.vae.likelihood import Likelihoods
from textvae.training.vae.sample_measures import variety
from textvae.training.vae.samples import neighbours
from textvae.training.vae.yardsticks import train_yardsticks

CHECKOUT = Path(__file__).parents[2]
ASKED_FOR = {
    "profile", "encoder", "bleu_reconstruction", "neighbour_bleu", "neighbour_cosine", "neighbour_perplexity_ratio",
    "unseen_word_excess", "elbo_ratio", "iw_ppl", "lm_ppl", "ppl_ratio", "kl", "mutual_information",
    "active_units_share_0.01", "active_units_share_0.2", "sample_perplexity_ratio", "distinct_2_ratio", "unique_share",
    "unk_share", "memorisation_excess", "class_mauve_share", "auditor_fidelity_ratio", "train_minutes", "hardware",
    "measured_on", "weights", "reverse_ppl_ratio", "mauve_ratio", "kl_standard_error", "neg_elbo_standard_error",
    "elbo_ratio_standard_error", "bleu_reconstruction_standard_error", "neighbour_bleu_standard_error",
}  # fmt: skip


def evaluate(mirror, cwd, recipe="smoke"):
    variables = {
        **os.environ, "TEXTVAE_MIRROR": str(mirror), "HF_HUB_OFFLINE": "1", "TEXTVAE_PROGRESS": "0",
        "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TEXTVAE_CACHE": str(cwd / "cache"),
    }  # fmt: skip
    command = [sys.executable, "-m", "textvae", "evaluate-vae", recipe]
    return subprocess.run(command, env=variables, cwd=cwd, capture_output=True, text=True, timeout=240)


def test_the_command_trains_what_is_missing_measures_and_is_not_done_twice(smoke_mirror, tmp_path):
    done = evaluate(smoke_mirror, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    place = tmp_path / done.stdout.strip()
    figures = json.loads(place.read_text())
    assert set(figures) >= ASKED_FOR
    numbers = {name: value for name, value in figures.items() if isinstance(value, float)}
    assert all(math.isfinite(value) for value in numbers.values())
    assert figures["weights"] == f"sha256:{file_digest(tmp_path / 'runs/smoke/vae/model.safetensors')}"
    assert figures["neg_elbo"] == pytest.approx(figures["nll"] + figures["kl"], abs=1e-3)
    assert figures["elbo_ratio"] == pytest.approx(figures["neg_elbo"] / figures["lm_nll"], abs=1e-3)
    assert figures["iw_nll"] <= figures["neg_elbo"]
    assert 0 <= figures["bleu_reconstruction"] <= 100
    assert 0 < figures["elbo_ratio_standard_error"] < figures["elbo_ratio"]
    named = {source["id"] for source in figures["sources"]}
    assert {"hf-internal-testing/tiny-random-BertModel", "hf-internal-testing/tiny-random-gpt2"} <= named
    page = json.loads((place.parent / "page.json").read_text())
    assert len(page["samples"]["vae"]) == len(page["samples"]["baseline"]) == 20
    shown = (place.parent / "evaluation.html").read_text()
    for text in (*page["samples"]["vae"], page["reconstructions"][0][0]):
        assert escape(text, quote=False).replace('"', "&#34;").replace("'", "&#39;") in shown
    assert shown.count("<svg") == len(list((place.parent / "plots").glob("*.svg"))) == 3
    assert page["rate_distortion"]["points"][0]["beta"] == 0.1
    model = TextVAEModel.from_pretrained(tmp_path / "runs/smoke/vae")
    assert model.load_prior("classes").num_classes == 2
    assert model.load_prior("sentences").facts["label_budget"] == 0
    assert len(list((tmp_path / "cache/features").glob("*.safetensors"))) == 2  # of training and test texts
    written = place.stat().st_mtime_ns
    again = evaluate(smoke_mirror, tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "evaluation: reused" in again.stderr
    assert place.stat().st_mtime_ns == written
    # How classes are chosen reaches what is measured of classes alone.
    text = (CHECKOUT / "training/recipes/smoke.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("evaluation:\n", "evaluation:\n  class_sharpness: 4.0\n", 1))
    parts = {path: path.stat().st_mtime_ns for path in (place.parent / "parts").glob("*/*.json")}
    other = evaluate(smoke_mirror, tmp_path, "other.yaml")
    assert other.returncode == 0, other.stderr[-3000:]
    assert {path.stem for path, before in parts.items() if path.stat().st_mtime_ns != before} == {"classes", "drawn"}
    assert place.stat().st_mtime_ns > written


def test_how_posteriors_are_refined_reaches_samples_of_a_fitted_prior_alone():
    vae = VaeRecipe()
    refined = replace(vae, refinement_steps=9, refinement_slope=0.5)
    for components, same in ((0, True), (3, False)):
        inputs = [
            _sample_inputs(
                Recipe("name", vae=settings, evaluation=EvaluationRecipe(prior_components=components)),
                Read("texts", "similarity", "perplexity", "feature", "float32"),
            )
            for settings in (vae, refined)
        ]
        assert (inputs[0] == inputs[1]) is same


@pytest.fixture
def mirror(smoke_mirror, tmp_path, monkeypatch):
    """A mirror that may be changed."""
    folder = shutil.copytree(smoke_mirror, tmp_path / "mirror")
    monkeypatch.setenv("TEXTVAE_MIRROR", str(folder))
    return folder


def change_a_test_text(mirror):
    path = mirror / "datasets/cornell-movie-review-data/rotten_tomatoes/test.parquet"
    rows = pd.read_parquet(path)
    rows.loc[0, "text"] = "the cast is another one."
    rows.to_parquet(path)


def test_what_is_kept_depends_on_the_texts_on_who_measures_and_on_the_precision(mirror):
    recipe, model = load_recipe("smoke"), Path("a model")

    def kept(dtype="float32"):
        read = what_is_read(recipe, dtype)
        return {
            "latents": fingerprint(*_latent_inputs(recipe, read, model, model)),
            "samples": fingerprint(*_sample_inputs(recipe, read, model, model, model)),
            "classes": fingerprint(*_class_inputs(recipe, read, model)),
        }

    def changed(after):
        return {part for part in before if before[part] != after[part]}

    before = kept()
    assert changed(kept()) == set()
    assert changed(kept("bfloat16")) == {"latents", "samples", "classes"}
    for name, reached in (
        ("tiny-random-gpt2", {"latents", "samples"}),  # finds how fluent texts are
        ("tiny-random-BertModel", {"latents", "samples", "classes"}),  # the other two bodies
    ):
        weights = mirror / "models/hf-internal-testing" / name / "model.safetensors"
        weights.write_bytes(weights.read_bytes() + b" ")
        assert changed(kept()) == reached
        before = kept()
    change_a_test_text(mirror)
    assert changed(kept()) == {"latents", "samples", "classes"}


def test_figures_of_other_texts_are_stale_and_the_precision_is_the_runs(mirror, tmp_path, monkeypatch):
    folder, measured, precisions = tmp_path / "run", [], []

    def trained(recipe, output):
        output.mkdir(parents=True, exist_ok=True)
        (output / "model.safetensors").write_text("weights")
        return {"sources": [], "seconds": 1.0, "hardware": {}}

    def yardsticks(recipe, output, dtype):
        precisions.append(dtype)
        return output / "language_model", output / "sentence_vae"

    def measure(evaluation):
        measured.append(1)
        return dict.fromkeys(("bleu_reconstruction", "kl", "neighbour_bleu", "elbo_ratio"), 1.0), {}

    for name, instead in (
        ("train_vae", trained), ("train_yardsticks", yardsticks), ("Evaluation", lambda *_: None),
        ("LATENT_MEASURES", (measure,)), ("SAMPLE_MEASURES", ()), ("CLASS_MEASURES", ()),
        ("write_report", lambda *_: "a page"),
    ):  # fmt: skip
        monkeypatch.setattr(evaluating, name, instead)
    known = {"asked": "auto", "dtype": "bfloat16", "reason": "it was measured", "speedup": 2.0}
    write_json(folder / "run.json", {"sources": [], "stages": {}, "precision": known})
    recipe = replace(load_recipe("smoke"), precision="auto")
    for change, times in ((lambda _: None, 1), (lambda _: None, 1), (change_a_test_text, 2)):
        change(mirror)
        evaluate_vae(recipe, folder)
        assert len(measured) == times
    assert set(precisions) == {torch.bfloat16}
    assert read_json(folder / "evaluation/evaluation.json")["precision"] == "bfloat16"


def test_yardsticks_are_trained_by_one_process_and_scored_again_in_another_precision(mirror, tmp_path):
    recipe = load_recipe("smoke")
    short = {"language_model_word_dropout": (0.0,), "language_model_steps": 2, "baseline_steps": 2}
    recipe = replace(recipe, num_processes=2, evaluation=replace(recipe.evaluation, **short))
    language_model, baseline = train_yardsticks(recipe, tmp_path, torch.float32)
    assert (baseline / "training.json").exists()
    before = read_json(language_model / "validation.json")
    train_yardsticks(recipe, tmp_path, torch.float32)
    assert read_json(language_model / "validation.json") == before
    train_yardsticks(recipe, tmp_path, torch.bfloat16)
    assert read_json(language_model / "validation.json")["made_from"] != before["made_from"]


def test_texts_without_labels_are_refused_before_anything_is_trained(smoke_mirror, tmp_path):
    text = (CHECKOUT / "training/recipes/smoke.yaml").read_text()
    (tmp_path / "bare.csv").write_text("text\na fine film.\na dull film.\n")
    line = next(line for line in text.splitlines() if line.startswith("  texts:"))
    (tmp_path / "bare.yaml").write_text(text.replace(line, f"  texts: {tmp_path / 'bare.csv'}", 1))
    done = evaluate(smoke_mirror, tmp_path, "bare.yaml")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("bare.csv: has no labels, which the class figures need")
    assert not list((tmp_path / "runs").rglob("config.json"))


def test_samples_longer_than_all_real_text_are_compared_at_its_length(tiny_tokenizer):
    evaluation = SimpleNamespace(
        vae=SimpleNamespace(tokenizer=tiny_tokenizer),
        sentences=SimpleNamespace(validation=["a dull film."], num_main=1),
        real=["a moving film."],  # with the other two 12 tokens, of whose 9 pairs 5 differ
        training=["a dull film.", "not of the main texts"],
        samples={
            "vae": ["a film. a film. a film. a film.", "the cast is good"]
        },  # of the first 12 tokens 11 pairs, 3 differ
        above_real=lambda *_: None,
    )
    figures, _ = variety(evaluation)
    assert figures["distinct_2_ratio"] == pytest.approx((3 / 11) / (5 / 9))
    assert figures["words_per_sample"] == 8.0
    evaluation.samples = {"vae": ["a film."]}
    assert variety(evaluation)[0]["distinct_2_ratio"] == 1.0


def likelihoods(tokens, nats):
    tokens, nats = torch.tensor(tokens), torch.tensor(nats).double()
    empty = torch.zeros(len(tokens), 0)
    return Likelihoods(Posterior(empty, empty), empty, tokens, nats, nats, 0 * nats, nats)


def test_perplexities_compare_by_hand():
    # 12 nats more over 24 tokens: exp(1/2). Residuals of the texts: 2 − 2, 10 − 10; then 4 − 2 and 8 − 10.
    ratio, error = perplexity_ratio(likelihoods([4, 20], [12.0, 30.0]), likelihoods([4, 20], [10.0, 20.0]))
    assert (ratio, error) == (pytest.approx(math.exp(0.5)), pytest.approx(0.0))
    ratio, error = perplexity_ratio(likelihoods([4, 20], [14.0, 28.0]), likelihoods([4, 20], [10.0, 20.0]))
    assert ratio == pytest.approx(math.exp(0.5))
    assert error == pytest.approx(math.exp(0.5) * math.sqrt(8) * math.sqrt(2) / 24)


def test_class_figures_by_hand():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    real = rng.normal(size=(400, 8)) + 6 * labels[:, None]
    same = rng.normal(size=(400, 8)) + 6 * labels[:, None]
    # Every fourth draw is of the other class: three quarters are right, half of the way from chance to all.
    wrong = np.where(np.arange(400) % 8 < 2, 1 - labels, labels)
    drawn = rng.normal(size=(400, 8)) + 6 * wrong[:, None]
    figures, matrix = _class_figures([drawn, drawn], labels, real, labels, same, labels)
    assert figures["auditor_accuracy_test"] == 100.0
    assert figures["auditor_accuracy_samples"] == 75.0
    assert figures["auditor_fidelity_ratio"] == 0.5
    assert figures["class_mauve_share"] == pytest.approx(
        figures["class_mauve_ratio"] / figures["class_mauve_ratio_real"]
    )
    assert figures["class_mauve_share"] < 1 < figures["class_mauve_ratio"]
    assert matrix[0][0] > matrix[0][1]
    assert matrix[1][1] > matrix[1][0]


def test_neighbours_are_measured_as_a_model_gives_them(tiny_model, tiny_tokenizer, sentences):
    texts = sentences * 4
    posterior = encode_texts(tiny_model, texts, tiny_tokenizer)
    measured = neighbours(tiny_model, tiny_tokenizer, posterior, 1.0, EvaluationRecipe(), seed=0)
    given = tiny_model.neighbours(
        texts, tiny_tokenizer, temperature=1.0, num=1, generator=torch.Generator().manual_seed(0)
    )
    assert measured == [row[0] for row in given]
