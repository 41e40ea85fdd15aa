"""An LSTM's run from rows to report: what it writes, what it reuses, and that an interruption leaves no trace."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification
from textvae.training.common.errors import UserError
from textvae.training.lstm import run as lstm_run
from textvae.training.lstm import train as lstm_train
from textvae.training.lstm.run import run_lstm


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_recipe):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("lstm")
    recipe = write_recipe(folder)
    return recipe, run_lstm(recipe, folder / "run")


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
        "step", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
    }  # fmt: skip


def test_the_best_weights_are_kept(finished):
    _, folder = finished
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = json.loads((folder / "evaluation.json").read_text())
    best = min(rows, key=lambda row: row["validation_loss"])
    assert found["best_step"] == best["step"]
    assert found["validation"]["loss_unscaled"] == pytest.approx(best["validation_loss"], rel=1e-4)
    assert found["validation"]["loss"] <= found["validation"]["loss_unscaled"]


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
    expected = np.load(folder / "predictions.npy")[0]
    np.testing.assert_allclose(json.loads(result.stdout)[0], expected, atol=1e-5)


def test_a_second_run_trains_nothing(finished, monkeypatch):
    recipe, folder = finished
    monkeypatch.setattr(lstm_run, "train_lstm", None)
    before = (folder / "evaluation.json").stat().st_mtime_ns
    run_lstm(recipe, folder)
    assert (folder / "evaluation.json").stat().st_mtime_ns == before


def test_an_interrupted_training_ends_with_the_same_weights(finished, tmp_path, monkeypatch):
    recipe, folder = finished
    with monkeypatch.context() as patch:
        went_on = lstm_train.Report.on_step_end

        def interrupted(self, args, state, control, **more):
            went_on(self, args, state, control, **more)
            if state.global_step == 25:
                raise InterruptedError

        patch.setattr(lstm_train.Report, "on_step_end", interrupted)
        with pytest.raises(InterruptedError):
            run_lstm(recipe, tmp_path / "run")
    (kept,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert list(kept.glob("checkpoint-*"))
    torch.rand(3)  # whatever else the process draws
    run_lstm(recipe, tmp_path / "run")
    one, other = (load_file(place / "model" / "model.safetensors") for place in (folder, tmp_path / "run"))
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()


def test_what_a_killed_process_left_of_a_checkpoint_is_no_checkpoint(tmp_path):
    for step, state in ((9, "{}"), (10, '{"torn'), (11, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert lstm_train.last_checkpoint(tmp_path).name == "checkpoint-9"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-9"]


def test_without_patience_the_last_weights_count(write_recipe, tmp_path):
    folder = run_lstm(write_recipe(tmp_path, patience=0, temperature_scaling=False, epochs=1), tmp_path / "run")
    found = json.loads((folder / "evaluation.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert found["best_step"] == found["steps"] == rows[-1]["step"]
    assert found["validation"]["loss"] == pytest.approx(rows[-1]["validation_loss"], rel=1e-4)
    assert found["temperature"] == 1
    model = LstmForSequenceClassification.from_pretrained(folder / "model")
    assert model.config.id2label == {0: "0", 1: "1"}


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


def test_a_search_scores_validation_rows_alone(write_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    comparison = tmp_path / "lstm_search.yaml"
    fields = {
        "members": {"base": {"recipe": str(write_recipe(tmp_path, epochs=1)), "changes": {"epochs": 0.5}}},
        "search": {"trials": 2, "learning_rate": [0.001, 0.1]},
    }
    comparison.write_text(yaml.safe_dump(fields))
    folder = run_lstm(comparison)
    for name in ("base", "trial_01", "trial_02"):
        assert "test" not in json.loads((folder / name / "evaluation.json").read_text())
        assert not (folder / name / "predictions.npy").exists()
    assert "validation rows" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 3}, "num_attention_heads"),
        ({"dataset": "nowhere"}, "nowhere"),
        ({"embedding_dropout": 1.0}, r"embedding_dropout.*\[0, 1\)"),
        ({"pooling": "median"}, "pooling.*one of"),
    ],
)
def test_what_cannot_be_is_one_line(write_recipe, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as error:
        run_lstm(write_recipe(tmp_path, **changes), tmp_path / "run")
    assert "\n" not in str(error.value)
