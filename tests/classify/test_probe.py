"""The probe: features that depend on their text alone, kept once, shared between processes."""

from __future__ import annotations

import json
import shutil
import sqlite3

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from textvae.training.classify import probe
from textvae.training.classify.probe import FeatureCache, fit_predict
from textvae.training.common.errors import UserError


@pytest.fixture
def encoded(monkeypatch):
    """The token ids of all texts that go through the encoder."""
    texts = []
    original = FeatureCache._encode_batch

    def counting(self, batch, *rest):
        texts.extend(batch)
        return original(self, batch, *rest)

    monkeypatch.setattr(FeatureCache, "_encode_batch", counting)
    return texts


def cache(folder, encoder, max_length=32, dtype=torch.float32):
    return FeatureCache(folder, encoder, max_length, dtype)


def test_features_are_normalised_means_in_the_order_of_the_texts(tmp_path, tiny_encoder, tiny_tokenizer, sentences):
    features = cache(tmp_path, tiny_encoder).features(sentences)
    assert features.dtype == np.float32
    body = AutoModel.from_pretrained(tiny_encoder)
    for text, feature in zip(sentences, features, strict=True):
        with torch.no_grad():
            mean = body(**tiny_tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(feature, (mean / mean.norm()).numpy(), atol=1e-6)


def test_a_text_is_encoded_once_and_bits_do_not_depend_on_company(
    tmp_path, tiny_encoder, tiny_tokenizer, sentences, encoded, monkeypatch
):
    monkeypatch.setattr(probe, "BATCH_TOKENS", 24)  # so that there are several batches, the last one not full
    first = cache(tmp_path, tiny_encoder).features([*sentences, sentences[0]])
    assert sorted(encoded) == sorted(tiny_tokenizer(sentences)["input_ids"])
    again = cache(tmp_path, tiny_encoder).features(sentences[::-1])
    assert len(encoded) == len(sentences)
    assert np.array_equal(again[::-1], first[:-1])
    alone = cache(tmp_path / "other", tiny_encoder).features(sentences[2:3])
    assert np.array_equal(alone[0], first[2])


def test_lengths_that_are_no_multiples_and_a_tokenizer_without_padding(tmp_path, tiny_encoder, tiny_tokenizer):
    body = tmp_path / "body"
    shutil.copytree(tiny_encoder, body)
    settings = json.loads((body / "tokenizer_config.json").read_text())
    (body / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": None}))
    config = json.loads((body / "config.json").read_text())
    limit = config["max_position_embeddings"] - 3
    texts = ["a good film. " * limit, "a good film."]
    assert AutoTokenizer.from_pretrained(body).pad_token is None
    features = cache(tmp_path, body, max_length=limit).features(texts)
    whole = cache(tmp_path, tiny_encoder, max_length=limit).features(texts)
    assert np.array_equal(features, whole)
    assert not np.allclose(features[0], features[1])


def test_a_text_of_no_tokens_breaks_nothing(tmp_path, tiny_encoder, monkeypatch):
    encode = PreTrainedTokenizerFast.__call__

    def bare(self, *arguments, **options):  # as a causal model's tokenizer is
        return encode(self, *arguments, **options, add_special_tokens=False)

    monkeypatch.setattr(PreTrainedTokenizerFast, "__call__", bare)
    assert np.isfinite(cache(tmp_path, tiny_encoder).features(["", "a good film."])).all()


def test_length_and_precision_have_features_of_their_own(tmp_path, tiny_encoder, sentences):
    long = cache(tmp_path, tiny_encoder).features(sentences)
    assert not np.allclose(cache(tmp_path, tiny_encoder, max_length=4).features(sentences), long)
    half = cache(tmp_path, tiny_encoder, dtype=torch.bfloat16).features(sentences)
    assert not np.array_equal(half, long)
    np.testing.assert_allclose(half, long, atol=0.02)


def test_the_cache_is_bounded(tmp_path, tiny_encoder, sentences, monkeypatch):
    monkeypatch.setattr(probe, "MAX_ROWS", 3)
    features = cache(tmp_path, tiny_encoder).features(sentences)
    assert len(features) == len(sentences)
    with sqlite3.connect(tmp_path / "features.sqlite") as database:
        assert database.execute("SELECT count(*) FROM features").fetchone() == (3,)


def test_a_broken_cache_file_is_named(tmp_path, tiny_encoder):
    (tmp_path / "features.sqlite").write_text("not a database, but long enough to be read as a header " * 20)
    with pytest.raises(UserError, match=r"features\.sqlite.*delete"):
        cache(tmp_path, tiny_encoder).features(["a film."])


def test_a_class_without_rows_has_probability_zero():
    features = np.eye(4, dtype=np.float32)
    probabilities = fit_predict(features, [0, 0, 2, 2], features, num_labels=3)
    assert probabilities.shape == (4, 3)
    assert (probabilities[:, 1] == 0).all()
    assert probabilities.argmax(1).tolist() == [0, 0, 2, 2]
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
