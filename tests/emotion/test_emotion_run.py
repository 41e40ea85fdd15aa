"""A whole recipe on a few sentences, through the command line."""

from __future__ import annotations

import copy
import json
import re
import shutil

import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from textvae.cli import main
from textvae.training.common.errors import UserError
from textvae.training.common.files import file_digest, read_json
from textvae.training.common.recipe_files import load_sister_recipe
from textvae.training.emotion import run as run_module
from textvae.training.emotion.calibration import fit_calibration
from textvae.training.emotion.data import fold_rows, load_annotated, official_rows
from textvae.training.emotion.loop import Loop
from textvae.training.emotion.placing import place_texts
from textvae.training.emotion.recipe import EmotionRecipe
from textvae.training.emotion.train import Encoded, train_model


def number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def test_a_run_from_data_to_report_and_its_reuse(recipe, tmp_path, capsys, monkeypatch):
    plain = {"reconstruction_weight": 0.0, "beta": 0.0}
    variants = {
        "category": {"conditional": True},
        "skip_free": {"skip_connections": False, "num_members": 1},
        "single": {},
        "mlp": plain,
    }
    fields = {"base": "single", "rival": "mlp", "captions": {"category": "conditioned on the category"}}
    path, output = recipe(variants=variants, fields=fields), tmp_path / "run"
    assert main(["emotion", path, "--output", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output / "report.html")
    figures = read_json(output / "evaluation.json")
    keys = ("r", "nll", "coverage", "r_std", "spread_ratio")
    wanted = {f"{key}_{name}" for key in keys for name in ("valence", "arousal")}
    assert wanted | {f"{name}_sd" for name in wanted} <= figures.keys()
    assert {f"{prefix}_{name}" for prefix in ("ridge", "kernel_ridge", "category", "official") for name in wanted} <= (
        figures.keys()
    )
    assert {name for name in figures if name.startswith("official_") and name.endswith("nll_valence")} == {
        f"official_{name}nll_valence" for name in ("", "mlp_", "ridge_last_layer_", "ridge_", "kernel_ridge_")
    }
    assert figures["r_valence"] > 0.5  # which is in the words
    assert figures["skip_free_explained_skips_latent"] is None
    assert figures["weights_sha256"] == file_digest(output / "model" / "model.safetensors")
    assert figures["run"]["seed"] == 0
    page = (output / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "conditioned on the category" in page
    assert all(f">{number(figures[f'{name}spread_ratio_arousal'])[:-1]}" in page for name in ("", "ridge_"))
    fold = read_json(output / "folds" / "mlp" / "fold-1.json")
    assert "spread_ratio_valence" not in fold["figures"]  # what was kept before there was such a figure has it, too
    (worth,) = re.findall(r'aria-label="What each option is worth">.*?</div>', page, flags=re.DOTALL)
    assert worth.count('<th scope="row">') == 3
    assert '<th scope="row">skip free</th>' in worth
    assert worth.count(f">{figures['mlp_coverage_arousal']:.3f}") == 1
    (skips,) = re.findall(r'aria-label="What the skips do">.*?</div>', page, flags=re.DOTALL)
    assert re.findall(r'<th scope="row">(.*?)</th><td class="number">(\S+?)&nbsp', skips)[1:] == [
        ("latent alone", number(figures["explained_no_skips_latent"])),
        ("latent alone, skip free (1 network)", number(figures["skip_free_explained_no_skips_latent"])),
    ]
    assert {item.name for item in (output / "plots").iterdir()} == {
        "emotion-map.svg", "reliability.svg", "scatter-arousal.svg", "scatter-valence.svg",
        *(f"loss-{term}.svg" for term in ("mean_error", "deviation_error", "nll", "reconstruction", "kl", "weighed")),
    }  # fmt: skip
    last = read_json(output / "official.json")["curve"][-1]
    weighed = sum(
        weight * last[f"validation_{term}"]
        for term, weight in (
            ("mean_error", 0.5), ("deviation_error", 0.3), ("nll", 0.15), ("reconstruction", 1.0), ("kl", 0.01)
        )
    )  # fmt: skip
    assert re.search(rf"validation from \S+ to {weighed:.3g}\.", (output / "plots" / "loss-weighed.svg").read_text())
    assert not list(output.rglob("checkpoints"))

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(run_module, "train_model", never)
    monkeypatch.setattr(run_module.baselines, "predict", never)
    monkeypatch.setattr(run_module, "nearest_sentences", never)
    (output / "plots" / "of-other-code.svg").write_text("<svg/>")
    assert main(["emotion", path, "--output", str(output)]) == 0
    again = read_json(output / "evaluation.json")
    assert {**again, "run": None} == {**figures, "run": None}
    assert not (output / "plots" / "of-other-code.svg").exists()


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
    assert not (output / "nearest.json").exists()
    assert "The data does not rate arousal" in (output / "report.html").read_text()
    assert main(["emotion", recipe(rows), "--output", str(output), "--near", "4,3"]) == 2
    assert "--near: " in (told := capsys.readouterr().err)
    assert told.endswith("does not rate arousal, and a place has both; leave it out\n")


def test_a_trained_encoder_has_figures_of_its_own_name(recipe, tmp_path):
    output = tmp_path / "run"
    path = recipe(trainable_encoder_layers=1, epochs=1)
    assert main(["emotion", path, "--output", str(output)]) == 0
    figures = read_json(output / "evaluation.json")
    assert {"r_valence_finetuned", "r_valence_finetuned_sd", "official_nll_arousal_finetuned"} <= figures.keys()
    assert "r_valence" not in figures
    # What latents decode to has the mean of the embeddings that the trained encoder gives.
    model, tokenizer = (load(output / "model") for load in (AutoModel.from_pretrained, AutoTokenizer.from_pretrained))
    data = load_annotated(load_sister_recipe(EmotionRecipe, path))
    embeddings = model.embed_texts([data.texts[row] for row in official_rows(data).train], tokenizer)
    centre = model.standardise(embeddings).mean(0)
    assert torch.allclose(model.centre, centre, atol=1e-4)
    assert centre.abs().max() > 0.01


def test_the_size_of_the_error_is_fitted_to_validation_texts(recipe, annotated_rows, random, tmp_path):
    """Ratings of stories are noise, so that the networks can tell where they err."""
    rows = [{**row, "V": random.uniform(1, 5)} if row["category"] == "story" else row for row in annotated_rows]
    asked = load_sister_recipe(EmotionRecipe, recipe(rows))
    data = load_annotated(asked)
    split, encoded = official_rows(data), Encoded(asked.model, asked, data)
    model, _ = train_model(encoded, split, 0, tmp_path / "model", "model", torch.float32)
    held_out = split.validation
    with torch.no_grad():
        embeddings = model.embed_texts([data.texts[row] for row in held_out], encoded.tokenizer)
        means, _, errors, _ = model.recognise(embeddings)
        wanted = (torch.from_numpy(data.ratings[held_out]).float() - model.rating_mean) / model.rating_deviation
        residuals = (means.mean(0) - wanted).double().numpy()
        logs = ((errors.exp() + model.floor.square()).mean(0) + means.var(0, unbiased=False)).log().double().numpy()
    for index in range(2):
        found = (float(model.calibration_offset[index]), float(model.calibration_slope[index]))
        assert found == pytest.approx(fit_calibration(residuals[:, index], logs[:, index]), abs=0.01)
    assert 0 < model.calibration_slope[0] < 2  # else what the networks say would not count


def test_the_figures_of_a_frozen_encoder_stand_beside_those_of_a_trained_one(recipe, tmp_path, capsys, monkeypatch):
    def run(name, **settings) -> int:
        return main(["emotion", recipe(**settings), "--output", str(tmp_path / "runs" / name)])

    beside = {"trainable_encoder_layers": 1, "epochs": 1, "fields": {"beside": "frozen", "baselines": False}}
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train_model", None)  # it is refused before anything is trained
        assert run("trained", **beside) == 2
    wanted = f"beside: {tmp_path / 'runs' / 'frozen'} has no evaluation.json; run `textvae emotion frozen` first"
    assert capsys.readouterr().err.endswith(f"{wanted}\n")

    assert run("frozen", epochs=1) == 0
    frozen = read_json(tmp_path / "runs" / "frozen" / "evaluation.json")
    assert run("trained", **beside) == 0
    figures = read_json(tmp_path / "runs" / "trained" / "evaluation.json")
    assert {name: figures[name] for name in frozen} == frozen
    own = {name for name in figures if "_finetuned" in name}
    assert own == figures.keys() - frozen.keys()
    assert figures["r_valence_finetuned"] != figures["r_valence"]
    page = (tmp_path / "runs" / "trained" / "report.html").read_text()
    for key in ("r_valence", "ridge_nll_arousal", "official_kernel_ridge_r_valence"):
        assert f'<td class="number">{figures[key]:.3f}'.replace("-", "−") in page, key
    # In each table of the folds, and in that of the official split.
    assert page.count("encoder frozen: ridge, same embedding") == 3

    other = {**beside, "fields": {**beside["fields"], "folds": 3}}
    assert run("thirds", **other) == 2
    assert "is of other texts or folds; run `textvae emotion frozen` anew" in capsys.readouterr().err
    (tmp_path / "runs" / "thirds" / "evaluation.json").write_text('{"r_valence_finetuned": 0.5}')
    assert run("again", **{**beside, "fields": {"beside": "thirds"}}) == 2
    assert "thirds has no figures of a frozen encoder" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["min_deviation", "category", "another category's name", "validation text"])
def test_a_changed_setting_does_not_go_on_from_an_old_checkpoint(
    changed, recipe, annotated_rows, tmp_path, capsys, monkeypatch
):
    settings = {"checkpoint_every": 1, "conditional": True}
    step = Loop.train_step

    def die_at_the_third(loop):
        if loop.step == 2:
            raise KeyboardInterrupt
        step(loop)

    monkeypatch.setattr(Loop, "train_step", die_at_the_third)

    def run(rows=annotated_rows, **fields) -> tuple[int, str]:
        code = main(["emotion", recipe(rows, fields=fields, **settings), "--output", str(tmp_path / "run")])
        return code, capsys.readouterr().err

    def refused(code: int, said: str) -> bool:
        return code == 2 and "step-000002: was made by another recipe" in said

    assert run()[0] == 130
    code, said = run()
    assert code == 130
    assert "going on at step 2" in said
    if changed == "min_deviation":
        assert refused(*run(min_deviation=0.3))
        return
    asked = load_sister_recipe(EmotionRecipe, recipe(**settings))
    fold = fold_rows(load_annotated(asked), asked)[0]
    rows = [dict(row) for row in annotated_rows]
    if changed == "category":
        rows[fold.train[0]]["category"] = next(
            row["category"] for row in rows if row["category"] != rows[fold.train[0]]["category"]
        )
    elif changed == "validation text":
        rows[fold.validation[0]]["V"] += 0.1
    else:
        rows[fold.test[0]]["category"] = "art"
    assert refused(*run(rows))


def test_a_tokenizer_of_another_vocabulary_is_one_line(recipe, tiny_encoder, tiny_tokenizer, tmp_path, capsys):
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    other = copy.deepcopy(tiny_tokenizer)
    other.add_tokens(["dreadful"])
    other.save_pretrained(encoder)
    assert main(["emotion", recipe(encoder=str(encoder)), "--output", str(tmp_path / "run")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"textvae: error: {encoder}: the tokenizer has ")


def test_a_mended_tokenizer_is_another_encoder(recipe, tiny_encoder, tmp_path, capsys):
    encoder, output = shutil.copytree(tiny_encoder, tmp_path / "encoder"), str(tmp_path / "run")
    path = recipe(encoder=str(encoder), epochs=1)
    assert main(["emotion", path, "--output", output]) == 0
    capsys.readouterr()
    tokenizer = json.loads((encoder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = not tokenizer["normalizer"]["lowercase"]
    (encoder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert main(["emotion", path, "--output", output]) == 0
    assert "reused" not in capsys.readouterr().err
    assert len(list((tmp_path / "cache" / "embeddings").glob("*.safetensors"))) == 2


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
    shutil.rmtree(output / "model")
    (output / "model").mkdir()
    with pytest.raises(UserError, match="model: holds no model"):
        place_texts(output, ["a story"], "line")


def test_texts_that_cannot_be_read_are_named_before_the_run(recipe, tmp_path, capsys, monkeypatch):
    texts, output = tmp_path / "mine.csv", tmp_path / "run"
    texts.write_text("line\na story\n")
    monkeypatch.setattr(run_module, "load_annotated", lambda _: pytest.fail("the run began"))
    assert main(["emotion", recipe(), "--output", str(output), "--texts", str(texts)]) == 2
    assert "no column 'text'; it has 'line'" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_layers": [7]}, "encoder_layers must be some of 0 to 2"),
        ({"epochs": 0}, "'epochs' must be at least 1"),
        ({"max_deviation": -1.0}, "no text has a deviation of -1 or less"),
        ({"encoder": "org/none"}, "org/none: no such file or folder"),
        ({"fields": {"rival": "mlp"}}, "'rival' names no variant; known: none"),
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
