"""What the decoder makes of a latent, with and without its skips."""

from __future__ import annotations

import torch

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel


@torch.no_grad()
def reconstruction_figures(
    model: EmotionVAEModel, embeddings: torch.Tensor, categories: torch.Tensor | None, seed: int
) -> dict[str, float | None]:
    """Explained share of the variance of embeddings (N, D) around their mean, skips shown or hidden, with the
    posterior's mean as the latent or with noise of N(0, I) in its place.

    If skips carry the text, noise changes nothing; null where a model has none.
    """
    embeddings = embeddings.to(model.device)
    mean, _, _, states = model.recognise(embeddings, categories)
    target = model.standardise(embeddings)
    variance = float((target - target.mean(0)).square().sum())
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed)).to(mean)
    found: dict[str, float | None] = {}
    for skips, shown in (("skips", states), ("no_skips", None)):
        for latent, values in (("latent", mean), ("noise", noise)):
            name = f"explained_{skips}_{latent}"
            if skips == "skips" and not model.config.skip_connections:
                found[name] = None
                continue
            rebuilt = model.rebuild(values, shown, categories)
            found[name] = 1 - float((rebuilt - target).square().sum()) / variance
    return found
