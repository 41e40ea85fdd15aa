"""A whole recipe on a few sentences, through the command line."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest
import yaml

from textvae.cli import main
from textvae.training.common.files import file_digest, read_json
from textvae.training.emotion import run as run_module

MODEL = {
    "encoder_layers": [0, 2], "hidden_size": 16, "num_hidden_layers": 2, "num_members": 2, "epochs": 4,
    "batch_size": 16, "hidden_dropout": 0.0, "embedding_dropout": 0.0, "learning_rate": 0.01, "warmup_steps": 5,
}  # fmt: skip


@pytest.fixture
def recipe(tmp_path, tiny_encoder, write, annotated_rows):
    """Writes a recipe file for rows, with changes of its model and variants."""

    def recipe(rows=annotated_rows, variants=(), **changes) -> str:
        model = {**MODEL, "encoder": str(tiny_encoder)}
        data = {
            "data": write(rows),
            "folds": 2,
            "model": {**model, **changes},
            "variants": {name: {**model, **one} for name, one in dict(variants).items()},
        }
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(data))
        return str(path)

    return recipe


def test_a_run_from_data_to_report_and_its_reuse(recipe, tmp_path, capsys, monkeypatch):
    variants = {"category": {"conditional": True}, "skip_free": {"skip_connections": False}}
    path, output = recipe(variants=variants), tmp_path / "run"
    assert main(["emotion", path, "--output", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output / "report.html")
    figures = read_json(output / "evaluation.json")
    wanted = {f"{key}_{name}" for key in ("r", "nll", "coverage", "r_std") for name in ("valence", "arousal")}
    assert wanted | {f"{name}_sd" for name in wanted} <= figures.keys()
    assert {f"{prefix}_{name}" for prefix in ("ridge", "kernel_ridge", "category", "official") for name in wanted} <= (
        figures.keys()
    )
    assert figures["r_valence"] > 0.5  # which is in the words
    assert figures["skip_free_explained_skips_latent"] is None
    assert figures["weights_sha256"] == file_digest(output / "model" / "model.safetensors")
    assert figures["run"]["seed"] == 0
    page = (output / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "conditioned on the category" in page
    assert {item.name for item in (output / "plots").iterdir()} == {
        "emotion-map.svg", "reliability.svg", "scatter-arousal.svg", "scatter-valence.svg",
        "loss-mean_error.svg", "loss-deviation_error.svg", "loss-reconstruction.svg", "loss-kl.svg",
    }  # fmt: skip
    assert not list(output.rglob("checkpoints"))

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(run_module, "train_model", never)
    monkeypatch.setattr(run_module.baselines, "predict", never)
    assert main(["emotion", path, "--output", str(output)]) == 0
    again = read_json(output / "evaluation.json")
    assert {**again, "run": None} == {**figures, "run": None}


def test_a_run_goes_on_at_the_fold_that_it_was_stopped_at(recipe, tmp_path, monkeypatch):
    path, output = recipe(), tmp_path / "run"
    train, trained = run_module.train_model, []

    def die_at_the_second(*arguments):
        trained.append(arguments[4])
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(run_module, "train_model", die_at_the_second)
    assert main(["emotion", path, "--output", str(output)]) == 130
    assert main(["emotion", path, "--output", str(output)]) == 0
    assert trained == ["model, fold 1", "model, fold 2", "model, fold 2", "the one model"]


def test_a_source_without_arousal_has_figures_of_valence_alone(recipe, annotated_rows, tmp_path, capsys):
    rows = [{key: row[key] for key in ("text", "V", "stdV")} for row in annotated_rows]
    output = tmp_path / "run"
    assert main(["emotion", recipe(rows, {"category": {"conditional": True}}), "--output", str(output)]) == 0
    assert "category: is left out" in capsys.readouterr().err
    figures = read_json(output / "evaluation.json")
    assert figures["r_valence"] > 0.5
    assert figures["r_arousal"] is figures["nll_arousal"] is figures["ridge_r_arousal"] is None
    assert not any(name.startswith("category_") for name in figures)
    config = json.loads((output / "model" / "config.json").read_text())
    assert config["rated"] == ["valence"]


def test_a_trained_encoder_has_figures_of_its_own_name(recipe, tmp_path):
    output = tmp_path / "run"
    path = recipe(trainable_encoder_layers=1, epochs=1)
    assert main(["emotion", path, "--output", str(output)]) == 0
    figures = read_json(output / "evaluation.json")
    assert {"r_valence_finetuned", "r_valence_finetuned_sd", "official_nll_arousal_finetuned"} <= figures.keys()
    assert "r_valence" not in figures


def test_own_texts_are_placed(recipe, tmp_path, capsys, annotated_rows):
    texts = tmp_path / "mine.csv"
    pd.DataFrame({"line": ["the film is good and moving.", "the film is bad and dull.", "a story"]}).to_csv(
        texts, index=False
    )
    output = tmp_path / "run"
    command = ["emotion", recipe(), "--output", str(output), "--texts", str(texts), "--text-column", "line"]
    assert main(command) == 0
    placed = pd.read_csv(capsys.readouterr().out.strip().splitlines()[-1])
    assert list(placed) == [
        "line", "valence", "arousal", "rater_deviation_valence", "rater_deviation_arousal", "mean_deviation_valence",
        "mean_deviation_arousal",
    ]  # fmt: skip
    assert placed["valence"][0] > placed["valence"][1]
    assert placed.filter(like="deviation").min().min() >= 0.1
    assert (output / "placed" / "map.svg").read_text().startswith("<svg")
    assert main([*command[:-1], "text"]) == 2
    assert "no column 'text'; it has 'line'" in capsys.readouterr().err
    shutil.rmtree(output / "model")
    (output / "model").mkdir()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_layers": [7]}, "encoder_layers must be some of 0 to 2"),
        ({"epochs": 0}, "'epochs' must be at least 1"),
        ({"max_deviation": -1.0}, "no text has a deviation of -1 or less"),
        ({"encoder": "org/none"}, "org/none: no such file or folder"),
        ({"epoch": 3}, "unknown key 'model.epoch'; did you mean 'epochs'"),
    ],
    ids=str,
)
def test_a_wrong_recipe_is_one_line(recipe, tmp_path, capsys, changes, message):
    assert main(["emotion", recipe(**changes), "--output", str(tmp_path / "run")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("textvae: error: ")
    assert message in last


def test_a_conditional_model_wants_a_category(recipe, annotated_rows, tmp_path, capsys):
    rows = [{key: value for key, value in row.items() if key != "category"} for row in annotated_rows]
    assert main(["emotion", recipe(rows, conditional=True), "--output", str(tmp_path / "run")]) == 2
    assert "no column 'category'; leave 'conditional' false" in capsys.readouterr().err
