"""From an encoder's token states to the parameters of a Gaussian posterior."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .configuration_textvae import TextVAEConfig
from .gru import GRU

POSITION_FREQUENCIES = 8
NEARNESS = 1.5  # where a query's dislike of distance starts: softplus of it a chunk


class LatentPooler(nn.Module):
    """Learned mixture of layers → biGRU → position-aware queries, one a chunk of the latent.

    Query k writes chunk k. It starts out looking at the tokens that the decoder will write with that chunk in hand, the
    ones from k · `chunk_tokens` on: a code whose place the decoder knows needs no nats to say where it belongs. The
    biGRU's final states add a map of the whole sentence to every chunk. A latent without chunks is that map alone.
    """

    def __init__(self, config: TextVAEConfig) -> None:
        super().__init__()
        size, chunks = config.pooler_size, config.latent_chunks
        self.chunks, self.chunk_tokens = chunks, config.chunk_tokens
        self.initial_log_variance = config.initial_log_variance
        self.mixture = nn.Parameter(torch.empty(len(config.encoder_layers)))
        self.project = nn.Linear(config.encoder_config.hidden_size, config.embedding_size)
        self.gru = GRU(config.embedding_size, size, batch_first=True, bidirectional=True)
        if chunks:
            self.key = nn.Linear(2 * size + 6 * POSITION_FREQUENCIES, config.query_size)
            self.value = nn.Linear(2 * size, config.query_size)
            self.queries = nn.Parameter(torch.empty(chunks, config.query_size))
            self.centres = nn.Parameter(torch.empty(chunks))
            self.slopes = nn.Parameter(torch.empty(chunks))
            self.chunk_heads = nn.Parameter(torch.empty(chunks, config.query_size, 2 * config.latent_size // chunks))
        self.whole = nn.Linear(2 * size + (config.class_size if config.num_classes else 0), 2 * config.latent_size)

    def reset_parameters(self) -> None:
        init.zeros_(self.mixture)
        if self.chunks:
            init.normal_(self.queries, std=0.5)
            init.copy_(self.centres, torch.arange(self.chunks) + 0.5)
            init.constant_(self.slopes, NEARNESS)
            init.normal_(self.chunk_heads, std=self.chunk_heads.shape[1] ** -0.5)

    def forward(
        self,
        states: torch.Tensor,
        words: torch.Tensor,
        places: torch.Tensor,
        attention_mask: torch.Tensor,
        class_vectors: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance, each (B, Z).

        Args:
            states: (B, L, T, H) of the encoder's tokens.
            words: (B, T, embedding_size) the decoder's own vectors of the tokens: what it will compare its output with.
            places: (B, T) where in the decoder's text each token stands.
            attention_mask: (B, T), right-padded.
            class_vectors: (B, class_size) of a model with classes.
        """
        weights = self.mixture.softmax(0).to(states.dtype)
        mixed = self.project(torch.einsum("l,blth->bth", weights, states)) + words
        # Packing keeps the backward direction from reading padding.
        lengths = attention_mask.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(mixed, lengths, batch_first=True, enforce_sorted=False)
        outputs, final = self.gru(packed)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=mixed.shape[1])
        whole = torch.cat([final[0], final[1], *([] if class_vectors is None else [class_vectors])], dim=-1)
        mean, log_variance = self.whole(whole).float().chunk(2, dim=-1)
        if self.chunks:
            chunk_mean, chunk_log_variance = self.read_chunks(outputs, places, attention_mask).chunk(2, dim=-1)
            mean, log_variance = mean + chunk_mean.flatten(1), log_variance + chunk_log_variance.flatten(1)
        # exp of the log-variance must stay finite; the bounds are far outside what training visits.
        return mean, (log_variance + self.initial_log_variance).clamp(-16.0, 8.0)

    def read_chunks(self, outputs: torch.Tensor, places: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, K, 2 Z / K) float32: what each query makes of the biGRU's outputs (B, T, ·)."""
        keys = self.key(torch.cat([outputs, _position_features(attention_mask, outputs.dtype)], dim=-1))
        scores = torch.einsum("kd,btd->bkt", self.queries.to(keys.dtype), keys).float() / math.sqrt(keys.shape[-1])
        distance = (places[:, None, :] / self.chunk_tokens - self.centres[None, :, None]).abs()
        scores = scores - F.softplus(self.slopes)[None, :, None] * distance
        scores = scores.masked_fill(attention_mask[:, None, :] == 0, torch.finfo(scores.dtype).min)
        read = torch.einsum("bkt,btd->bkd", scores.softmax(-1).to(outputs.dtype), self.value(outputs))
        return torch.einsum("bkd,kdc->bkc", read, self.chunk_heads.to(read.dtype)).float()


def _position_features(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, T, 6 · POSITION_FREQUENCIES) sinusoids of the place: from the start, relative, from the end."""
    place = torch.arange(mask.shape[1], device=mask.device, dtype=torch.float32)[None, :]
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=1).float()
    relative = (place / last).clamp(max=1.0)
    rates = torch.exp(-math.log(100.0) * torch.arange(POSITION_FREQUENCIES, device=mask.device) / POSITION_FREQUENCIES)
    angles = torch.stack([place.expand_as(relative), relative * 50.0, last - place], dim=-1)[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(2).to(dtype)
