"""Training by a recipe, through every way to start it."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.files import read_json, read_jsonl
from textvae.training.common.recipe import Recipe, VaeRecipe
from textvae.training.common.recipe_files import load_recipe
from textvae.training.vae import adapt as adapting
from textvae.training.vae import train as training
from textvae.training.vae.adapt import adapt
from textvae.training.vae.likelihood import score
from textvae.training.vae.train import language_model_recipe, load_model, train_vae

CHECKOUT = Path(__file__).parents[2]


def start(command, mirror, cwd, **environment):
    variables = {
        **os.environ, "TEXTVAE_MIRROR": str(mirror), "HF_HUB_OFFLINE": "1", "TEXTVAE_PROGRESS": "0",
        "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *command], env=variables, cwd=cwd, capture_output=True, text=True, timeout=180
    )


def test_a_recipe_trains_a_model_that_loads(smoke_mirror, tmp_path):
    done = start(["-m", "textvae", "train-vae", "smoke"], smoke_mirror, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "runs/smoke/vae"
    model, tokenizer = load_model(folder)
    assert len(model.reconstruct(["a dull film."], tokenizer)) == 1
    rows = read_jsonl(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    assert {"nll", "kl", "loss", "beta", "active_units", "tokens_per_second"} <= set(rows[0])
    samples = json.loads((folder / "samples.json").read_text())
    assert len(samples["reconstructions"]) == len(samples["prior_samples"]) == 10
    assert not (folder / "checkpoints").exists()
    assert "runs/smoke/vae" in done.stderr
    written = (folder / "model.safetensors").stat().st_mtime_ns
    again = start(["-m", "textvae", "train-vae", "smoke"], smoke_mirror, tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "reused" in again.stderr
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_a_training_killed_at_its_end_goes_on_from_its_last_checkpoint(smoke_mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXTVAE_MIRROR", str(smoke_mirror))
    recipe, folder, write = load_recipe("smoke"), tmp_path / "vae", training.write_json
    recipe = replace(recipe, vae=replace(recipe.vae, checkpoint_every=15))

    def killed(path, data):
        if path.name == "training.json":
            raise KeyboardInterrupt
        write(path, data)

    train_vae(replace(recipe, seed=recipe.seed + 1), folder)
    monkeypatch.setattr(training, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        train_vae(recipe, folder)
    # Of the training before, whose weights are gone, nothing says any more that it is finished.
    assert not (folder / "training.json").exists()
    weights = (folder / "model.safetensors").read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(training, "write_json", write)
    train_vae(recipe, folder)
    assert "going on at step 15 of 20" in capsys.readouterr().err
    assert (folder / "model.safetensors").read_bytes() == weights
    assert (folder / "training.json").exists()
    assert not (folder / "checkpoints").exists()


def test_a_vae_may_start_as_a_language_model(smoke_mirror, tmp_path):
    recipe = tmp_path / "warm.yaml"
    text = (CHECKOUT / "training/recipes/smoke.yaml").read_text()
    recipe.write_text(text.replace("  steps: 20\n", "  steps: 20\n  language_model_steps: 15\n", 1))
    done = start(["-m", "textvae", "train-vae", str(recipe), "--output", "vae"], smoke_mirror, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.index("language model: ") < done.stderr.index("vae: ")  # which of the two is at work
    rows = [read_jsonl(tmp_path / place / "metrics.jsonl") for place in ("vae/language_model", "vae")]
    assert [row["step"] for row in rows[0]] == [5, 10, 15]
    assert [row["kl"] for row in rows[0]] == [0.0] * 3
    assert rows[1][0]["nll"] < rows[0][0]["nll"]  # it goes on, it does not begin
    model, _ = load_model(tmp_path / "vae")
    assert model.config.latent_size == 16
    trained = read_json(tmp_path / "vae/training.json")["facts"]
    assert model.config.refinement_beta == trained["final_beta"]
    # How posteriors are refined is no matter of the training: it may be changed, and what it gives is drawn anew.
    weights, samples = (tmp_path / "vae" / name for name in ("model.safetensors", "samples.json"))
    before = weights.stat().st_mtime_ns, samples.stat().st_mtime_ns
    recipe.write_text(recipe.read_text().replace("vae:\n", "vae:\n  refinement_steps: 7\n  refinement_beta: 0.25\n", 1))
    # Nor is where the mirror lies; and the language model is not needed any more.
    shutil.rmtree(tmp_path / "vae/language_model")
    moved = shutil.copytree(smoke_mirror, tmp_path / "elsewhere")
    again = start(["-m", "textvae", "train-vae", str(recipe), "--output", "vae"], moved, tmp_path)
    assert "reused vae" in again.stderr
    assert str(smoke_mirror) not in (tmp_path / "vae/config.json").read_text()
    config = load_model(tmp_path / "vae")[0].config
    assert (config.refinement_steps, config.refinement_beta) == (7, 0.25)
    assert weights.stat().st_mtime_ns == before[0]
    assert samples.stat().st_mtime_ns > before[1]


def test_language_models_may_end_on_the_texts_for_a_share_of_their_own():
    recipe = Recipe("name", vae=VaeRecipe(final_text_share=0.1))
    other = Recipe("name", vae=VaeRecipe(final_text_share=0.25, language_model_final_text_share=0.1))
    assert language_model_recipe(recipe, 30) == language_model_recipe(other, 30)
    assert language_model_recipe(other, 30).vae.final_text_share == 0.1


def test_accelerate_launches_the_training_folder_by_the_command_of_the_readme(smoke_mirror, tmp_path):
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^accelerate (launch .*)$", readme, re.MULTILINE)
    words = shlex.split(command.replace("quickstart", "smoke"))
    done = start(
        ["-m", "accelerate.commands.accelerate_cli", *words, "--output", str(tmp_path / "vae")], smoke_mirror, CHECKOUT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "vae/model.safetensors").exists()


def test_two_launched_processes_must_be_in_the_recipe(smoke_mirror, tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    done = start([*launch, "textvae.training.vae.train", "smoke"], smoke_mirror, tmp_path)
    assert done.returncode != 0
    assert "the recipe says 1, 2 were launched" in done.stderr
    assert not (tmp_path / "runs/smoke/vae/config.json").exists()


def test_one_process_finds_what_two_have_trained(smoke_mirror, tmp_path):
    recipe = tmp_path / "two.yaml"
    recipe.write_text((CHECKOUT / "training/recipes/smoke.yaml").read_text() + "num_processes: 2\n")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    arguments = [str(recipe), "--output", str(tmp_path / "vae")]
    done = start([*launch, "textvae.training.vae.train", *arguments], smoke_mirror, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    again = start(["-m", "textvae", "train-vae", *arguments], smoke_mirror, tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "reused" in again.stderr


def test_a_folder_keeps_the_precision_that_its_training_began_with(smoke_mirror, tmp_path):
    recipe = tmp_path / "auto.yaml"
    recipe.write_text((CHECKOUT / "training/recipes/smoke.yaml").read_text().replace("float32", "auto", 1))
    record = {"asked": "auto", "precision": "bfloat16", "reason": "it was measured"}
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae/precision.json").write_text(json.dumps(record))
    done = start(["-m", "textvae", "train-vae", str(recipe), "--output", "vae"], smoke_mirror, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = read_json(tmp_path / "vae/training.json")["facts"]
    assert (facts["precision"], facts["precision_reason"]) == ("bfloat16", "it was measured")


def test_adapting_learns_the_users_sentences(tiny_model, tiny_tokenizer, sentences, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    *_, steps = adapt(tmp_path / "model", sentences * 100, 120, tmp_path / "adapted")
    assert steps == 120
    rows = read_jsonl(tmp_path / "adapted/metrics.jsonl")
    assert rows[-1]["nll"] < 0.95 * rows[0]["nll"]
    before = score(tiny_model, (sentences * 100)[:300], tiny_tokenizer, num_samples=1).kl.mean().item()
    assert [row["target_kl"] for row in rows] == pytest.approx([before] * len(rows), rel=0.02)
    model, tokenizer = load_model(tmp_path / "adapted")
    assert len(model.reconstruct(sentences, tokenizer)) == len(sentences)


def test_few_sentences_are_not_learned_by_heart(tiny_model, tiny_tokenizer, sentences, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    *_, steps = adapt(tmp_path / "model", sentences, 300, tmp_path / "adapted")
    tokens = sum(map(len, tiny_tokenizer(sentences)["input_ids"]))
    assert steps == math.ceil(adapting.PASSES * tokens / adapting.TOKENS) < 20


def test_an_adapted_model_may_say_the_users_words(tiny_model, tiny_tokenizer, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    adapt(tmp_path / "model", ["the zebra is quick."] * 8, 1, tmp_path / "adapted")
    decoder = load_model(tmp_path / "adapted")[0].decoder
    zebra = decoder.respell(tiny_tokenizer("zebra", add_special_tokens=False, return_tensors="pt")["input_ids"])[0]
    for before, after in pairwise(zebra[:-1]):
        assert not tiny_model.decoder.seen_joins(before[None])[0, after]
        assert decoder.seen_joins(before[None])[0, after]


def test_models_that_cannot_be_loaded_are_named(tiny_model, tiny_tokenizer, tmp_path):
    with pytest.raises(UserError, match="holds no model"):
        load_model(tmp_path / "nothing")
    tiny_model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"damaged or of another kind .* if `textvae train-vae` made it, delete it"):
        load_model(tmp_path)
    weights.write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 40}))
    with pytest.raises(UserError, match=r"do not fit|cannot be loaded"):
        load_model(tmp_path)
