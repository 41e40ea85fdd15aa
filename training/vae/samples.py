"""Texts that a VAE makes, for measuring: prior samples, neighbours, class samples, interpolations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from textvae.modeling_textvae.generation import DECODE_BATCH, decode_ids, encode_texts, interpolate
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.posterior import Posterior
from textvae.modeling_textvae.priors import LatentPrior

from ..common.recipe import EvaluationRecipe
from .priors import fit_prior

PRIOR_TEXTS = 2000  # refining the posteriors of more takes minutes


def decode_sampled(
    model: TextVAEModel, tokenizer: Any, latents: torch.Tensor, settings: EvaluationRecipe, seed: int = 0
) -> list[str]:
    """One text of each latent (N, Z), its words drawn by the settings' temperature and top-p; greedy at 0."""
    generator = torch.Generator().manual_seed(seed)
    texts: list[str] = []
    for start in range(0, len(latents), DECODE_BATCH):
        ids = model.generate(
            latents[start : start + DECODE_BATCH].to(model.device),
            do_sample=settings.token_temperature > 0,
            temperature=settings.token_temperature,
            top_p=settings.token_top_p,
            seen_joins=settings.seen_joins,
            generator=generator,
        )
        texts.extend(decode_ids(ids, tokenizer))
    return texts


def prior_latents(model: TextVAEModel, prior: LatentPrior | None, count: int, seed: int = 0) -> torch.Tensor:
    """(count, Z) draws from a fitted prior without classes, or from the model's own."""
    generator = torch.Generator().manual_seed(seed)
    if prior is None:
        return model.sample_prior(count, generator)
    return prior.sample(torch.zeros(count, dtype=torch.long), generator=generator)


def fit_to_texts(
    model: TextVAEModel,
    tokenizer: Any,
    texts: list[str],
    class_ids: list[int] | None,
    components: int = 1,
    seed: int = 0,
) -> LatentPrior:
    """A prior fitted to one draw from the posterior of each of `PRIOR_TEXTS` texts, or of all where there are fewer."""
    chosen = np.random.default_rng(seed).permutation(len(texts))[:PRIOR_TEXTS].tolist()
    drawn = encode_texts(model, [texts[row] for row in chosen], tokenizer).sample(
        1.0, torch.Generator().manual_seed(seed)
    )
    classes = None if class_ids is None else torch.tensor([class_ids[row] for row in chosen])
    return fit_prior(drawn, classes, components, seed)


def neighbours(
    model: TextVAEModel,
    tokenizer: Any,
    posterior: Posterior,
    temperature: float,
    settings: EvaluationRecipe,
    seed: int = 0,
) -> list[str]:
    """One greedy text of each posterior, `temperature` standard deviations of noise from its mean."""
    latents = posterior.sample(temperature, torch.Generator().manual_seed(seed))
    return decode_sampled(model, tokenizer, latents, replace(settings, token_temperature=0.0))


def paths(
    model: TextVAEModel, tokenizer: Any, posterior: Posterior, count: int, steps: int, settings: EvaluationRecipe
) -> list[list[str]]:
    """Greedy texts on the lines between the means of rows 2 i and 2 i + 1."""
    lines = [
        interpolate(posterior.mean[2 * row], posterior.mean[2 * row + 1], steps, spherical=False)
        for row in range(min(count, len(posterior.mean) // 2))
    ]
    texts = decode_sampled(model, tokenizer, torch.cat(lines), replace(settings, token_temperature=0.0))
    return [texts[start : start + steps] for start in range(0, len(texts), steps)]
