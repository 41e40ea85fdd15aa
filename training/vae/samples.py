"""Texts that a VAE makes, for measuring: prior samples, neighbours, class samples, interpolations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from textvae.modeling_textvae.generation import DECODE_BATCH, decode_ids, encode_texts, interpolate
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.posterior import Posterior
from textvae.modeling_textvae.priors import MixturePrior, ResampledPrior

from ..common.recipe import EvaluationRecipe
from .priors import fit_prior


def decode_sampled(model: TextVAEModel, tokenizer: Any, latents: torch.Tensor, settings: EvaluationRecipe) -> list[str]:
    """One text of each latent (N, Z), its words drawn by the settings' top-p."""
    return _decode(model, tokenizer, latents, generator=torch.Generator().manual_seed(0), **_how(settings))


def draw_classes(
    model: TextVAEModel,
    tokenizer: Any,
    prior: ResampledPrior,
    class_ids: torch.Tensor,
    settings: EvaluationRecipe,
    seed: int = 0,
    progress: Callable[[int], Any] | None = None,
) -> list[str]:
    """One text of each class (N,) from the prior; `progress` is told of texts drawn."""
    generator = torch.Generator().manual_seed(seed)
    texts: list[str] = []
    for part in class_ids.split(max(DECODE_BATCH // prior.candidates, 1)):
        ids = model.generate(
            prior=prior,
            prior_temperature=settings.prior_temperature,
            class_ids=part,
            generator=generator,
            **_how(settings),
        )
        texts.extend(decode_ids(ids, tokenizer))
        if progress:
            progress(len(part))
    return texts


def _decode(model: TextVAEModel, tokenizer: Any, latents: torch.Tensor, **how: Any) -> list[str]:
    texts: list[str] = []
    for part in latents.split(DECODE_BATCH):
        texts.extend(decode_ids(model.generate(part, **how), tokenizer))
    return texts


def _how(settings: EvaluationRecipe) -> dict[str, Any]:
    """What `generate` is told of how words are drawn."""
    return {
        "latent_share": settings.latent_share,
        "top_p": settings.token_top_p,
        "seen_joins": settings.seen_joins,
    }


def sentences_prior(
    model: TextVAEModel, tokenizer: Any, texts: list[str], components: int = 1, seed: int = 0
) -> MixturePrior:
    """Gaussians fitted to a draw from each text's posterior, the encoder's own: what the decoder was trained on."""
    posterior = encode_texts(model, texts, tokenizer, refinement_steps=0)
    return fit_prior(posterior.sample(1.0, torch.Generator().manual_seed(seed)), None, components, seed)


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
    return _decode(model, tokenizer, latents, do_sample=False, seen_joins=settings.seen_joins)


def paths(
    model: TextVAEModel, tokenizer: Any, posterior: Posterior, count: int, steps: int, settings: EvaluationRecipe
) -> list[list[str]]:
    """Greedy texts on the lines between the means of rows 2 i and 2 i + 1."""
    lines = [
        interpolate(posterior.mean[2 * row], posterior.mean[2 * row + 1], steps, spherical=False)
        for row in range(min(count, len(posterior.mean) // 2))
    ]
    texts = _decode(model, tokenizer, torch.cat(lines), do_sample=False, seen_joins=settings.seen_joins)
    return [texts[start : start + steps] for start in range(0, len(texts), steps)]
