"""What an EmotionVAEModel returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class EmotionVAEOutput(ModelOutput):
    """
    Args:
        loss: () the terms below with weight 1, summed over members and averaged over texts. Recipes weigh them,
            the KL by 0.01 for one: who goes on with a training takes the terms, and that training's weights.
        reconstruction: (M, B) squared error of the standardised embedding, a mean over its numbers.
        kl: (M, B) KL divergence of the posterior from the prior in nats; of one sampled latent with a mixture prior.
        mean_error: (M, B) squared error of the posterior's mean, summed over what is annotated, in rating deviations.
        deviation_error: (M, B) the same of the posterior's standard deviation.
        nll: (M, B) β-weighted negative log-likelihood of the annotated means under the predicted error.
        latents: (M, B, 2) sampled, standardised.
        mean: (M, B, 2) of the posterior, standardised.
        log_variance: (M, B, 2)
        prediction: (B, 2) the mean of `mean` over members in rating units, NaN for what was never rated.
    """

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    kl: Tensor | None = None
    mean_error: Tensor | None = None
    deviation_error: Tensor | None = None
    nll: Tensor | None = None
    latents: Tensor | None = None
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    prediction: Tensor | None = None


@dataclass
class EmotionPrediction(ModelOutput):
    """What is said of texts, all float32 (B, 2) in rating units, valence first; NaN for what was never rated.

    Args:
        mean: the expected mean rating.
        rater_deviation: standard deviation of single raters around it: how much people differ.
        mean_deviation: standard deviation of the mean's own error: how much the model may be wrong.
    """

    mean: Tensor | None = None
    rater_deviation: Tensor | None = None
    mean_deviation: Tensor | None = None

    def interval(self, coverage: float = 0.9) -> tuple[Tensor, Tensor]:
        """Ends, (B, 2) each, of the interval that holds the mean rating of this share of texts.

        Raises:
            ValueError: a coverage that does not lie between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, not {coverage:g}")
        width = math.sqrt(2) * torch.erfinv(torch.tensor(coverage)) * self.mean_deviation
        return self.mean - width, self.mean + width
