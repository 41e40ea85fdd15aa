"""`textvae classify`: files in, figures as JSON out, one-line errors before anything is trained."""

from __future__ import annotations

import argparse
import json

import pytest

from textvae.training.classify import files
from textvae.training.classify.files import classify_file
from textvae.training.common import tables
from textvae.training.common.errors import UserError
from textvae.training.common.tables import read_input


@pytest.fixture
def arguments(tmp_path, tiny_encoder, sentences):
    def write(name, labels):
        path = tmp_path / name
        path.write_text("".join(["text,label\n", *(f'"{t}",{y}\n' for t, y in zip(sentences, labels, strict=True))]))
        return str(path)

    return argparse.Namespace(
        train=write("train.csv", ["good", "bad"] * 4),
        test=write("test.csv", ["bad"] * 4 + ["good"] * 4),
        text_column="text",
        label_column="label",
        classifier="lstm",
        model=str(tiny_encoder),
        steps=2,
        cue="Label",
        output=tmp_path / "model",
        seed=0,
        write=write,
    )


def test_figures_go_to_standard_output_and_the_model_to_the_folder(arguments, capsys):
    classify_file(arguments)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((arguments.output / "classification.json").read_text())
    assert {"accuracy", "precision", "recall", "f1", "cross_entropy"} < set(printed)
    assert (printed["rows"], printed["test_rows"], printed["steps"]) == (8, 8, 2)
    assert (arguments.output / "model.safetensors").exists()
    classify_file(arguments)  # its own folder may be replaced


def test_test_labels_are_counted_as_the_training_labels(arguments, monkeypatch):
    seen = {}

    def recorded(name, settings, train, test, **options):
        seen.update(options, train=train, test=test)
        raise UserError("seen enough")

    monkeypatch.setattr(files, "train_classifier", recorded)
    arguments.train = arguments.write("three.csv", ["good", "bad"] * 3 + ["awful", "bad"])
    with pytest.raises(UserError, match="seen enough"):
        classify_file(arguments)
    assert seen["train"].label_names == seen["test"].label_names == ["awful", "bad", "good"]
    assert seen["test"].labels == [1, 1, 1, 1, 2, 2, 2, 2]


def test_a_dataset_is_scored_on_its_test_split(arguments, tmp_path, monkeypatch):
    splits = []

    def load(name, split):
        splits.append(split)
        return read_input(str(tmp_path / f"{split}.csv"))

    monkeypatch.setattr(tables, "load_rows", load)
    arguments.train = arguments.test = "org/name"
    classify_file(arguments)
    assert splits == ["train", "test"]


@pytest.mark.parametrize("wrong", ["label", "folder", "file"])
def test_what_cannot_be_used_is_said_before_training(arguments, tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(files, "train_classifier", lambda *_, **__: pytest.fail("trained"))
    if wrong == "label":
        arguments.test = arguments.write("odd.csv", ["fair", "bad"] * 4)
        place = "odd.csv: label 'fair'"
    elif wrong == "folder":
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("dear")
        (tmp_path / "mine" / "metrics.json").write_text("{}")  # a name that many a program gives
        arguments.output, place = tmp_path / "mine", "mine: holds files"
    else:
        arguments.output, place = tmp_path / "train.csv", "train.csv: is a file"
    with pytest.raises(UserError, match=place) as error:
        classify_file(arguments)
    assert "\n" not in str(error.value)
