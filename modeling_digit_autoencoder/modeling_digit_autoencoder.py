"""The digit autoencoder: a convolutional encoder and decoder around a small latent, deterministic or variational."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, initialization
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_digit_autoencoder import DigitAutoencoderConfig
from .mixture import GaussianMixture


@dataclass
class DigitAutoencoderOutput(ModelOutput):
    """What a batch of B images comes to.

    loss: () float32, the mean over images: of the squared error a pixel, or of nll + kl, in nats, where variational.
    reconstruction: (B, 1, S, S) in [0, 1], of the weights' dtype, as the three that follow.
    latents: (B, Z), what was decoded.
    mean: (B, Z), the code: `latents` without noise.
    log_variance: (B, Z); None unless variational, as nll and kl.
    squared_error: (B,) float32, the mean over an image's pixels.
    nll: (B,) float32 nats an image: grey pixels' cross-entropy under Bernoulli probabilities, summed over pixels. It is
        no likelihood of grey values, and does not compare with figures of binarised digits.
    kl: (B,) float32 nats from N(0, I).
    """

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    latents: Tensor | None = None
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    squared_error: Tensor | None = None
    nll: Tensor | None = None
    kl: Tensor | None = None


@dataclass
class DigitEncoderOutput(ModelOutput):
    """The code of B images, of the weights' dtype: mean (B, Z), and log_variance (B, Z), None unless variational."""

    mean: Tensor
    log_variance: Tensor | None = None


class ResidualBlock(nn.Module):
    """x + W₂ silu(W₁ norm(x)), of one width."""

    def __init__(self, size: int):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.inner = nn.Linear(size, size)
        self.outer = nn.Linear(size, size)

    def forward(self, states: Tensor) -> Tensor:
        return states + self.outer(F.silu(self.inner(self.norm(states))))


def _dense(inputs: int, outputs: int, config: DigitAutoencoderConfig) -> nn.Sequential:
    size = config.hidden_size
    blocks = [ResidualBlock(size) for _ in range(config.num_hidden_layers)]
    return nn.Sequential(nn.Linear(inputs, size), *blocks, nn.LayerNorm(size), nn.SiLU(), nn.Linear(size, outputs))


class DigitEncoder(nn.Module):
    """(B, 1, S, S) pixels in [0, 1] → mean and log-variance of the latent."""

    def __init__(self, config: DigitAutoencoderConfig):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for channels in config.channels:
            layers += [
                nn.Conv2d(inputs, channels, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.SiLU(),
            ]
            inputs = channels
        self.convolutions = nn.Sequential(*layers)
        outputs = config.latent_size * (2 if config.variational else 1)
        self.dense = _dense(inputs * config.sides[-1] ** 2, outputs, config)
        self.variational = config.variational

    def forward(self, pixel_values: Tensor) -> DigitEncoderOutput:
        code = self.dense(self.convolutions(pixel_values).flatten(1))
        if not self.variational:
            return DigitEncoderOutput(mean=code)
        mean, log_variance = code.chunk(2, dim=1)
        return DigitEncoderOutput(mean=mean, log_variance=log_variance)


class DigitDecoder(nn.Module):
    """(B, Z) latents → (B, 1, S, S) logits of the pixels: each step back is the mirror of one of the encoder's."""

    def __init__(self, config: DigitAutoencoderConfig):
        super().__init__()
        self.start = (config.channels[-1], config.sides[-1], config.sides[-1])
        self.dense = _dense(config.latent_size, math.prod(self.start), config)
        layers: list[nn.Module] = []
        outputs = [1, *config.channels[:-1]]
        for before, after, side in reversed(list(zip(outputs, config.channels, config.sides, strict=False))):
            even = 1 - side % 2  # whether the side was halved without a rest
            layers += [
                nn.BatchNorm2d(after),
                nn.SiLU(),
                nn.ConvTranspose2d(after, before, 3, 2, 1, output_padding=even),
            ]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        return self.convolutions(self.dense(latents).unflatten(1, self.start))


class DigitAutoencoderModel(PreTrainedModel):
    """Encoder and decoder, and what latents are drawn from to generate.

    `config.variational` makes it a VAE (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114).
    """

    config_class = DigitAutoencoderConfig
    base_model_prefix = "autoencoder"
    main_input_name = "pixel_values"
    _no_split_modules = ("DigitEncoder", "DigitDecoder", "GaussianMixture")
    # Shares in half precision do not sum to 1.
    _keep_in_fp32_modules_strict = ("prior",)

    def __init__(self, config: DigitAutoencoderConfig):
        super().__init__(config)
        self.encoder = DigitEncoder(config)
        self.decoder = DigitDecoder(config)
        self.prior = GaussianMixture(config.prior_components, config.latent_size) if config.prior_components else None
        self.post_init()

    @classmethod
    def can_generate(cls) -> bool:
        """Not sequences: transformers would otherwise give a reload a generation_config.json."""
        return False

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            # As torch does it; deviations of 0.02, right for transformers, let a small decoder go flat and stay so.
            initialization.kaiming_uniform_(module.weight, a=math.sqrt(5))

    @can_return_tuple
    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None
    ) -> DigitAutoencoderOutput:
        """Rebuild a batch of images.

        Args:
            pixel_values: (B, 1, S, S) float of any precision, in [0, 1].
            labels: (B, 1, S, S), the clean images where `pixel_values` are noisy; None rebuilds `pixel_values`.
            generator: of the variational noise; a generator of the CPU gives the same on any device.

        Raises:
            ValueError: images of another shape than the configuration's, or pixels outside [0, 1].
        """
        code = self.encode(pixel_values)
        if labels is None:
            labels = pixel_values
        else:
            self._check(labels, "labels")
        latents = code.mean
        if code.log_variance is not None:
            latents = latents + (code.log_variance / 2).exp() * _noise(latents, generator)
        logits = self.decoder(latents)
        reconstruction = logits.sigmoid()
        labels = labels.float()
        squared_error = (reconstruction - labels).square().flatten(1).mean(1)
        if code.log_variance is None:
            loss, nll, kl = squared_error.mean(), None, None
        else:
            nll = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none").flatten(1).sum(1)
            mean, log_variance = code.mean.float(), code.log_variance.float()
            kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
            loss = (nll + kl).mean()
        return DigitAutoencoderOutput(
            loss=loss,
            reconstruction=reconstruction,
            latents=latents,
            mean=code.mean,
            log_variance=code.log_variance,
            squared_error=squared_error,
            nll=nll,
            kl=kl,
        )

    def encode(self, pixel_values: Tensor) -> DigitEncoderOutput:
        """The code of (B, 1, S, S) images; errors as for `forward`."""
        self._check(pixel_values, "pixel_values")
        return self.encoder(pixel_values.to(self.dtype))

    def decode(self, latents: Tensor) -> Tensor:
        """(B, Z) latents of any precision → (B, 1, S, S) images in [0, 1], of the weights' dtype.

        Raises:
            ValueError: latents of another width than the configuration's.
        """
        size = self.config.latent_size
        if latents.shape[1:] != (size,):
            raise ValueError(f"latents must have the shape (B, {size}), not {tuple(latents.shape)}")
        return self.decoder(latents.to(self.dtype)).sigmoid()

    @torch.no_grad()
    def generate(self, num: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """(num, 1, S, S) new images, of latents drawn from the fitted mixture where there is one, else from N(0, I).

        Raises:
            ValueError: a deterministic model without a mixture, whose latents follow nothing that is known.
        """
        if self.prior is not None:
            return self.decode(self.prior.sample(num, generator))
        if not self.config.variational:
            raise ValueError("an autoencoder has no prior to draw from; fit a mixture to its codes and call set_prior")
        return self.decode(_noise(torch.empty(num, self.config.latent_size, device=self.device), generator))

    @torch.no_grad()
    def interpolate(self, start: Tensor, end: Tensor, steps: int = 8) -> Tensor:
        """(steps, 1, S, S): the way from one image (1, S, S) to another on the straight line between their codes."""
        ends = self.encode(torch.stack([start, end])).mean
        shares = torch.linspace(0, 1, steps, device=ends.device)[:, None]
        return self.decode((1 - shares) * ends[0] + shares * ends[1])

    def set_prior(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Give `generate` a mixture of K Gaussians to draw from; it is saved with the weights.

        Args:
            weights: (K,) shares, which sum to 1.
            means: (K, Z)
            covariances: (K, Z, Z)
        """
        self.prior = GaussianMixture(len(weights), self.config.latent_size).to(self.device)
        self.config.prior_components = len(weights)
        scales = torch.linalg.cholesky(covariances.double())
        for name, values in (("weights", weights), ("means", means), ("scales", scales)):
            self.prior.get_buffer(name).copy_(values)

    def _check(self, images: Tensor, name: str) -> None:
        side = self.config.image_size
        if images.shape[1:] != (1, side, side):
            raise ValueError(f"{name} must have the shape (B, 1, {side}, {side}), not {tuple(images.shape)}")
        if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
            raise ValueError(f"{name} must lie in [0, 1], not {float(images.min()):g} … {float(images.max()):g}")


def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, device=device, dtype=like.dtype).to(like.device)


DigitAutoencoderModel.register_for_auto_class("AutoModel")
