"""A VAE that starts as a language model is one until it is trained."""

from __future__ import annotations

import pytest
import torch

from textvae.training.common.errors import UserError
from textvae.training.vae.warm_start import start_as_language_model


@pytest.mark.parametrize("chunks", [0, 4])
def test_every_text_is_as_likely_as_under_the_language_model(tiny_model, rebuilt, tiny_tokenizer, sentences, chunks):
    language_model = rebuilt(tiny_model, latent_size=0, latent_chunks=0)
    with torch.no_grad():
        for weight in language_model.decoder.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    model = rebuilt(tiny_model, latent_chunks=chunks)
    batch = tiny_tokenizer(sentences, padding=True, return_tensors="pt")

    def nll(model, noise):
        noise = torch.full((len(sentences), model.config.latent_size), noise)
        return model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, noise=noise).nll

    assert not torch.allclose(nll(model, 0.0), nll(language_model, 0.0), atol=0.1)
    start_as_language_model(model, language_model)
    for noise in (0.0, 2.0):
        torch.testing.assert_close(nll(model, noise), nll(language_model, 0.0))
    model.train()
    loss = model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, noise=torch.ones(8, 16)).loss
    loss.backward()
    assert model.decoder.initial.weight.grad.abs().sum() > 0  # the latent can be learned from there


def test_another_size_is_refused(tiny_model, rebuilt):
    language_model = rebuilt(tiny_model, latent_size=0, latent_chunks=0, hidden_size=40)
    with pytest.raises(UserError, match="other sizes than the VAE's"):
        start_as_language_model(tiny_model, language_model)
