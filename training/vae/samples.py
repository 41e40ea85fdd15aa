"""Texts that a VAE makes, for measuring: prior samples, neighbours, class samples, interpolations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from textvae.modeling_textvae.generation import DECODE_BATCH, decode_ids, encode_texts, interpolate
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.posterior import Posterior
from textvae.modeling_textvae.priors import LatentPrior, MixturePrior

from ..common.recipe import EvaluationRecipe
from .priors import fit_class_chunk_prior, fit_prior


def decode_sampled(
    model: TextVAEModel, tokenizer: Any, latents: torch.Tensor, settings: EvaluationRecipe, seed: int = 0
) -> list[str]:
    """One text of each latent (N, Z), its words drawn by the settings' temperature and top-p; the best at 0."""
    generator = torch.Generator().manual_seed(seed)
    texts: list[str] = []
    for start in range(0, len(latents), DECODE_BATCH):
        ids = model.generate(
            latents[start : start + DECODE_BATCH].to(model.device),
            latent_share=settings.latent_share,
            do_sample=settings.token_temperature > 0,
            temperature=settings.token_temperature,
            top_p=settings.token_top_p,
            num_beams=settings.num_beams,
            seen_joins=settings.seen_joins,
            generator=generator,
        )
        texts.extend(decode_ids(ids, tokenizer))
    return texts


def own_posterior(model: TextVAEModel, tokenizer: Any, texts: list[str]) -> Posterior:
    """What the encoder alone makes of texts: a prior is fitted to what the decoder was trained on."""
    return encode_texts(model, texts, tokenizer, refinement_steps=0)


def mixture_prior(
    model: TextVAEModel,
    tokenizer: Any,
    texts: list[str],
    class_ids: list[int] | None,
    components: int = 1,
    seed: int = 0,
) -> MixturePrior:
    """Gaussians fitted to one draw from the posterior of each text."""
    drawn = own_posterior(model, tokenizer, texts).sample(1.0, torch.Generator().manual_seed(seed))
    return fit_prior(drawn, None if class_ids is None else torch.tensor(class_ids), components, seed)


def class_prior(
    model: TextVAEModel, tokenizer: Any, texts: list[str], class_ids: list[int], guidance: float = 1.0, seed: int = 0
) -> LatentPrior:
    """A prior that knows classes: the model's own taught them, or Gaussians where it has none of its own."""
    if model.prior is None:
        return mixture_prior(model, tokenizer, texts, class_ids, seed=seed)
    posterior = own_posterior(model, tokenizer, texts)
    return fit_class_chunk_prior(model.prior, posterior, torch.tensor(class_ids), guidance, seed)


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
    return decode_sampled(model, tokenizer, latents, _plainly(settings))


def _plainly(settings: EvaluationRecipe) -> EvaluationRecipe:
    """Greedy, of the whole latent."""
    return replace(settings, token_temperature=0.0, num_beams=1, latent_share=1.0)


def paths(
    model: TextVAEModel, tokenizer: Any, posterior: Posterior, count: int, steps: int, settings: EvaluationRecipe
) -> list[list[str]]:
    """Greedy texts on the lines between the means of rows 2 i and 2 i + 1."""
    lines = [
        interpolate(posterior.mean[2 * row], posterior.mean[2 * row + 1], steps, spherical=False)
        for row in range(min(count, len(posterior.mean) // 2))
    ]
    texts = decode_sampled(model, tokenizer, torch.cat(lines), _plainly(settings))
    return [texts[start : start + steps] for start in range(0, len(texts), steps)]
