"""The cache of sentence embeddings: computed once, and never another encoder's."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel
from textvae.training.common.errors import UserError
from textvae.training.emotion import embeddings
from textvae.training.emotion.embeddings import embeddings_of


@pytest.fixture
def model(tiny_encoder):
    return EmotionVAEModel.from_encoder_pretrained(str(tiny_encoder), encoder_layers=(1, 2), hidden_size=8).eval()


@pytest.fixture
def computed(model, monkeypatch):
    texts: list[str] = []
    embed = model.embed_texts

    def count(some, tokenizer):
        texts.extend(some)
        return embed(some, tokenizer)

    monkeypatch.setattr(model, "embed_texts", count)
    return texts


def cache_file(tmp_path):
    (path,) = (tmp_path / "cache" / "embeddings").glob("*.safetensors")
    return path


def test_each_text_is_embedded_once(model, computed, tiny_tokenizer, sentences, monkeypatch):
    monkeypatch.setattr(embeddings, "SAVE_EVERY", 3)
    first = embeddings_of(model, tiny_tokenizer, sentences[:5] + sentences[:1], "r1")
    assert sorted(computed) == sorted(sentences[:5])
    second = embeddings_of(model, tiny_tokenizer, sentences, "r1")
    assert sorted(computed) == sorted(sentences)
    torch.testing.assert_close(second, EmotionVAEModel.embed_texts(model, sentences, tiny_tokenizer))
    assert torch.equal(first[:5], second[:5])
    assert torch.equal(first[5], first[0])
    embeddings_of(model, tiny_tokenizer, sentences, "r2")  # other weights
    assert len(computed) == 2 * len(sentences)


def test_a_killed_work_keeps_what_was_saved(model, computed, tiny_tokenizer, sentences, monkeypatch):
    monkeypatch.setattr(embeddings, "SAVE_EVERY", 3)
    write, written = embeddings._write, []

    def die_at_the_second(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(write(*arguments))

    monkeypatch.setattr(embeddings, "_write", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        embeddings_of(model, tiny_tokenizer, sentences, "r1")
    monkeypatch.setattr(embeddings, "_write", write)
    computed.clear()
    embeddings_of(model, tiny_tokenizer, sentences, "r1")
    assert len(computed) == len(sentences) - 3


def test_a_cache_of_another_encoder_is_refused(model, tiny_tokenizer, sentences, tmp_path):
    embeddings_of(model, tiny_tokenizer, sentences, "r1")
    path = cache_file(tmp_path)
    with safe_open(path, framework="pt") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors, path, metadata={**about, "encoder": "org/other"})
    with pytest.raises(UserError, match=r"holds embeddings of another encoder \(org/other.*delete it"):
        embeddings_of(model, tiny_tokenizer, sentences, "r1")
    path.write_bytes(b"half")
    with pytest.raises(UserError, match="is damaged; delete it"):
        embeddings_of(model, tiny_tokenizer, sentences, "r1")
