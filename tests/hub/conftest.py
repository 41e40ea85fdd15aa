"""Finished runs, made once for all, and a Hub to publish them to."""

from __future__ import annotations

import json

import pytest
import yaml
from loopback import TOKEN, LoopbackHub
from processes import textvae
from publishing import publish

from textvae.training.common.recipe_files import load_recipe


@pytest.fixture(scope="session")
def finished_run(smoke_mirror, once):
    """The recipe `smoke`, but up to 500 rows, run and evaluated; to be read only."""

    def make(work):
        recipe = load_recipe("smoke").to_dict()
        recipe["augment"] |= {"sizes": [200, 500], "temperature": 1.5}  # enough that no two rows are alike
        recipe["vae"] |= {"steps": 200, "learning_rate": 1e-2}
        for classifier in recipe["classifiers"].values():
            classifier["steps"] = dict.fromkeys((8, 200, 500), 2)
            classifier["arms"] = {"real": [8], "duplicate": [500], "vae": [500]}
        (work / "smoke.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        for verb in ("run", "evaluate-vae"):
            done = textvae([verb, "smoke.yaml"], work, TEXTVAE_MIRROR=smoke_mirror, HF_TOKEN=TOKEN)
            assert done.returncode == 0, done.stderr[-3000:]
        return work / "runs/smoke"

    return once("finished-run", make)


@pytest.fixture(scope="session")
def lstm_run(smoke_mirror, once):
    """A small LSTM, trained and evaluated; to be read only."""

    def make(work):
        recipe = {
            "tokenizer": "hf-internal-testing/tiny-random-BertModel",
            "precision": "float32",
            "max_length": 32,
            "embedding_size": 8,
            "hidden_size": 8,
            "epochs": 1,
            "evaluations": 2,
            "temperature_scaling": True,
        }
        (work / "lstm_tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        done = textvae(["lstm", "lstm_tiny.yaml"], work, TEXTVAE_MIRROR=smoke_mirror)
        assert done.returncode == 0, done.stderr[-3000:]
        return work / "runs/lstm_tiny"

    return once("lstm-run", make)


@pytest.fixture(scope="session")
def digits_run(once):
    """Small autoencoders of scikit-learn's digits; to be read only."""

    def make(work):
        recipe = {
            "main": "ae_4",
            "models": {
                "ae_4": {"latent_size": 4, "channels": [4], "hidden_size": 8, "prior_components": 2},
                "vae_3": {"latent_size": 3, "channels": [4], "hidden_size": 8, "variational": True},
                "denoising": {"latent_size": 4, "channels": [4], "hidden_size": 8, "noise": 0.2},
            },
            "epochs": 1,
            "judge_epochs": 1,
            "samples": 40,
            "subsets": 3,
            "few_steps": 3,
        }
        (work / "digits_tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        done = textvae(["digits", "digits_tiny.yaml"], work)
        assert done.returncode == 0, done.stderr[-3000:]
        return work / "runs/digits_tiny"

    return once("digits-run", make)


@pytest.fixture(scope="session")
def emotion_run(tiny_encoder, once):
    """A small emotion VAE of made-up ratings; to be read only."""

    def make(work):
        things, words = ("film", "story", "cast", "movie"), ("dull", "bad", "worst", "good", "funny", "moving")
        rows = [
            {"text": f"the {thing} is {one} and {other}.", "V": 2 + 0.2 * (words.index(one) + words.index(other)),
             "A": 3 + 0.1 * things.index(thing), "stdV": 0.2 + 0.1 * words.index(one),
             "stdA": 0.3 + 0.1 * words.index(other)}
            for thing in things for one in words for other in words
        ]  # fmt: skip
        (work / "rated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        recipe = {
            "data": "rated.jsonl",
            "folds": 2,
            "model": {
                "encoder": str(tiny_encoder), "encoder_layers": [0, 2], "max_length": 32, "hidden_size": 8,
                "num_hidden_layers": 1, "num_members": 2, "epochs": 2, "batch_size": 16,
            },
        }  # fmt: skip
        (work / "emotion_tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        done = textvae(["emotion", "emotion_tiny.yaml"], work)
        assert done.returncode == 0, done.stderr[-3000:]
        return work / "runs/emotion_tiny"

    return once("emotion-run", make)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with LoopbackHub() as hub:
        yield hub


BASE = "hf-internal-testing/tiny-random-gpt2"  # of the adapter


@pytest.fixture(scope="session")
def published(finished_run, smoke_mirror, tmp_path_factory):
    """The Hub after `textvae publish --push`, and what the command said."""
    with LoopbackHub() as hub:
        base = smoke_mirror / "models" / BASE
        hub.add(BASE, {path.name: path.read_bytes() for path in base.iterdir()})
        done = publish(hub, finished_run, smoke_mirror, tmp_path_factory.mktemp("publisher"), "--push")
        assert done.returncode == 0, done.stderr[-3000:]
        yield hub, done
