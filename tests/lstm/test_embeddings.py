"""An LSTM's embeddings that start as a pretrained encoder's."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from textvae.training.common.errors import UserError
from textvae.training.lstm.embeddings import pretrained_embeddings
from textvae.training.lstm.run import run_lstm


@pytest.fixture(scope="module")
def words(tiny_encoder):
    """The encoder's own word embeddings, centred."""
    table = AutoModel.from_pretrained(tiny_encoder).get_input_embeddings().weight.detach()
    return table - table.mean(dim=0)


def test_tokens_lie_to_each_other_as_in_the_encoder(words, tiny_encoder):
    vocabulary, width = words.shape
    like = torch.arange(vocabulary * (width + 3.0)).view(vocabulary, width + 3)
    table = pretrained_embeddings(str(tiny_encoder), like, 0.1)
    assert table[:, :width].std().item() == pytest.approx(0.1, rel=1e-3)
    found, expected = table[:, :width], words * (0.1 / words.std())
    assert torch.allclose(found @ found.T, expected @ expected.T, atol=1e-4)
    assert torch.equal(table[:, width:], like[:, width:])  # what the encoder has nothing for


def test_a_narrower_table_keeps_the_most_of_them(words, tiny_encoder):
    table = pretrained_embeddings(str(tiny_encoder), torch.zeros(len(words), 3), 0.1)
    variances = table.var(dim=0)
    largest = torch.linalg.svdvals(words)[:3] ** 2
    assert torch.allclose(variances / variances.sum(), largest / largest.sum(), atol=1e-4)


def test_another_vocabulary_is_one_line(tiny_encoder):
    with pytest.raises(UserError, match=r"embeddings of \d+ tokens, and its tokenizer has 7; set"):
        pretrained_embeddings(str(tiny_encoder), torch.zeros(7, 3), 0.1)


def test_a_training_starts_from_them(words, write_recipe, tiny_encoder, tmp_path):
    recipe = write_recipe(
        tmp_path, pretrained_embeddings=True, learning_rate=1e-12, weight_decay=0.0, epochs=0.1, initializer_range=0.2
    )
    run = run_lstm(recipe, tmp_path / "run")
    assert f"lstm_tiny: the word embeddings start as principal components of those of {tiny_encoder}" in (
        (run / "report.html").read_text()
    )
    found = load_file(run / "model" / "model.safetensors")["embedding.weight"]
    expected = pretrained_embeddings(str(tiny_encoder), torch.zeros_like(found), 0.2)
    expected[0] = 0.0
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.std() > 0.1
