"""Figures of a training while it runs, and a warning when the latent falls silent."""

from __future__ import annotations

import time

import torch
from accelerate import Accelerator

from textvae.modeling_textvae.modeling_textvae import TextVAEOutput

from ..common.recipe import VaeRecipe

ACTIVE_VARIANCE = 0.01  # of a dimension's posterior means over texts (Burda et al. 2016)
COLLAPSED_KL = 1.0  # nats a text
COLLAPSED_UNITS = 0.05  # share of dimensions


class Window:
    """Sums over the texts since the last row of metrics."""

    def __init__(self) -> None:
        self.sums: torch.Tensor | None = None  # texts, tokens, nll, kl
        self.moments: torch.Tensor | None = None  # (2, Z) of the posterior's means
        self.started = time.monotonic()

    def add(self, out: TextVAEOutput, tokens: int) -> None:
        mean = out.mean.detach().double()
        sums = torch.stack([out.nll.detach().sum().double(), out.kl.detach().sum().double()])
        sums = torch.cat([torch.tensor([len(mean), tokens], dtype=torch.double, device=mean.device), sums])
        moments = torch.stack([mean.sum(0), mean.square().sum(0)])
        self.sums = sums if self.sums is None else self.sums + sums
        self.moments = moments if self.moments is None else self.moments + moments

    def figures(self, accelerator: Accelerator) -> dict[str, float | None]:
        """Means over the texts of all processes: nats a text, and the share of active latent dimensions."""
        texts, tokens, nll, kl = accelerator.reduce(self.sums, "sum").tolist()
        first, second = accelerator.reduce(self.moments, "sum") / texts
        active = (second - first.square() > ACTIVE_VARIANCE).double().mean().item() if len(first) else None
        return {
            "nll": round(nll / texts, 4),
            "kl": round(kl / texts, 4),
            "loss": round((nll + kl) / texts, 4),
            "nll_per_token": round(nll / tokens, 4),
            "active_units": active if active is None else round(active, 4),
            "tokens_per_second": round(tokens / (time.monotonic() - self.started), 1),
        }


def collapse_warning(figures: dict[str, float | None], recipe: VaeRecipe, step: int) -> str | None:
    """What to change where the posterior has collapsed onto the prior; None while it has not, or has no latent."""
    active, kl = figures["active_units"], figures["kl"]
    if active is None or kl is None or (active > COLLAPSED_UNITS and kl > COLLAPSED_KL):
        return None
    remedy = f"set 'vae.target_kl' (say {max(recipe.latent_size // 8, 8)}), which steers beta"
    if recipe.target_kl is not None:
        remedy = (
            f"raise 'vae.target_kl' ({recipe.target_kl:g}) or 'vae.autoencoder_share' ({recipe.autoencoder_share:g})"
        )
    return (
        f"step {step}: posterior collapse, KL {kl:.2f} nats and {active:.0%} of the latent active, so texts no longer "
        f"depend on it; {remedy}, or set 'vae.free_bits'"
    )
