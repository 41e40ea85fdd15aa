"""Perplexity under a causal language model."""

from __future__ import annotations

import math

import pytest
import torch

from textvae.training.common import perplexity
from textvae.training.common.perplexity import perplexities


def test_perplexity_is_that_of_each_text_alone(tiny_causal, tiny_tokenizer, monkeypatch, sentences):
    monkeypatch.setattr(perplexity, "TOKENS", 24)
    model, folder = tiny_causal
    scores = perplexities(sentences, folder, 64)
    for text, score in zip(sentences, scores, strict=True):
        ids = torch.tensor([tiny_tokenizer(text)["input_ids"]])
        with torch.no_grad():
            loss = model(input_ids=ids, labels=ids).loss
        assert score == pytest.approx(math.exp(loss), rel=1e-4)


def test_perplexity_reads_no_further_than_asked(tiny_causal):
    near, far = perplexities(["a moving film", "a moving film is dull and bad"], tiny_causal[1], 4)
    assert near == pytest.approx(far, rel=1e-4)


def test_texts_without_a_word_have_none(tiny_causal, sentences):
    assert perplexities(["", " "], tiny_causal[1], 8) == [None, None]
    alone, _, beside = perplexities([sentences[0], "", sentences[0]], tiny_causal[1], 8)
    assert alone == pytest.approx(beside)


def test_a_model_of_few_positions_reads_as_many(tiny_causal):
    model, folder = tiny_causal
    positions = model.config.max_position_embeddings
    long = "film " * (positions + 9)
    assert perplexities([long], folder, 10 * positions) == perplexities([long], folder, positions)
