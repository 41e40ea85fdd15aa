"""Passes over many images in batches that fit in memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from textvae.modeling_digit_autoencoder.modeling_digit_autoencoder import DigitAutoencoderModel

from .data import pixels

BATCH = 500


@torch.inference_mode()
def in_batches(function: Callable[[Tensor], Tensor], images: Tensor, device: torch.device) -> Tensor:
    """What `function` makes of uint8 images, given as pixels in [0, 1]; its rows together, on the CPU."""
    return torch.cat([function(pixels(part.to(device))).cpu() for part in images.split(BATCH)])


def codes(model: DigitAutoencoderModel, images: Tensor) -> Tensor:
    """(N, Z) latents of uint8 images, without noise."""
    return in_batches(lambda part: model.encode(part).mean, images, model.device)


def rebuilt(model: DigitAutoencoderModel, images: Tensor) -> Tensor:
    """(N, 1, S, S) reconstructions from codes without noise, float32 in [0, 1]."""
    return in_batches(lambda part: model.decode(model.encode(part).mean), images, model.device)
