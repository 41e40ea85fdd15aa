"""Priors fitted to texts: where these lie under the model's own prior, or which of its draws are of a class."""

from __future__ import annotations

import json
import math
from os import PathLike
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from .decoder import NUM_SPECIAL
from .posterior import device_of


class FittedPrior(nn.Module):
    """What texts are drawn from in place of a model's own prior, one a class; it is saved beside the model's weights.

    Args:
        num_classes: classes it knows; 1 where it was fitted without labels.
        facts: what it was fitted to, for the record: strings, numbers and lists of them.
    """

    def __init__(self, num_classes: int, facts: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.num_classes, self.facts = num_classes, dict(facts or {})

    def check_classes(self, class_ids: torch.Tensor) -> None:
        if len(class_ids) and not 0 <= int(class_ids.min()) <= int(class_ids.max()) < self.num_classes:
            raise ValueError(f"class_ids must lie in 0 to {self.num_classes - 1}, the classes of this prior")

    def save(self, path: str | PathLike[str]) -> None:
        """Write one safetensors file, the facts in its header."""
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, path, metadata={"format": "pt", "facts": json.dumps(self.facts)})

    @staticmethod
    def load(path: str | PathLike[str]) -> FittedPrior:
        """The prior in a file that `save` wrote, of whatever kind it is."""
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        kind = MixturePrior if "scales" in tensors else ResampledPrior
        return kind(**tensors, facts=facts)


class MixturePrior(FittedPrior):
    """Mixtures of Gaussians with full covariances, one mixture a class; float64 buffers.

    Args:
        log_weights: (C, K) log shares of a class's components.
        means: (C, K, Z)
        scales: (C, K, Z, Z) lower Cholesky factors of the covariances.
    """

    def __init__(
        self, log_weights: torch.Tensor, means: torch.Tensor, scales: torch.Tensor, facts: dict[str, Any] | None = None
    ) -> None:
        super().__init__(len(log_weights), facts)
        for name, tensor in (("log_weights", log_weights), ("means", means), ("scales", scales)):
            self.register_buffer(name, tensor.double())

    def sample(
        self, class_ids: torch.Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """(N, Z) float32 draws of the classes (N,); `temperature` scales the deviations from the means."""
        class_ids = class_ids.cpu()
        self.check_classes(class_ids)
        device = device_of(generator)
        shares = self.log_weights.exp().cpu()[class_ids].to(device)
        chosen = torch.multinomial(shares, 1, generator=generator)[:, 0].cpu()
        shape = (len(class_ids), self.means.shape[-1])
        noise = torch.randn(shape, dtype=torch.float64, generator=generator, device=device).cpu()
        means, scales = self.means.cpu()[class_ids, chosen], self.scales.cpu()
        deviations = torch.empty_like(means)
        for label in range(self.num_classes):
            for component in range(scales.shape[1]):  # a row's own factor at a time would be N · Z² numbers
                rows = (class_ids == label) & (chosen == component)
                deviations[rows] = noise[rows] @ scales[label, component].T
        return (means + temperature * deviations).float()

    def log_density(self, latents: torch.Tensor, class_ids: torch.Tensor) -> torch.Tensor:
        """(N,) float64 nats of latents (N, Z) under their classes (N,)."""
        latents = latents.double()
        result = latents.new_empty(len(latents))
        for label in range(self.num_classes):
            rows = (class_ids == label).nonzero()[:, 0]
            centred = latents[rows][None] - self.means[label][:, None]  # (K, n, Z)
            solved = torch.linalg.solve_triangular(self.scales[label], centred.transpose(1, 2), upper=False)
            log_volume = self.scales[label].diagonal(dim1=-2, dim2=-1).log().sum(-1)
            constant = 0.5 * latents.shape[1] * math.log(2 * math.pi)
            densities = -0.5 * solved.square().sum(1) - log_volume[:, None] - constant
            result[rows] = (densities + self.log_weights[label][:, None]).logsumexp(0)
        return result


class ResampledPrior(FittedPrior):
    """The model's own draws, of which a class keeps those that speak its words: p(x) p(class | x)^sharpness.

    Of `candidates` texts drawn for a row one is kept by sampling–importance resampling (Rubin 1987), as a VAE's prior
    is bent by a learned acceptance (Bauer and Mnih 2019). p(class | x) is log-linear in which tokens a text has,
    divided by the square root of how many: a text's length is no evidence.

    Args:
        weight: (decoder_vocab_size, C) of a text's tokens; zero for the special ones.
        bias: (C,)
        facts: with `candidates` and `sharpness`.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, facts: dict[str, Any]) -> None:
        super().__init__(len(bias), facts)
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())
        self.candidates: int = facts["candidates"]

    def class_log_probabilities(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, C) float32 log p(class | x) of texts (N, T) of decoder ids."""
        ordered = tokens.sort(-1).values
        first = F.pad(ordered[:, 1:] != ordered[:, :-1], (1, 0), value=True) & (ordered >= NUM_SPECIAL)
        found = (self.weight[ordered] * first[..., None]).sum(1) / first.sum(1, keepdim=True).clamp(min=1).sqrt()
        return (found + self.bias).log_softmax(-1)

    def choose(
        self, tokens: torch.Tensor, class_ids: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """(N,) rows of texts (N · candidates, T), one kept of the `candidates` in a row drawn for each class (N,)."""
        self.check_classes(class_ids)
        scores = self.class_log_probabilities(tokens).cpu().view(-1, self.candidates, self.num_classes)
        wanted = scores.gather(2, class_ids.cpu()[:, None, None].expand(-1, self.candidates, 1))[..., 0]
        shares = (self.facts["sharpness"] * wanted).softmax(-1).to(device_of(generator))
        kept = torch.multinomial(shares, 1, generator=generator)[:, 0].cpu()
        return torch.arange(len(kept)) * self.candidates + kept
