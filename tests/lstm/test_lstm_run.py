"""An LSTM's run from rows to report: what it writes and what it reuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from transformers import AutoTokenizer

from textvae.training.common import precision
from textvae.training.common.errors import UserError
from textvae.training.common.intervals import wilson_interval
from textvae.training.lstm import run as lstm_run
from textvae.training.lstm.data import load_parts
from textvae.training.lstm.recipe import load_lstm_recipe
from textvae.training.lstm.report import Classifier, flat
from textvae.training.lstm.run import run_lstm


def test_it_learns_and_writes_what_it_says(finished):
    _, folder = finished
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["test"]["accuracy"] > 0.9
    assert found["test"]["rows"] == 60
    assert found["tricky"]["reviews"] == 210
    assert found["tokens"] > 0
    assert not (folder / "checkpoints").exists()
    assert "test rows" in (folder / "report.html").read_text()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert 3 <= len(rows) <= 6
    assert rows[0]["epoch"] == pytest.approx(rows[0]["step"] * 8 / 216, abs=0.06)
    assert set(rows[0]) == {
        "step", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_scaled_loss",
        "validation_accuracy",
    }  # fmt: skip


def test_the_saved_model_gives_the_kept_predictions_in_a_fresh_process(finished, reviews):
    _, folder = finished
    text = pd.read_parquet(reviews / "test.parquet")["text"][0]
    script = f"""
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained({str(folder / "model")!r}, trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained({str(folder / "model")!r}, trust_remote_code=True)
print(model(**tokenizer({text!r}, return_tensors="pt", truncation=True)).logits.softmax(-1).tolist())
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    expected = np.load(folder / "evaluation.npy")[0]
    np.testing.assert_allclose(json.loads(result.stdout)[0], expected, atol=1e-5)


def test_a_model_of_another_vocabulary_scores_nothing(finished, tmp_path):
    recipe, folder = finished
    run = shutil.copytree(folder, tmp_path / "run")
    config = run / "model" / "config.json"
    known = json.loads(config.read_text())
    config.write_text(json.dumps(known | {"vocabulary_digest": "0" * 16}))
    (run / "validation.npy").unlink()
    with pytest.raises(UserError, match=r"run/model: the tokenizer is of another vocabulary .*delete the folder"):
        run_lstm(recipe, run)
    config.write_text(json.dumps(known | {"vocabulary_digest": None}))  # as models of older versions are
    run_lstm(recipe, run)
    assert np.array_equal(np.load(run / "validation.npy"), np.load(folder / "validation.npy"))


def test_a_second_run_trains_nothing(finished, monkeypatch):
    recipe, folder = finished
    monkeypatch.setattr(lstm_run, "train_lstm", None)
    before = (folder / "evaluation.json").stat().st_mtime_ns
    run_lstm(recipe, folder)
    assert (folder / "evaluation.json").stat().st_mtime_ns == before


def test_precision_is_timed_on_an_lstm(write_recipe, tmp_path, monkeypatch):
    def choose(asked, layer):
        raise InterruptedError(f"{asked}, {layer}")

    monkeypatch.setattr(precision, "choose", choose)
    with pytest.raises(InterruptedError, match="auto, LSTM"):
        run_lstm(write_recipe(tmp_path, precision="auto"), tmp_path / "run")


def test_a_comparison_runs_members_trials_and_rivals(write_recipe, tmp_path, tiny_encoder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    member = write_recipe(tmp_path, epochs=1)
    comparison = tmp_path / "lstm_both.yaml"
    fields = {
        "members": {
            "whole": {"recipe": str(member)},
            "no_pairs": {"recipe": str(member), "changes": {"bigram_buckets": 0}},
        },
        "rivals": True,
        "body": str(tiny_encoder),
        "body_tokens": 32,
        "test": True,
        "reported": {"whole, elsewhere": {"accuracy": 86.25, "loss": 0.485}},
        "reported_note": "That of < 9 layers.",
    }  # fmt: skip
    comparison.write_text(yaml.safe_dump(fields))
    folder = run_lstm(comparison)
    assert (tmp_path / "runs" / "lstm_tiny" / "model").is_dir()
    assert (folder / "no_pairs" / "model").is_dir()
    figures = json.loads((folder / "evaluation.json").read_text())
    assert figures["parameters_whole"] - figures["parameters_no_pairs"] > 50 * 4
    assert {name.rpartition("_")[2] for name in figures if name.startswith("accuracy_")} == {
        "whole", "pairs", "tfidf", "probe", "bert",
    }  # fmt: skip
    assert 0 <= figures["tricky_pairs_tfidf"] <= 100
    text = (folder / "report.html").read_text()
    assert "TF-IDF" in text
    assert "LSTMs" in text
    assert "86.25" in text
    assert "whole, elsewhere: figures of others" in text
    assert "not measured here. That of &lt; 9 layers.</p>" in text
    tricky = json.loads((tmp_path / "runs" / "lstm_tiny" / "evaluation.json").read_text())["tricky"]["categories"]
    for scores in tricky.values():
        assert f"{100 * scores['accuracy']:.1f} ({100 * scores['confidence']:.0f})" in text
        low, high = wilson_interval(scores["pairs_solved"], scores["pairs"])
        assert f"{100 * scores['pairs_solved']:.1f} ({100 * low:.1f} to {100 * high:.1f})</td>" in text


def test_a_search_scores_validation_rows_alone(write_recipe, reviews, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    comparison = tmp_path / "lstm_search.yaml"
    fields = {
        "members": {"base": {"recipe": str(write_recipe(tmp_path, epochs=1)), "changes": {"epochs": 0.5}}},
        "search": {"trials": 2, "learning_rate": [0.001, 0.1]},
    }
    comparison.write_text(yaml.safe_dump(fields))
    folder = run_lstm(comparison)
    for name in ("base", "trial_01", "trial_02"):
        assert "test" not in json.loads((folder / name / "validation.json").read_text())
        assert not (folder / name / "evaluation.json").exists()
        assert not (folder / name / "evaluation.npy").exists()
    text = (folder / "report.html").read_text()
    assert "validation rows" in text
    scores = json.loads((folder / "base" / "validation.json").read_text())["validation"]
    error = (scores["accuracy"] * (1 - scores["accuracy"]) / scores["rows"]) ** 0.5
    assert f"{100 * scores['accuracy']:.1f} ± {100 * error:.1f}" in text
    assert "flatter" in text
    assert "Beside base" in text
    rate = load_lstm_recipe(folder / "trial_01" / "recipe.yaml").learning_rate
    assert f"<code>learning_rate</code>&nbsp;{rate}</td></tr>" in text
    assert "Of the LSTMs" in text
    labels = load_parts(str(reviews)).validation.labels
    sure = {name: np.load(folder / name / "validation.npy") for name in ("base", "trial_01")}
    right = {name: (one.argmax(axis=1) == labels).mean() for name, one in sure.items()}
    figures = json.loads((folder / "evaluation.json").read_text())
    assert figures["accuracy_difference_trial_01"] == pytest.approx(100 * (right["trial_01"] - right["base"]))


def test_a_comparison_on_validation_rows_leaves_test_figures_as_they_are(finished, tmp_path, monkeypatch):
    recipe, folder = finished
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "runs" / "lstm_tiny")
    before = (folder / "evaluation.json").read_bytes()
    comparison = tmp_path / "lstm_on_validation.yaml"
    comparison.write_text(yaml.safe_dump({"members": {"whole": {"recipe": str(recipe)}}}))
    monkeypatch.setattr(lstm_run, "train_lstm", None)
    told = run_lstm(comparison)
    assert (tmp_path / "runs" / "lstm_tiny" / "evaluation.json").read_bytes() == before
    found = json.loads((told / "evaluation.json").read_text())
    validation = json.loads(before)["validation"]
    assert found["accuracy_whole"] == 100 * validation["accuracy"]
    assert "tricky_accuracy_whole" not in found
    run_lstm(recipe)  # is all there, too
    assert (tmp_path / "runs" / "lstm_tiny" / "evaluation.json").read_bytes() == before


def test_training_reviews_that_are_test_reviews_too_are_left_out(reviews, tmp_path):
    data = tmp_path / "copied"
    shutil.copytree(reviews, data)
    test = pd.read_parquet(data / "test.parquet")
    copies = test[:3].assign(text=test.text[:3].str.upper() + "!")
    pd.concat([pd.read_parquet(data / "train.parquet"), copies]).to_parquet(data / "train.parquet")
    parts, before = load_parts(str(data)), load_parts(str(reviews))
    assert (parts.copies, before.copies) == (3, 0)
    assert parts.train.texts + parts.validation.texts == before.train.texts + before.validation.texts
    assert parts.test.texts == before.test.texts


def test_test_rows_are_counted_by_the_classes_of_the_training_rows(tmp_path):
    def write(split, names, rows):
        labels = [names[number % len(names)] for number in range(rows)]
        texts = [f"{label} {split} {number}" for number, label in enumerate(labels)]
        pd.DataFrame({"text": texts, "label": labels}).to_parquet(tmp_path / f"{split}.parquet")

    write("train", ("film", "food", "sport"), 240)
    write("test", ("sport", "food"), 6)  # in the order of the alphabet food would be 0
    test = load_parts(str(tmp_path)).test
    assert (test.labels, test.label_names) == ([2, 1] * 3, ["film", "food", "sport"])
    write("test", ("sport", "theatre"), 6)
    with pytest.raises(UserError, match="label 'theatre' does not stand in the training rows; they have film, food"):
        load_parts(str(tmp_path))


def test_weights_that_were_damaged_are_one_line(finished, tmp_path):
    recipe, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    weights = tmp_path / "run" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"run/model: .*textvae lstm") as caught:
        run_lstm(recipe, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_padding_token_is_refused(write_recipe, tiny_encoder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.pad_token = None
    shutil.copytree(tiny_encoder, tmp_path / "bare")
    tokenizer.save_pretrained(tmp_path / "bare")
    with pytest.raises(UserError, match=r"bare.*: the tokenizer has no padding token; give one that has"):
        run_lstm(write_recipe(tmp_path, tokenizer=str(tmp_path / "bare")), tmp_path / "run")


def test_classes_that_are_no_verdicts_have_no_tricky_reviews(write_recipe, tmp_path):
    data = tmp_path / "topics"
    data.mkdir()
    for split, rows in (("train", 240), ("test", 60)):
        labels = [("film", "food", "sport")[number % 3] for number in range(rows)]
        texts = [f"{label} is good {split} {number}" for number, label in enumerate(labels)]
        pd.DataFrame({"text": texts, "label": labels}).to_parquet(data / f"{split}.parquet")
    folder = run_lstm(write_recipe(tmp_path, dataset=str(data), epochs=1), tmp_path / "run")
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["tricky"] is None
    assert found["test"]["rows"] == len(np.load(folder / "evaluation.npy")) == 60
    assert "Tricky" not in (folder / "report.html").read_text()
    told = Classifier(found, np.load(folder / "evaluation.npy"), [0] * 60, load_lstm_recipe(folder / "recipe.yaml"), [])
    assert flat({"lstm_tiny": told})["tricky_pairs_lstm_tiny"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 3}, "num_attention_heads"),
        ({"dataset": "nowhere"}, "nowhere"),
        ({"embedding_dropout": 1.0}, r"embedding_dropout.*\[0, 1\)"),
        ({"pooling": "median"}, "pooling.*one of"),
        ({"seed": -1}, "seed.*must lie in 0"),
    ],
)
def test_what_cannot_be_is_one_line(write_recipe, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as error:
        run_lstm(write_recipe(tmp_path, **changes), tmp_path / "run")
    assert "\n" not in str(error.value)
