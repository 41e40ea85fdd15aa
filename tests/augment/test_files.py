"""`textvae augment` on a stranger's file."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from datasets import load_dataset
from transformers import BertConfig, BertForMaskedLM

from textvae.modeling_textvae import augmentation
from textvae.modeling_textvae.augmentation import BLOCK
from textvae.training.augment import files, making
from textvae.training.augment.files import augment_file
from textvae.training.augment.generators import language_model, masked_lm
from textvae.training.common.errors import UserError
from textvae.training.common.sources import Source
from textvae.training.vae.parts import Parts


@pytest.fixture
def arguments(tmp_path, tiny_model, tiny_tokenizer, sentences):
    """A three-class file and an untrained model, as the command line would hand them over."""
    tiny_model.save_pretrained(tmp_path / "vae")
    tiny_tokenizer.save_pretrained(tmp_path / "vae")
    labels = ["sport", "politics", "<tech>"] * 2
    frame = pd.DataFrame({"body": [f"{text} {text}" for text in sentences[:6]], "topic": labels})
    frame.to_csv(tmp_path / "data.csv", index=False)
    return argparse.Namespace(
        input=str(tmp_path / "data.csv"),
        text_column="body",
        label_column="topic",
        target_size=9,
        generator="vae",
        model=str(tmp_path / "vae"),
        output=tmp_path / "out",
        temperature=0.5,
        seed=0,
        adapt=None,
        test_input=None,
    )


@pytest.fixture
def other_models(tmp_path, tiny_causal, tiny_tokenizer, tiny_encoder, monkeypatch):
    """Generator → its model; and a teacher's body that is at hand."""
    config = BertConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(tmp_path / "masked")
    tiny_tokenizer.save_pretrained(tmp_path / "masked")
    monkeypatch.setattr(files, "TEACHER", str(tiny_encoder))
    source = Source("WordNet", "registry", "npm thing 1.0", "sha256:0")
    for module in (files, making):
        monkeypatch.setattr(module, "wordnet", lambda: ({"film": ["movie"], "story": ["tale", "plot"]}, source))
    ends = torch.zeros(len(tiny_tokenizer), dtype=torch.bool)  # a tokenizer of words knows no line breaks
    ends[tiny_tokenizer("is", add_special_tokens=False)["input_ids"][0]] = True
    monkeypatch.setattr(language_model._Writer, "_line_ends", lambda self: ends)
    return {"rules": None, "masked_lm": str(tmp_path / "masked"), "language_model": str(tiny_causal[1])}


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_strangers_file_becomes_a_dataset(arguments, capsys, tmp_path):
    augment_file(arguments)
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert summary["output"] == str(tmp_path / "out")
    assert summary["real"] == 6
    assert summary["candidates"] == 12
    assert summary["rows"] == summary["real"] + summary["generated"] > 6
    assert sum(summary["rejected"].values()) == 12 - summary["generated"]
    assert "reconstruction BLEU" in printed.err
    assert "--adapt" in printed.err
    rows = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) == summary["rows"]
    assert rows.features["label"].names == ["<tech>", "politics", "sport"]


@pytest.mark.parametrize("generator", ["rules", "masked_lm", "language_model"])
def test_other_generators_write_such_a_dataset_too(generator, arguments, other_models, capsys, tmp_path):
    arguments.generator, arguments.model, arguments.temperature = generator, other_models[generator], None
    augment_file(arguments)
    summary = json.loads(capsys.readouterr().out)
    assert summary["rows"] == summary["real"] + summary["generated"] > 6
    assert "reconstruction_bleu" not in summary
    rows = pd.read_parquet(tmp_path / "out" / "train.parquet")
    generated = rows[rows["method"] != "original"]
    assert not set(generated["method"]) & {"neighbour", "interpolation"}
    assert generated["teacher_confidence"].between(0, 1).all()
    facts = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert facts["generator"] == generator
    assert facts["settings"]["teacher_model"] == files.TEACHER
    assert f"Generator: `{generator}`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": "rules", "adapt": 3, "model": None, "temperature": None}, "--adapt 3: is of a VAE"),
        ({"generator": "language_model"}, r"--temperature 0\.5: is of a VAE; .* --generator language_model"),
        ({"generator": "rules", "temperature": None}, "--model .*: rules need no model"),
    ],
)
def test_options_of_another_generator_are_refused(arguments, changes, message):
    vars(arguments).update(changes)
    with pytest.raises(UserError, match=message):
        augment_file(arguments)
    assert not arguments.output.exists()


def test_temperature_and_seed_reach_the_rows(arguments, capsys, tmp_path):
    def candidates(**changes):
        vars(arguments).update(changes)
        augment_file(arguments)
        rows = pd.read_parquet(arguments.output / "candidates.parquet")
        return rows[rows["method"] == "neighbour"]

    first = candidates(temperature=0.9, output=tmp_path / "first")
    assert set(first["temperature"]) == {0.9}
    other = candidates(seed=1, output=tmp_path / "other")
    assert set(other["seed"]).isdisjoint(first["seed"])


def test_adapting_writes_a_model_beside_the_dataset(arguments, capsys, tmp_path):
    arguments.adapt = 2
    augment_file(arguments)
    assert (tmp_path / "out-vae" / "model.safetensors").exists()
    assert "fine-tuned for 2 steps" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    json.loads(capsys.readouterr().out)
    augment_file(arguments)  # its own folders may be replaced
    arguments.model, before = str(tmp_path / "out-vae"), files_of(tmp_path / "out-vae")
    with pytest.raises(UserError, match="out-vae: is the model itself"):
        augment_file(arguments)
    assert files_of(tmp_path / "out-vae") == before


def test_adapting_replaces_no_model_that_it_did_not_write(arguments, tmp_path):
    arguments.adapt, arguments.input = 2, "is not looked at"
    trained = (tmp_path / "vae").rename(tmp_path / "out-vae")
    (trained / "training.json").write_text("{}")
    before = files_of(trained)
    for model in (trained, "is not looked at"):
        arguments.model = str(model)
        with pytest.raises(UserError, match="out-vae: holds files that this command did not write"):
            augment_file(arguments)
    assert files_of(trained) == before


def test_adapting_is_refused_under_a_launcher(arguments, monkeypatch):
    arguments.adapt, arguments.input = 2, "is not looked at"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        UserError, match=r"--adapt 2: fine-tunes in one process.* without --adapt, with --model .*out-vae"
    ):
        augment_file(arguments)


def test_copies_of_an_unlabelled_test_file_are_dropped(arguments, other_models, capsys, tmp_path):
    arguments.generator, arguments.model, arguments.temperature = "rules", None, None
    augment_file(arguments)
    capsys.readouterr()
    rows = pd.read_parquet(tmp_path / "out" / "train.parquet")
    generated = rows.loc[rows["method"] != "original", "text"][:2]
    tests = tmp_path / "tests.jsonl"
    tests.write_text("".join(json.dumps({"body": text}) + "\n" for text in generated), encoding="utf-8")
    arguments.test_input = str(tests)
    augment_file(arguments)
    assert json.loads(capsys.readouterr().out)["rejected"]["copy of a test row"] >= len(generated)


@pytest.mark.parametrize("generator", ["vae", "masked_lm", "language_model"])
def test_what_was_stopped_goes_on_and_ends_with_the_same_rows(
    generator, arguments, other_models, tmp_path, capsys, monkeypatch
):
    if generator != "vae":
        arguments.generator, arguments.model, arguments.temperature = generator, other_models[generator], None
    monkeypatch.setattr(augmentation, "BLOCK", 4)
    monkeypatch.setattr(masked_lm, "BLOCK", 4)
    augment_file(arguments)
    whole = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    files_there = {path.name for path in tmp_path.iterdir()}

    made = []
    keep = Parts.data

    def counted(self, name, make):
        if len(made) == 2:
            raise InterruptedError
        return keep(self, name, lambda: made.append(name) or make())

    arguments.output = tmp_path / "again"
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "data", counted)
        with pytest.raises(InterruptedError):
            augment_file(arguments)
    assert not arguments.output.exists()
    first = made.copy()
    monkeypatch.setattr(files, "settle", None)  # the precision, too, is that of the blocks
    monkeypatch.setattr(Parts, "data", lambda self, name, make: keep(self, name, lambda: made.append(name) or make()))
    augment_file(arguments)
    assert len(set(made)) == len(made) > len(first) == 2  # no block was written twice
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "again" / "candidates.parquet"), whole)
    assert {path.name for path in tmp_path.iterdir()} == files_there | {"again"}


def test_a_generator_of_which_nothing_is_left_is_an_error_that_says_what_took_its_rows(arguments, tmp_path):
    augment_file(arguments)
    made = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    tests = tmp_path / "tests.jsonl"
    made = made[made["method"] != "original"]
    tests.write_text("".join(json.dumps({"body": text}) + "\n" for text in made["text"]), encoding="utf-8")
    arguments.test_input, arguments.output = str(tests), tmp_path / "none"
    with pytest.raises(
        UserError, match=r"data\.csv: none of 12 candidates is left \(.*copy of a test row \d+.*\); give another --seed"
    ):
        augment_file(arguments)
    assert not arguments.output.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_size": 6}, r"--target-size 6: .*data\.csv has 6 rows already; ask for more"),
        ({"text_column": "text"}, "text"),
        ({"model": "no/such/folder"}, "no/such/folder"),
        ({"test_input": "missing.csv"}, r"missing\.csv"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line_and_leaves_nothing(arguments, tmp_path, changes, message):
    vars(arguments).update(changes)
    with pytest.raises(UserError, match=message) as caught:
        augment_file(arguments)
    assert "\n" not in str(caught.value)
    assert not arguments.output.exists()


def test_an_output_under_a_file_is_refused_before_anything_is_read(arguments, tmp_path):
    arguments.output = tmp_path / "data.csv" / "out"
    arguments.input = "is not looked at"
    with pytest.raises(UserError, match=r"data\.csv: is a file"):
        augment_file(arguments)


def test_two_launched_processes_write_the_rows_of_one(arguments, tmp_path):
    """More candidates than are decoded together, so that both have work."""
    arguments.target_size = 6 + BLOCK // 3
    given = {**vars(arguments), "output": None, "adapt": None, "test_input": None}
    options = [
        word
        for name, value in given.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    # What `accelerate launch` starts on several GPUs; on processors alone it starts one process whatever it is told.
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TEXTVAE_PROGRESS": "0", "CUDA_VISIBLE_DEVICES": ""}
    printed = []
    for number, start in enumerate((["-m"], launch), start=1):
        command = [sys.executable, *start, "textvae", "augment", *options, "--output", str(tmp_path / f"by-{number}")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-3000:]
        printed.append(json.loads(done.stdout))
    assert printed[0]["candidates"] == printed[1]["candidates"] > BLOCK
    one, two = (pd.read_parquet(tmp_path / f"by-{number}" / "candidates.parquet") for number in (1, 2))
    pd.testing.assert_frame_equal(one, two)
