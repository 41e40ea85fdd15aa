"""`textvae generate` writes sentences of a saved text VAE."""

from __future__ import annotations

import pytest
import torch

from textvae import cli
from textvae.modeling_textvae.generation import DECODE_BATCH
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.training.common import precision


@pytest.fixture
def folder(tiny_model, tiny_tokenizer, tmp_path):
    tiny_model.save_pretrained(tmp_path / "vae")
    tiny_tokenizer.save_pretrained(tmp_path / "vae")
    return str(tmp_path / "vae")


def test_sentences_are_seeded(folder, capsys):
    def lines(*options: str) -> list[str]:
        assert cli.main(["generate", "--model", folder, *options]) == 0
        return capsys.readouterr().out.splitlines()

    first = lines("--num", "5")
    assert len(first) == 5
    assert any(first)
    assert lines("--num", "5") == first
    assert lines("--num", "5", "--seed", "1") != first
    assert lines("--num", "5", "--prior-temperature", "3") != first
    assert lines("--num", "5", "--temperature", "3") != first
    assert lines("--num", "5", "--top-p", "0.1") != first
    assert len(lines("--num", str(DECODE_BATCH + 1))) == DECODE_BATCH + 1


def test_the_gpu_generates_where_there_is_one(folder, monkeypatch):
    devices = []

    def generate(model, num_return_sequences, **_):
        devices.append(model.device.type)
        return torch.zeros(num_return_sequences, 1, dtype=torch.long)

    monkeypatch.setattr(precision, "device", lambda: torch.device("meta"))
    monkeypatch.setattr(TextVAEModel, "generate", generate)
    assert cli.main(["generate", "--model", folder]) == 0
    assert devices == ["meta"]


@pytest.mark.parametrize(
    "options",
    [
        ["--num", "0"],
        ["--top-p", "0"],
        ["--top-p", "1.1"],
        ["--latent-share", "0"],
        ["--prior-temperature", "-1"],
        ["--temperature", "-1"],
        ["--temperature", "nan"],
    ],
)
def test_impossible_options_name_themselves(folder, options, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", "--model", folder, *options])
    assert stop.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_a_share_of_the_latent_is_shown_by_models_that_were_trained_so(
    folder, tiny_model, rebuilt, tiny_tokenizer, tmp_path, capsys
):
    options = ["--num", "5", "--latent-share", "0.1"]
    assert cli.main(["generate", "--model", folder, *options]) == 2
    assert "--latent-share 0.1" in capsys.readouterr().err
    for saved in (rebuilt(tiny_model, hidden_chunks=True), tiny_tokenizer):
        saved.save_pretrained(tmp_path / "hidden")
    drawn = []
    for share in (options, options[:2]):
        assert cli.main(["generate", "--model", str(tmp_path / "hidden"), *share]) == 0
        drawn.append(capsys.readouterr().out)
    assert drawn[0] != drawn[1]


def test_a_folder_without_a_model_is_one_line(tmp_path, capsys):
    assert cli.main(["generate", "--model", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path) in error
    assert error.count("\n") == 1
