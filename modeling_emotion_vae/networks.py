"""The networks over a sentence embedding: all members of an ensemble at once, as batched products."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from .configuration_emotion_vae import DIMENSIONS, EmotionVAEConfig

LATENT = len(DIMENSIONS)


class MemberLinear(nn.Module):
    """(M, B, in) → (M, B, out): a linear layer of its own for each of M members."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight, std=1 / math.sqrt(self.weight.shape[1]))
        init.zeros_(self.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, inputs.to(self.weight.dtype), self.weight)


class RecognitionNetwork(nn.Module):
    """Sentence embedding → posterior of (valence, arousal), log-variance of its mean's error, its layers' states."""

    def __init__(self, config: EmotionVAEConfig) -> None:
        super().__init__()
        members, size = config.num_members, config.hidden_size
        width = config.embedding_size + (config.category_size if config.categories else 0)
        self.layers = nn.ModuleList(
            MemberLinear(members, size if index else width, size) for index in range(config.num_hidden_layers)
        )
        self.posterior = MemberLinear(members, size, 2 * LATENT)
        self.error = MemberLinear(members, size, LATENT)
        self.hidden_dropout = nn.Dropout(config.hidden_dropout)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """(M, B, D) → mean, log-variance and the error's log-variance (M, B, 2), and a state (M, B, H) a layer."""
        hidden, states = self.embedding_dropout(embeddings), []
        for layer in self.layers:
            states.append(F.gelu(layer(hidden)))
            hidden = self.hidden_dropout(states[-1])
        mean, log_variance = self.posterior(hidden).chunk(2, dim=-1)
        return mean.float(), log_variance.float(), self.error(hidden).float(), states


class Decoder(nn.Module):
    """Latent → sentence embedding; with skips, layer n from the end also reads the recognition network's layer n.

    That is the U-Net of Ronneberger et al. 2015. Hidden skips are zeros, which is how a latent without a text is read.
    """

    def __init__(self, config: EmotionVAEConfig) -> None:
        super().__init__()
        members, size = config.num_members, config.hidden_size
        skip = size if config.skip_connections else 0
        first = LATENT + (config.category_size if config.categories else 0)
        self.skips = config.skip_connections
        self.layers = nn.ModuleList(
            MemberLinear(members, (size if index else first) + skip, size) for index in range(config.num_hidden_layers)
        )
        self.output = MemberLinear(members, size, config.embedding_size)
        self.hidden_dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, latents: Tensor, states: list[Tensor] | None) -> Tensor:
        """(M, B, 2, and the category's embedding where there are any) and the layers' states → (M, B, D)."""
        hidden = latents
        for index, layer in enumerate(self.layers, start=1):
            if self.skips:
                hidden = hidden if index == 1 else self.hidden_dropout(hidden)
                absent = hidden.new_zeros(*hidden.shape[:2], layer.weight.shape[1] - hidden.shape[2])
                hidden = torch.cat([hidden, absent if states is None else states[-index]], dim=-1)
            hidden = F.gelu(layer(hidden))
        return self.output(self.hidden_dropout(hidden)).float()


class MixturePrior(nn.Module):
    """A learned mixture of diagonal Gaussians over the latent, one a member."""

    def __init__(self, members: int, components: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.empty(members, 1, components))
        self.means = nn.Parameter(torch.empty(members, 1, components, LATENT))
        self.log_variances = nn.Parameter(torch.empty(members, 1, components, LATENT))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.zeros_(self.logits)
        init.normal_(self.means)
        init.zeros_(self.log_variances)

    def log_density(self, latents: Tensor) -> Tensor:
        """(M, B, 2) → (M, B) in nats."""
        squares = (latents[:, :, None] - self.means).square() / self.log_variances.exp()
        densities = -0.5 * (squares + self.log_variances + math.log(2 * math.pi)).sum(-1)
        return (densities + self.logits.log_softmax(-1)).logsumexp(-1)
