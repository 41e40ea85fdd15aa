"""Training: the same bits after an interruption, and nothing done twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from processes import python

from textvae.training.common.errors import UserError
from textvae.training.common.files import read_json, read_jsonl
from textvae.training.common.recipe_files import load_sister_recipe
from textvae.training.common.run_folder import RunFolder
from textvae.training.digits import loop as loop_module
from textvae.training.digits.classifier import train_judge
from textvae.training.digits.data import load_digits
from textvae.training.digits.loop import Loop, Schedule, keyed
from textvae.training.digits.recipe import DigitsRecipe
from textvae.training.digits.train import load_model, main, train_models

NAMES = ("points", "flat", "vae", "denoising")


def run(recipe_file: str, folder: Path, *stages) -> RunFolder:
    recipe = load_sister_recipe(DigitsRecipe, recipe_file)
    run = RunFolder(folder, recipe)
    digits = load_digits(recipe.dataset, recipe.validation_images)
    for stage in stages or (train_models,):
        stage(run, recipe, digits)
    return run


def weights(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("model.safetensors")}


def metrics(path: Path) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_jsonl(path)]


@pytest.fixture
def interrupted(monkeypatch):
    """A training is killed between an epoch's line in metrics.jsonl and its checkpoint."""

    def interrupt(epoch: int) -> None:
        save, count = loop_module.save_checkpoint, iter(range(1, 100))

        def once(*arguments):
            if next(count) == epoch:
                raise KeyboardInterrupt
            save(*arguments)

        monkeypatch.setattr(loop_module, "save_checkpoint", once)

    return interrupt


def test_every_model_is_trained_and_reused(recipe_file, tmp_path, capsys):
    path = recipe_file()
    first = run(path, tmp_path / "run")
    for name in NAMES:
        folder = tmp_path / "run" / name
        assert {item.name for item in folder.iterdir()} == {"model", "metrics.jsonl", "training.json"}
        rows = read_jsonl(folder / "metrics.jsonl")
        assert [row["epoch"] for row in rows] == [1, 2]
        assert rows[1]["train_loss"] < rows[0]["train_loss"]
        facts = read_json(folder / "training.json")
        assert facts["validation_loss"] == min(row["validation_loss"] for row in rows)
        model = load_model(folder)
        assert facts["parameters"] == sum(parameter.numel() for parameter in model.parameters())
        assert (model.config.image_size, model.config.digit_share) == (8, 1.0)  # noise counts as ink
    assert load_model(tmp_path / "run" / "points").config.prior_components == 3
    assert "validation_kl" in read_jsonl(tmp_path / "run" / "vae" / "metrics.jsonl")[0]
    before, finished = weights(tmp_path / "run"), first.info["stages"]
    capsys.readouterr()
    assert run(path, tmp_path / "run").info["stages"] == finished
    assert capsys.readouterr().err.count("reused") == 2 * len(NAMES)
    assert weights(tmp_path / "run") == before


def test_another_mixture_costs_no_training(recipe_file, tmp_path, monkeypatch):
    path = Path(recipe_file(only=True))
    run(str(path), tmp_path / "run")
    before = load_model(tmp_path / "run" / "points")
    monkeypatch.setattr(Loop, "run", lambda *_: pytest.fail("trained again"))
    path.write_text(path.read_text().replace("prior_components: 3", "prior_components: 5"))
    run(str(path), tmp_path / "run")
    after = load_model(tmp_path / "run" / "points")
    assert (before.config.prior_components, after.config.prior_components) == (3, 5)
    for name, parameter in before.named_parameters():
        assert torch.equal(parameter, after.get_parameter(name))
    path.write_text(path.read_text().replace("prior_components: 5", "prior_components: 400"))
    with pytest.raises(UserError, match=r"'prior_components' is 400, there are 300 training images"):
        run(str(path), tmp_path / "run")


@pytest.mark.parametrize("epoch", [2, 4, 6])
def test_an_interrupted_training_ends_with_the_same_bits(
    recipe_file, tmp_path, interrupted, monkeypatch, capsys, epoch
):
    """In the second epoch of the first model, of the second, and of the third, which is variational."""
    path = recipe_file()
    run(path, tmp_path / "whole")
    with monkeypatch.context():
        interrupted(epoch)
        with pytest.raises(KeyboardInterrupt):
            run(path, tmp_path / "run")
    monkeypatch.undo()
    torch.manual_seed(123)  # nothing may depend on where the global generator stands
    capsys.readouterr()
    run(path, tmp_path / "run")
    assert "going on after epoch" in capsys.readouterr().err
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    for name in NAMES:
        one, other = (metrics(tmp_path / folder / name / "metrics.jsonl") for folder in ("whole", "run"))
        assert one == other


def test_an_interrupted_judge_ends_with_the_same_bits(recipe_file, tmp_path, interrupted, monkeypatch):
    path = recipe_file()
    run(path, tmp_path / "whole", train_judge)
    interrupted(3)
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "run", train_judge)
    monkeypatch.undo()
    torch.manual_seed(123)
    run(path, tmp_path / "run", train_judge)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    judge = read_json(tmp_path / "run" / "judge" / "judge.json")
    assert judge["seed"] == 0
    assert judge["validation_accuracy"] > 0.9


def test_a_checkpoint_of_another_recipe_is_refused(recipe_file, tmp_path, interrupted, monkeypatch):
    interrupted(2)
    with pytest.raises(KeyboardInterrupt):
        run(recipe_file(only=True), tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"was made by another recipe.*; delete .*checkpoints to train anew"):
        run(recipe_file(only=True, learning_rate="0.002"), tmp_path / "run")
    run(recipe_file(only=True), tmp_path / "run")


def test_a_damaged_checkpoint_is_named(recipe_file, tmp_path, interrupted, monkeypatch):
    interrupted(2)
    with pytest.raises(KeyboardInterrupt):
        run(recipe_file(only=True), tmp_path / "run")
    monkeypatch.undo()
    (place,) = (tmp_path / "run" / "points" / "checkpoints").glob("step-*")
    (place / "pytorch_model.bin").write_bytes(b"half")
    with pytest.raises(UserError, match=r"step-0000\d\d: cannot be read.*delete it and run again"):
        run(recipe_file(only=True), tmp_path / "run")
    shutil.rmtree(place)
    run(recipe_file(only=True), tmp_path / "run")


def test_a_seed_means_the_same_bits_and_another_one_others(recipe_file, tmp_path):
    for folder, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        run(recipe_file(only=True, seed=seed), tmp_path / folder)
    one, two, three = (weights(tmp_path / folder) for folder in ("one", "two", "three"))
    assert one == two != three


def test_a_loss_that_is_not_finite_is_named(tmp_path):
    layer = torch.nn.Linear(1, 1)
    loop = Loop(
        "toy", layer, lambda model, rows, _: model(torch.ones(len(rows), 1)).mean() * float("inf"),
        lambda _: {"loss": 1.0}, 4, Schedule(1, 2, 0.1, 1.0, 0), "none",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"toy: the loss is no longer finite in epoch 1; lower 'learning_rate' \(0.1\)"):
        loop.run(tmp_path)


def test_the_best_epoch_is_kept(tmp_path):
    """A weight that is pulled up for ever, and is best at 2 where validation is asked."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    loop = Loop(
        "toy", layer, lambda model, rows, _: -model(torch.ones(len(rows), 1)).mean(),
        lambda model: {"loss": (model.weight.item() - 2) ** 2}, 1 * 2, Schedule(5, 2, 1.0, 1.0, 0), "none",
    )  # fmt: skip
    assert loop.run(tmp_path).weight.item() == pytest.approx(2, abs=0.01)
    assert loop.best["epoch"] == 2
    assert [row["epoch"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5]


def test_the_learning_rate_falls_on_a_cosine():
    schedule = Schedule(10, 32, 0.001, 0.1, 0)
    assert [schedule.rate(share) for share in (0, 0.5, 1)] == pytest.approx([0.001, 0.00055, 0.0001])
    assert Schedule(10, 32, 0.001, 1.0, 0).rate(0.7) == pytest.approx(0.001)


def test_keys_of_generators_do_not_meet():
    drawn = {torch.rand(1, generator=keyed(*key)).item() for key in [(0, 1), (1, 0), (0, 0, 1), (0,), (1,), (0, 10)]}
    assert len(drawn) == 6


def test_accelerate_launches_it_and_several_processes_are_refused(recipe_file, tmp_path, monkeypatch, capsys):
    path = recipe_file(only=True)
    command = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "textvae.training.digits.train", path]
    done = python([*command, "--output", tmp_path / "launched"], tmp_path)
    assert done.returncode == 0, done.stderr
    run(path, tmp_path / "run")
    assert weights(tmp_path / "launched") == weights(tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([path, "--output", str(tmp_path / "two")]) == 2
    assert "2 processes were launched; digits are trained by one" in capsys.readouterr().err


def test_run_json_names_the_images(recipe_file, tmp_path, digits_folder):
    run(recipe_file(only=True), tmp_path / "run")
    (source,) = json.loads((tmp_path / "run" / "run.json").read_text())["sources"]
    assert source["asked"] == str(digits_folder)
    assert source["revision"].startswith("sha256:")
