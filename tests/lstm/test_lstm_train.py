"""An LSTM's training: interruptions leave no trace, the best weights are kept, the clock tells steps from the rest."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification
from textvae.training.common.errors import UserError
from textvae.training.lstm import callbacks
from textvae.training.lstm import train as lstm_train
from textvae.training.lstm.data import load_tokenizer
from textvae.training.lstm.recipe import load_lstm_recipe
from textvae.training.lstm.run import run_lstm


def test_the_best_weights_are_kept(finished):
    _, folder = finished
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = json.loads((folder / "evaluation.json").read_text())
    best = min(rows, key=lambda row: row["validation_scaled_loss"])
    assert found["best_step"] == best["step"]
    assert found["validation"]["loss"] == pytest.approx(best["validation_scaled_loss"], rel=1e-4)
    assert found["validation"]["loss_unscaled"] == pytest.approx(best["validation_loss"], rel=1e-4)
    assert found["validation"]["loss"] <= found["validation"]["loss_unscaled"]


def same_weights(*folders):
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in folders)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("side", ["left", "right"])
def test_of_a_long_review_the_recipe_says_which_end_is_read(write_recipe, tmp_path, side):
    recipe = load_lstm_recipe(write_recipe(tmp_path, truncation_side=side, max_length=6))
    tokenizer = load_tokenizer(recipe)[0]
    whole, read = (tokenizer("a good film is a dull story", truncation=cut)["input_ids"] for cut in (False, True))
    assert len(read) == 6
    assert read[1:-1] == (whole[-5:-1] if side == "left" else whole[1:5])
    assert whole[-5:-1] != whole[1:5]


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
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(callbacks.time, "process_time", lambda: 2 * now[0])
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


@pytest.mark.parametrize("what", ["pre-training", "training"])
def test_a_training_that_diverges_is_an_error_that_leaves_no_model(write_recipe, tmp_path, monkeypatch, what):
    recipe = write_recipe(tmp_path, learning_rate=3e38, pretraining_epochs=float(what == "pre-training"))
    with pytest.raises(UserError, match=rf"'lstm_tiny': the loss of the {what} is no longer finite at step \d+; lower"):
        run_lstm(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    assert "NaN" not in "".join(path.read_text() for path in (tmp_path / "run").glob("*.json*"))


def test_without_patience_the_last_weights_count(write_recipe, tmp_path):
    folder = run_lstm(write_recipe(tmp_path, patience=0, temperature_scaling=False, epochs=1), tmp_path / "run")
    found = json.loads((folder / "evaluation.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert found["best_step"] == found["steps"] == rows[-1]["step"]
    assert found["validation"]["loss"] == pytest.approx(rows[-1]["validation_loss"], rel=1e-4)
    assert found["temperature"] == 1
    model = LstmForSequenceClassification.from_pretrained(folder / "model")
    assert model.config.id2label == {0: "neg", 1: "pos"}
