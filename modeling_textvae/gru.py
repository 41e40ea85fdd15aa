"""The recurrent layer of encoder, decoder and prior."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class GRU(nn.GRU):
    """`nn.GRU`, which a GPU's autocast leaves alone.

    That takes a GRU to float16 whatever it was asked for, and gradients of small losses vanish there; by itself cuDNN
    computes in TF32, which is about as fast.
    """

    def forward(self, input: Any, hx: torch.Tensor | None = None) -> tuple[Any, torch.Tensor]:
        if not torch.is_autocast_enabled("cuda"):
            return super().forward(input, hx)
        dtype = self.weight_hh_l0.dtype
        with torch.autocast("cuda", enabled=False):
            return super().forward(input.to(dtype), None if hx is None else hx.to(dtype))
