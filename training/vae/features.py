"""A bounded cache of frozen encoder states, for encoders whose body is dear to run."""

from __future__ import annotations

import numpy as np
import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..common.errors import UserError
from ..common.progress import bar, say
from .data import Tokens

CACHE_BATCH = 64


class StateCache:
    """States (L, T, H) of every row in bfloat16, in memory.

    Raises:
        UserError: they would take more than `gigabytes`; nothing is computed then.
    """

    def __init__(self, model: TextVAEModel, tokens: Tokens, gigabytes: float) -> None:
        self.tokens = tokens
        layers, size = len(model.config.encoder_layers), model.config.encoder_config.hidden_size
        needed = len(tokens.flat) * layers * size * 2 / 1e9
        if needed > gigabytes:
            raise UserError(
                f"vae.cache_encoder_states: {len(tokens)} sentences × {layers} layers need {needed:.1f} GB, more than "
                f"vae.cache_gigabytes ({gigabytes:g}); raise it, name fewer encoder_layers, or do not cache"
            )
        say(f"caching encoder states: {needed:.2f} GB")
        self.states = torch.empty(len(tokens.flat), layers, size, dtype=torch.bfloat16)
        order = np.argsort(tokens.lengths, kind="stable")
        with torch.no_grad():
            for start in bar(range(0, len(order), CACHE_BATCH), total=None, label="encoder states", unit="batch"):
                rows = order[start : start + CACHE_BATCH]
                ids, mask = (tensor.to(model.device) for tensor in tokens.batch(rows))
                states = model.encoder_states(ids, mask).transpose(1, 2).to("cpu", torch.bfloat16)
                for index, row in enumerate(rows):
                    self.states[tokens.starts[row] : tokens.starts[row + 1]] = states[index, : tokens.lengths[row]]

    def batch(self, rows: np.ndarray) -> torch.Tensor:
        """(B, L, T, H) float32 states of rows, zero where padded."""
        parts = [self.states[self.tokens.starts[row] : self.tokens.starts[row + 1]] for row in rows]
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).transpose(1, 2).float()
