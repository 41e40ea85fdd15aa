"""Refined posteriors: better for their text, and a function of it alone."""

from __future__ import annotations

import torch

from textvae.modeling_textvae.generation import encode_texts


def objective(model, batch, posterior):
    """nll + β · KL of each text, averaged over draws."""
    targets = model.decoder.respell(batch.input_ids)
    generator = torch.Generator().manual_seed(5)
    draws = []
    with torch.no_grad():
        for _ in range(20):
            latents = posterior.sample(generator=generator)
            nll, _ = model.decoder.nll(targets, model.read_latents(latents))
            draws.append(nll + model.config.refinement_beta * model.kl(posterior, latents).sum(-1))
    return torch.stack(draws).mean(0)


def test_every_text_is_better_off_and_no_weight_moves(tiny_model, tiny_tokenizer, sentences):
    batch = tiny_tokenizer(sentences, padding=True, return_tensors="pt")
    before = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    losses = [
        objective(tiny_model, batch, tiny_model.posterior(batch.input_ids, batch.attention_mask, refinement_steps=n))
        for n in (0, 5, 40)
    ]
    assert (losses[1] < losses[0]).all()
    assert (losses[2] < losses[1]).all()
    for name, tensor in tiny_model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(weight.grad is None for weight in tiny_model.parameters())


def test_the_configuration_decides_and_neighbours_in_the_batch_do_not(tiny_model, tiny_tokenizer, sentences):
    guess = encode_texts(tiny_model, sentences, tiny_tokenizer)
    tiny_model.config.refinement_steps = 8
    together = encode_texts(tiny_model, sentences, tiny_tokenizer)
    assert not torch.allclose(guess.mean, together.mean)
    alone = encode_texts(tiny_model, sentences[2:3], tiny_tokenizer)
    torch.testing.assert_close(alone.mean[0], together.mean[2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(alone.log_variance[0], together.log_variance[2], rtol=1e-3, atol=1e-4)
    assert not together.mean.requires_grad
