"""An LSTM's run from rows to report: what it writes, what it reuses, and that an interruption leaves no trace."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification
from textvae.training.common import precision
from textvae.training.common.errors import UserError
from textvae.training.common.intervals import wilson_interval
from textvae.training.lstm import run as lstm_run
from textvae.training.lstm import train as lstm_train
from textvae.training.lstm.data import load_parts
from textvae.training.lstm.recipe import load_lstm_recipe
from textvae.training.lstm.report import Classifier, flat
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
        "step", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_scaled_loss",
        "validation_accuracy",
    }  # fmt: skip


def test_the_best_weights_are_kept(finished):
    _, folder = finished
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = json.loads((folder / "evaluation.json").read_text())
    best = min(rows, key=lambda row: row["validation_scaled_loss"])
    assert found["best_step"] == best["step"]
    assert found["validation"]["loss"] == pytest.approx(best["validation_scaled_loss"], rel=1e-4)
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


def same_weights(*folders):
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in folders)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_interrupted_training_ends_with_the_same_weights(finished, write_recipe, tmp_path, monkeypatch):
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
    with pytest.raises(UserError, match=r"checkpoints/\w+: was made by another recipe or of other data; delete it"):
        run_lstm(write_recipe(tmp_path, learning_rate=0.01), tmp_path / "run")
    torch.rand(3)  # whatever else the process draws
    run_lstm(recipe, tmp_path / "run")
    assert same_weights(folder, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()


def test_a_run_that_is_moved_before_it_ends_has_its_best_weights(write_recipe, tmp_path, monkeypatch):
    evaluate = lstm_train.LstmTrainer.evaluate
    recipe = write_recipe(tmp_path, temperature_scaling=False)

    def worse_and_worse(self, *arguments, **options):
        return evaluate(self, *arguments, **options) | {"eval_loss": float(self.state.global_step)}

    def interrupted(self):
        raise InterruptedError

    monkeypatch.setattr(lstm_train.LstmTrainer, "evaluate", worse_and_worse)
    with monkeypatch.context() as patch:
        patch.setattr(lstm_train.LstmTrainer, "_load_best_model", interrupted)
        with pytest.raises(InterruptedError):
            run_lstm(recipe, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    places = (tmp_path / "there" / "checkpoints").glob("*/checkpoint-*")
    best, last = sorted(places, key=lambda path: int(path.name.partition("-")[2]))
    expected = load_file(best / "model.safetensors")
    run_lstm(recipe, tmp_path / "there")
    found = load_file(tmp_path / "there" / "model" / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not last.exists()


def test_a_training_that_ended_early_is_not_gone_on_with(write_recipe, tmp_path, monkeypatch):
    recipe, losses = write_recipe(tmp_path, patience=1), itertools.count()

    def interrupted(self):
        raise InterruptedError

    monkeypatch.setattr(lstm_train, "_figures", lambda _: {"accuracy": 0.5, "scaled_loss": float(next(losses))})
    straight = run_lstm(recipe, tmp_path / "straight")
    assert len((straight / "metrics.jsonl").read_text().splitlines()) == 2
    with monkeypatch.context() as patch:
        patch.setattr(lstm_train.LstmTrainer, "_load_best_model", interrupted)
        with pytest.raises(InterruptedError):
            run_lstm(recipe, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(lstm_train.LstmTrainer, "training_step", None)
        run_lstm(recipe, tmp_path / "run")
    assert same_weights(straight, tmp_path / "run")
    one, other = (json.loads((folder / "evaluation.json").read_text()) for folder in (straight, tmp_path / "run"))
    assert {name: one[name] for name in ("steps", "best_step", "tokens", "test")} == {
        name: other[name] for name in ("steps", "best_step", "tokens", "test")
    }


def test_the_clock_tells_steps_from_evaluations(write_recipe, tmp_path, monkeypatch):
    evaluate = lstm_train.LstmTrainer.evaluate

    now = [0.0]
    monkeypatch.setattr(lstm_train.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(lstm_train.time, "process_time", lambda: 2 * now[0])
    monkeypatch.setattr(lstm_train, "matmul_peak", lambda *_: 1e9)  # its clock is the same

    def step(self, args, state, control, **more):
        now[0] += 1

    def slow(self, *arguments, **options):
        now[0] += 1000
        return evaluate(self, *arguments, **options)

    monkeypatch.setattr(lstm_train.Clock, "on_step_begin", step)
    monkeypatch.setattr(lstm_train.LstmTrainer, "evaluate", slow)
    folder = run_lstm(write_recipe(tmp_path, epochs=0.5, patience=0), tmp_path / "run")
    found = json.loads((folder / "evaluation.json").read_text())
    assert (found["step_seconds"], found["step_cpu_seconds"]) == (found["steps"], 2 * found["steps"])
    assert found["seconds"] == found["steps"] + 1000 * len((folder / "metrics.jsonl").read_text().splitlines())
    assert found["threads"] == torch.get_num_threads()
    assert found["matmul_peak"] == 1e9


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
    assert model.config.id2label == {0: "neg", 1: "pos"}


def test_precision_is_timed_on_an_lstm(write_recipe, tmp_path, monkeypatch):
    def choose(asked, device, layer):
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
