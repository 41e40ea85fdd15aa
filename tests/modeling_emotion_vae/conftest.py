"""A small emotion VAE with random weights, and rows for it."""

from __future__ import annotations

import pytest
import torch

from textvae.modeling_emotion_vae import EmotionVAEModel


@pytest.fixture
def build(tiny_encoder):
    def build(**changes) -> EmotionVAEModel:
        torch.manual_seed(1)
        fields = {"encoder_layers": (0, 2), "hidden_size": 16, "num_hidden_layers": 2, "num_members": 2, **changes}
        model = EmotionVAEModel.from_encoder_pretrained(str(tiny_encoder), **fields)
        ratings = torch.tensor([[2.0, 3.0], [3.0, 3.4], [4.0, 3.8]])
        model.set_scales(torch.randn(3, model.config.embedding_size), ratings)
        return model.eval()

    return build


@pytest.fixture
def batch():
    """Makes rows of random embeddings and ratings, as `forward` takes them."""

    def batch(model, rows=4):
        generator = torch.Generator().manual_seed(0)
        embeddings = torch.randn(rows, model.config.embedding_size, generator=generator)
        labels = 1 + 4 * torch.rand(rows, 2, generator=generator)
        deviations = torch.rand(rows, 2, generator=generator)
        return {"embeddings": embeddings, "labels": labels, "deviations": deviations}

    return batch
