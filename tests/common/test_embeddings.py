"""Sentence embeddings: the mean of a text's own token states, whatever texts stand beside it."""

from __future__ import annotations

import numpy as np
import torch
from transformers import AutoModel

from textvae.training.common import embeddings
from textvae.training.common.embeddings import embed, embedder


def test_each_text_has_its_own_mean_in_the_order_given(tiny_encoder, tiny_tokenizer, sentences, monkeypatch):
    tiny_tokenizer.save_pretrained(tiny_encoder)
    monkeypatch.setattr(embeddings, "BATCH", 3)
    done = []
    vectors = embed(sentences, str(tiny_encoder), progress=done.append)
    assert sum(done) == len(sentences)
    body = AutoModel.from_pretrained(tiny_encoder).eval()
    for text, vector in zip(sentences, vectors, strict=True):
        with torch.no_grad():
            states = body(**tiny_tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, states / np.linalg.norm(states), atol=1e-5)


def test_a_body_is_loaded_once_for_texts_in_parts(tiny_encoder, tiny_tokenizer, sentences, monkeypatch):
    tiny_tokenizer.save_pretrained(tiny_encoder)
    means = embedder(str(tiny_encoder))
    monkeypatch.setattr(embeddings, "resolve_model", None)
    parts = [means([text], None) for text in sentences]
    np.testing.assert_allclose(np.concatenate(parts), means(sentences, None), atol=1e-5)
