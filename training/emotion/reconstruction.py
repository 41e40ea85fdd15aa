"""What the decoder makes of a latent, with and without its skips, and where a decoded (valence, arousal) points to."""

from __future__ import annotations

import numpy as np
import torch

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel

from .measures import NAMES, correlation

NEAREST = 5  # texts looked at for each place asked for
GRID = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of the annotated ratings that are asked for, along each dimension


@torch.no_grad()
def reconstruction_figures(
    model: EmotionVAEModel, embeddings: torch.Tensor, categories: torch.Tensor | None, seed: int
) -> dict[str, float | None]:
    """Explained share of the variance of embeddings (N, D) around the training mean, skips shown or hidden, with the
    posterior's mean as the latent or with noise of N(0, I) in its place.

    If skips carry the text, noise changes nothing; null where a model has none.
    """
    embeddings = embeddings.to(model.device)
    mean, _, _, states = model.recognise(embeddings, categories)
    target = model.standardise(embeddings)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed)).to(mean)
    found: dict[str, float | None] = {}
    for skips, shown in (("skips", states), ("no_skips", None)):
        for latent, values in (("latent", mean), ("noise", noise)):
            name = f"explained_{skips}_{latent}"
            if skips == "skips" and not model.config.skip_connections:
                found[name] = None
                continue
            rebuilt = model.rebuild(values, shown, categories)
            found[name] = 1 - float((rebuilt - target).square().sum() / target.square().sum())
    return found


def nearest_figures(model: EmotionVAEModel, embeddings: torch.Tensor, ratings: np.ndarray) -> dict[str, float | None]:
    """Correlation, over a grid of places, of the rating asked for and the mean annotated one of the NEAREST texts."""
    if len(model.rated) < len(NAMES):
        return {f"nearest_r_{name}": None for name in NAMES}
    ends = np.quantile(ratings, GRID, axis=0)
    grid = np.stack(np.meshgrid(*ends.T), axis=-1).reshape(-1, 2)
    rows = model.nearest(torch.from_numpy(grid).float(), embeddings, min(NEAREST, len(embeddings))).cpu().numpy()
    found = ratings[rows].mean(1)
    return {f"nearest_r_{name}": correlation(grid[:, index], found[:, index]) for index, name in enumerate(NAMES)}
