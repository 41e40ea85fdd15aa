"""What the emotion VAE's training minimises: the model's terms, weighed."""

from __future__ import annotations

import torch
from torch import Tensor

from textvae.modeling_emotion_vae.outputs import EmotionVAEOutput

from .recipe import EmotionModelRecipe

TERMS = ("reconstruction", "kl", "mean_error", "deviation_error", "nll")


def beta(recipe: EmotionModelRecipe, step: int, steps: int) -> float:
    """Weight of the KL at a step: on a line from 0, then constant (Bowman et al. 2016)."""
    rise = recipe.anneal_share * steps
    return recipe.beta * min(1.0, step / rise) if rise else recipe.beta


def weights(recipe: EmotionModelRecipe, weight_of_kl: float) -> dict[str, float]:
    """Of each of TERMS."""
    return {
        "reconstruction": recipe.reconstruction_weight,
        "kl": weight_of_kl,
        "mean_error": recipe.mean_weight,
        "deviation_error": recipe.deviation_weight,
        "nll": recipe.nll_weight,
    }


def objective(output: EmotionVAEOutput, prior: Tensor, weight_of_kl: float, recipe: EmotionModelRecipe) -> Tensor:
    """() the weighed terms, averaged over a batch's texts and summed over members, which share no weight.

    Args:
        prior: (M, B, 2) draws from N(0, I), for the discrepancy of InfoVAE.
    """
    weighed = [weight * getattr(output, term).mean(1) for term, weight in weights(recipe, weight_of_kl).items()]
    loss = torch.stack(weighed).sum(0)
    if recipe.mmd_weight and prior.shape[1] > 1:  # an epoch's last batch may be one text, which has no spread
        loss = loss + recipe.mmd_weight * discrepancy(output["latents"], prior)
    return loss.sum()


def discrepancy(latents: Tensor, prior: Tensor) -> Tensor:
    """(M,) squared maximum mean discrepancy between two samples (M, B, Z), unbiased, of an RBF kernel whose squared
    width is the latent's size (Gretton et al. 2012, equation 3; Zhao et al. 2019)."""
    count, size = latents.shape[1:]

    def kernel(left: Tensor, right: Tensor) -> Tensor:
        squares = (left[:, :, None] - right[:, None]).square().sum(-1)  # cdist has no gradient at distance 0
        return (-squares / (2 * size)).exp().sum((1, 2))

    pairs = count * (count - 1)
    within = kernel(latents, latents) + kernel(prior, prior) - 2 * count  # less each one with itself
    return within / pairs - 2 * kernel(latents, prior) / count**2
