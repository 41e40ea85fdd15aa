"""How likely a VAE finds texts, and what their latents hold of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from textvae.modeling_textvae.decoder import PAD
from textvae.modeling_textvae.generation import batches_by_length
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.posterior import Posterior

from .metrics.information import importance_weighted_nll, log_density

TEXTS = 64  # scored together
TOKENS = 2048  # of all latents' texts that are decoded together: each has a score for every token of the vocabulary


@dataclass(frozen=True)
class Likelihoods:
    """Of N texts, in their order; nats a text, with the full softmax."""

    posterior: Posterior  # (N, Z) each
    samples: torch.Tensor  # (N, Z) the first draw of each
    tokens: torch.Tensor  # (N,) decoder tokens, the end included
    nll: torch.Tensor  # (N,) −log p(x | z) averaged over the draws
    nll_of_mean: torch.Tensor  # (N,) −log p(x | posterior mean)
    kl: torch.Tensor  # (N,) from the model's prior, averaged over the draws where it is learned
    iw_nll: torch.Tensor  # (N,) the importance-weighted estimate of −log p(x)


@torch.no_grad()
def score(
    model: TextVAEModel,
    texts: list[str],
    tokenizer: Any,
    num_samples: int,
    refinement_steps: int | None = None,
    refinement_beta: float | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Likelihoods:
    """Likelihoods of texts, each by `num_samples` latents from its posterior; `progress` is told of texts done.

    How posteriors are refined is the model's own matter by default; 0 steps leave the encoder's as they are.

    Texts are cut at the model's length, as they are in training.
    """
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in Likelihoods.__annotations__ if name != "posterior"}
    means, log_variances, order = [], [], []
    generator, vectors = torch.Generator().manual_seed(0), model.decoder.vectors()
    for rows in batches_by_length(texts, TEXTS):
        batch = tokenizer(
            [texts[row] for row in rows], truncation=True, max_length=model.config.max_text_length,
            padding=True, padding_side="right", return_tensors="pt",
        ).to(model.device)  # fmt: skip
        posterior = model.posterior(
            batch["input_ids"],
            batch["attention_mask"],
            refinement_steps=refinement_steps,
            refinement_beta=refinement_beta,
        )
        targets = model.decoder.respell(batch["input_ids"])
        nll, kl, weights, first = [], [], [], None
        at_once = max(TOKENS // targets.numel(), 1)
        for start in range(0, num_samples, at_once):
            count = min(at_once, num_samples - start)
            noise = torch.randn(count, *posterior.mean.shape, generator=generator).to(model.device)
            latents = posterior.mean + (0.5 * posterior.log_variance).exp() * noise  # (count, rows, Z)
            first = latents[0] if first is None else first
            losses = _nll(model, targets.repeat(count, 1), latents.flatten(0, 1), vectors).view(count, -1)
            prior = model.prior_log_density(latents.flatten(0, 1)).view(count, -1)
            nll.append(losses)
            kl.append(_kl(model, posterior, latents))
            weights.append(prior - losses - log_density(latents, *posterior))
        order.extend(rows)
        means.append(posterior.mean)
        log_variances.append(posterior.log_variance)
        for name, tensor in {
            "samples": first,
            "tokens": (targets != PAD).sum(1),
            "nll": torch.cat(nll).mean(0),
            "nll_of_mean": _nll(model, targets, posterior.mean, vectors),
            "kl": torch.cat(kl).mean(0),
            "iw_nll": importance_weighted_nll(torch.cat(weights)),
        }.items():
            parts[name].append(tensor.cpu())
        if progress:
            progress(len(rows))
    place = torch.tensor(order).argsort()
    whole = Posterior(torch.cat(means).cpu()[place], torch.cat(log_variances).cpu()[place])
    return Likelihoods(whole, **{name: torch.cat(tensors)[place] for name, tensors in parts.items()})


def _kl(model: TextVAEModel, posterior: Posterior, latents: torch.Tensor) -> torch.Tensor:
    repeated = Posterior(*(tensor.repeat(len(latents), 1) for tensor in posterior))
    return model.kl(repeated, latents.flatten(0, 1)).sum(-1).view(len(latents), -1)


def _nll(model: TextVAEModel, targets: torch.Tensor, latents: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    return model.decoder.nll(targets, model.read_latents(latents), vectors).double()
