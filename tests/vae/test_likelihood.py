"""Likelihoods of texts under a tiny model, against what its forward pass says."""

from __future__ import annotations

import pytest
import torch

from textvae.training.vae import likelihood
from textvae.training.vae.likelihood import score


def test_figures_are_those_of_the_forward_pass_in_the_order_of_the_texts(tiny_model, tiny_tokenizer, sentences):
    texts = [*sentences, sentences[0]]
    scored = score(tiny_model, texts, tiny_tokenizer, num_samples=2)
    for row, text in enumerate(texts):
        batch = tiny_tokenizer([text], return_tensors="pt")
        out = tiny_model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, noise=torch.zeros(1, 16))
        torch.testing.assert_close(scored.posterior.mean[row], out.mean[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scored.kl[row], out.kl[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scored.nll_of_mean[row], out.nll[0].double(), rtol=1e-4, atol=1e-4)
        assert scored.tokens[row] == (tiny_model.decoder.respell(batch.input_ids) != 0).sum()
    noise = (scored.samples - scored.posterior.mean) / (0.5 * scored.posterior.log_variance).exp()
    assert not torch.allclose(noise[0], noise[-1])  # each text has its own draws
    batch = tiny_tokenizer(texts, padding=True, return_tensors="pt")
    one = score(tiny_model, texts, tiny_tokenizer, num_samples=1)
    again = tiny_model(
        batch.input_ids, batch.attention_mask, labels=batch.input_ids,
        noise=(one.samples - one.posterior.mean) / (0.5 * one.posterior.log_variance).exp(),
    )  # fmt: skip
    torch.testing.assert_close(one.nll, again.nll.double(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.iw_nll, one.nll + log_ratio(one), rtol=1e-4, atol=1e-4)


def log_ratio(scored):
    """log q(z | x) − log p(z) of each text's first draw."""
    posterior = torch.distributions.Normal(scored.posterior.mean, (0.5 * scored.posterior.log_variance).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    return (posterior.log_prob(scored.samples) - prior.log_prob(scored.samples)).sum(1).double()


def test_more_draws_bring_the_estimate_below_the_bound(tiny_model, tiny_tokenizer, sentences, monkeypatch):
    monkeypatch.setattr(likelihood, "TOKENS", 300)  # several rounds of decoding
    told = []
    scored = score(tiny_model, sentences, tiny_tokenizer, num_samples=60, progress=told.append)
    assert sum(told) == len(sentences)
    assert (scored.iw_nll < scored.nll + scored.kl + 0.05).all()
    assert scored.iw_nll.mean() < (scored.nll + scored.kl).mean() - 1  # untrained posteriors are far from the true ones


def test_a_learned_prior_and_refined_posteriors_are_measured_as_they_are_used(
    tiny_model, rebuilt, tiny_tokenizer, sentences
):
    model = rebuilt(tiny_model, prior="autoregressive", refinement_steps=20)
    refined = score(model, sentences, tiny_tokenizer, num_samples=50)
    guess = score(model, sentences, tiny_tokenizer, num_samples=50, refinement_steps=0)
    assert (refined.nll + refined.kl).mean() < (guess.nll + guess.kl).mean()
    assert (refined.iw_nll < refined.nll + refined.kl).all()
    with torch.no_grad():
        for weight in (model.prior.head.weight, model.prior.place):
            weight.fill_(0.2)
    other = score(model, sentences, tiny_tokenizer, num_samples=50, refinement_steps=0)
    torch.testing.assert_close(other.nll, guess.nll)
    assert not torch.allclose(other.kl, guess.kl)
    assert not torch.allclose(other.iw_nll, guess.iw_nll)


def test_a_language_model_has_one_figure(tiny_model, rebuilt, tiny_tokenizer, sentences):
    model = rebuilt(tiny_model, latent_size=0, latent_chunks=0)
    scored = score(model, sentences, tiny_tokenizer, num_samples=3)
    assert scored.kl.tolist() == [0.0] * len(sentences)
    torch.testing.assert_close(scored.iw_nll, scored.nll, rtol=1e-6, atol=1e-6)
    assert scored.nll.mean().item() == pytest.approx(scored.nll_of_mean.mean().item(), rel=1e-5)
