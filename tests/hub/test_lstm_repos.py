"""An LSTM on the Hub, and the reviews that it was scored on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from running import publish, textvae

from textvae.hub_cards.layouts import layout_of
from textvae.training.common.errors import UserError
from textvae.training.lstm.data import TRICKY


def laid_out(run, staging):
    return {repo.id: repo for repo in layout_of(run, "org", staging).all()}


def test_exactly_these_files_travel(lstm_run, tmp_path):
    repos = laid_out(lstm_run, tmp_path / "staging").values()
    assert {repo.id: [path.relative_to(repo.folder).as_posix() for path in repo.files] for repo in repos} == {
        "org/imdb-lstm-tiny": [
            "README.md", "config.json", "configuration_lstm.py", "evaluation.json", "model.safetensors",
            "modeling_lstm.py", "plots/learning-lstm_tiny.svg", "plots/reliability.svg", "tokenizer.json",
            "tokenizer_config.json",
        ],
        "org/tricky-reviews": ["README.md", "tricky_reviews.csv"],
    }  # fmt: skip


def test_the_card_says_what_was_measured(lstm_run, tmp_path):
    card = (laid_out(lstm_run, tmp_path / "staging")["org/imdb-lstm-tiny"].folder / "README.md").read_text()
    found = json.loads((lstm_run / "evaluation.json").read_text())
    assert f"| accuracy, 95 % Wilson interval | {100 * found['test']['accuracy']:.2f} % (" in card
    assert f"| cross-entropy, nats | {found['test']['loss']:.4f} |" in card
    assert f"{100 * found['tricky']['pairs_solved']:.1f} % of the 56 pairs" in card
    assert re.search(r"name: accuracy\n", card)


def test_a_run_that_is_not_finished_says_so(lstm_run, tmp_path):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    (run / "evaluation.json").unlink()
    with pytest.raises(UserError, match="not evaluated yet"):
        laid_out(run, tmp_path / "staging")


def test_strangers_use_what_is_published(lstm_run, smoke_mirror, hub, tmp_path):
    done = publish(hub, lstm_run, smoke_mirror, tmp_path, "--push")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {repo.id for repo in hub.repos.values()} == {"org/imdb-lstm-tiny", "org/tricky-reviews", "org/textvae-demo"}
    script = """
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
reviews = load_dataset("org/tricky-reviews", split="test")
model = AutoModelForSequenceClassification.from_pretrained("org/imdb-lstm-tiny", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("org/imdb-lstm-tiny", trust_remote_code=True)
print(len(reviews), model(**tokenizer(reviews[0]["text"], return_tensors="pt")).logits.shape)
"""
    variables = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path / "stranger"), "OMP_NUM_THREADS": "1"}
    variables.pop("TEXTVAE_MIRROR", None)
    told = subprocess.run(
        [sys.executable, "-c", script], env=variables, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert told.split("\n")[-2] == f"{len(TRICKY.read_text().splitlines()) - 1} torch.Size([1, 2])"


def test_runs_are_published_together_with_one_space(lstm_run, finished_run, smoke_mirror, hub, tmp_path):
    command = ["publish", str(finished_run), str(lstm_run), "--namespace", "org"]
    done = textvae(command, tmp_path, TEXTVAE_MIRROR=str(smoke_mirror), **hub.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "org/textvae-rt" in done.stdout
    assert "org/imdb-lstm-tiny" in done.stdout
    assert done.stdout.count("space org/textvae-demo") == 1


def test_the_space_keeps_the_tabs_of_what_was_published_before(lstm_run, digits_run, smoke_mirror, hub, tmp_path):
    for run in (digits_run, lstm_run):
        done = publish(hub, run, smoke_mirror, tmp_path, "--push")
        assert done.returncode == 0, done.stderr[-3000:]
    files = hub.repo("org/textvae-demo", "spaces").files()
    pins = json.loads(files["pins.json"])
    assert {name: pin["id"] for name, pin in pins.items()} == {
        "digits": "org/digits-ae-4",
        "lstm": "org/imdb-lstm-tiny",
    }
    card = files["README.md"].decode()
    assert "- org/digits-ae-4\n" in card
    assert "- org/imdb-lstm-tiny\n" in card


def test_the_verb_names_its_recipes(tmp_path):
    done = textvae(["lstm", "lstm_14m"], tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"textvae: error: lstm_14m: no such recipe; .*lstm_15m.*\n", done.stderr)
