"""A batch of the sentences, and the forward pass of it."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def batch(tiny_tokenizer, sentences):
    return tiny_tokenizer(sentences, padding=True, return_tensors="pt")


@pytest.fixture
def run():
    """Runs a model on a batch whose tokens are its labels, without noise where no other is given."""

    def run(model, batch, **options):
        options.setdefault("noise", torch.zeros(len(batch.input_ids), model.config.latent_size))
        return model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, **options)

    return run
