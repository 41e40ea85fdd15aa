"""What is minimised: reconstruction, a weighted KL and optional terms; and the randomness of a step, keyed by row."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEOutput

from ..common.recipe import VaeRecipe

# As for guidance without a classifier (Ho and Salimans 2022): what is of no known class is learned beside the classes.
UNKNOWN_CLASS_SHARE = 0.1


def objective(
    out: TextVAEOutput,
    latents: torch.Tensor,
    prior_draws: torch.Tensor | None,
    beta: float,
    recipe: VaeRecipe,
    shown: torch.Tensor | None = None,
) -> torch.Tensor:
    """(B,) nats: nll + β · KL, and the recipe's other terms.

    Free bits (Kingma et al. 2016): so many nats of each dimension cost nothing. Over the mean of a batch they would
    couple its rows, and with them micro-batches and processes; so they are applied a row. The bag-of-words loss
    (Zhao et al. 2017) asks the latent alone for every word. MMD (InfoVAE, Zhao et al. 2019) compares the rows'
    latents with draws from the prior; it does couple the rows that are computed together.

    Args:
        out: of the rows; `bag_nll` is read where the recipe weighs it.
        latents: (B, Z) the draws that `out.nll` was computed from.
        prior_draws: (B, Z) from N(0, I), where the recipe weighs MMD.
        shown: (B, K) bool, the chunks that the decoder was shown; others cost nothing.
    """
    costs = out.kl_by_dimension.clamp(min=recipe.free_bits)
    if shown is not None:
        costs = costs * shown.repeat_interleave(costs.shape[1] // shown.shape[1], dim=1)
    losses = out.nll + beta * costs.sum(-1)
    if recipe.bag_of_words_weight:
        losses = losses + recipe.bag_of_words_weight * out.bag_nll
    if recipe.mmd_weight and prior_draws is not None and len(latents) > 1:
        losses = losses + recipe.mmd_weight * mmd(latents, prior_draws)
    return losses


def mmd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """() unbiased squared maximum mean discrepancy of x and y, (B, Z) each, B ≥ 2 (Gretton et al. 2012).

    The kernel is the inverse multiquadratic C / (C + |a − b|²) with C = 2 Z, the squared distance of two draws
    from N(0, I) (Tolstikhin et al. 2018).
    """
    scale = 2.0 * x.shape[1]

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        squares = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T
        return scale / (scale + squares.clamp(min=0))

    count = len(x)
    within = sum(kernel(part, part).sum() - count for part in (x, y)) / (count * (count - 1))
    return within - 2 * kernel(x, y).mean()


def candidate_set(
    targets: torch.Tensor, vocabulary_size: int, recipe: VaeRecipe, seed: int, step: int
) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    """Softmax candidates of a step, and their log importance weights.

    All tokens of the step's targets and the `candidate_words` most frequent ones (the lowest ids) stand for
    themselves; `sampled_words` drawn from the others stand for all of those (Jean et al. 2015). The set
    depends on the whole step's targets, seed and step alone, so that it is the same however the step is cut
    into micro-batches and processes.
    """
    if recipe.candidate_words == 0 or recipe.candidate_words + recipe.sampled_words >= vocabulary_size:
        return None, None
    chosen = torch.zeros(vocabulary_size, dtype=torch.bool)
    chosen[: recipe.candidate_words] = True
    chosen[targets.flatten()] = True
    rest = (~chosen).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(_key(seed, step))
    sampled = rest[torch.randperm(len(rest), generator=generator)[: recipe.sampled_words]]
    weights = torch.zeros(vocabulary_size)
    if len(sampled):
        weights[sampled] = math.log(len(rest) / len(sampled))
        chosen[sampled] = True
    candidates = chosen.nonzero()[:, 0]
    return candidates, weights[candidates]


class RowNoise(NamedTuple):
    """What is drawn for the rows of a step."""

    posterior: torch.Tensor  # (B, Z) of the reparameterisation
    prior: torch.Tensor | None  # (B, Z) draws that MMD compares latents with
    keep: torch.Tensor | None  # (B, width) bool, decoder inputs that word dropout leaves
    shown: torch.Tensor | None  # (B, K) bool, chunks that chunk dropout leaves
    known: torch.Tensor | None  # (B,) bool, rows whose class the model is told


def row_noise(
    seed: int,
    rows: np.ndarray,
    visits: np.ndarray,
    latent_size: int,
    width: int,
    recipe: VaeRecipe,
    word_dropout: float = 0.0,
) -> RowNoise:
    """Noise keyed by row and visit.

    A row's noise depends on (seed, row, how often it was seen before) alone: not on the batch, the process or
    anything that was drawn before it, so a resumed or distributed training draws the same. `width` is the step's, in
    decoder tokens.
    """
    posterior = torch.empty(len(rows), latent_size)
    prior = torch.empty(len(rows), latent_size) if recipe.mmd_weight else None
    keep = torch.empty(len(rows), width, dtype=torch.bool) if word_dropout else None
    shown = torch.ones(len(rows), recipe.latent_chunks, dtype=torch.bool) if recipe.chunk_dropout else None
    known = torch.ones(len(rows), dtype=torch.bool) if recipe.conditional else None
    for index, (row, visit) in enumerate(zip(rows, visits, strict=True)):
        generator = torch.Generator().manual_seed(_key(seed, int(row), int(visit)))
        torch.randn(latent_size, generator=generator, out=posterior[index])
        if prior is not None:
            torch.randn(latent_size, generator=generator, out=prior[index])
        if shown is not None:
            chosen, hidden_share = torch.rand(2, generator=generator).tolist()
            if chosen < recipe.chunk_dropout:
                shown[index] = torch.rand(recipe.latent_chunks, generator=generator) >= hidden_share
        if known is not None:
            known[index] = torch.rand((), generator=generator) >= UNKNOWN_CLASS_SHARE
        if keep is not None:  # last: how many of these there are depends on the other rows of the step
            keep[index] = torch.rand(width, generator=generator) >= word_dropout
    return RowNoise(posterior, prior, keep, shown, known)


def _key(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
