"""Configuration of the digit autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig


class DigitAutoencoderConfig(PreTrainedConfig):
    """What defines the function that the weights of `DigitAutoencoderModel` compute.

    Args:
        image_size: pixels of a side; images are square and grey.
        channels: of the encoder's convolutions, each of which halves the side; the decoder mirrors them.
        hidden_size: width of the dense layers between the convolutions and the latent.
        num_hidden_layers: residual dense blocks there, in encoder and decoder each.
        latent_size: numbers that an image is coded by.
        variational: the encoder gives a Gaussian and the decoder Bernoulli probabilities (Kingma and Welling 2014);
            otherwise the encoder gives a point, and what is minimised is the squared error.
        prior_components: Gaussians of the mixture that `generate` draws latents from; 0 leaves a variational model its
            prior N(0, I), and another one without anything to draw from.
        digit_share: of an image's side, taken by the longer side of a digit's box in the training images, for whoever
            makes an image of a digit of their own; 20 of 28 pixels are MNIST's.

    Raises:
        ValueError: a size under 1, no channels, an image that so many convolutions halve to less than a pixel, or a
            share outside (0, 1].
    """

    model_type = "digit_autoencoder"

    def __init__(
        self,
        image_size: int = 28,
        channels: Sequence[int] = (32, 64, 128),
        hidden_size: int = 256,
        num_hidden_layers: int = 1,
        latent_size: int = 16,
        variational: bool = False,
        prior_components: int = 0,
        digit_share: float = 20 / 28,
        **kwargs: Any,
    ):
        sizes = {"image_size": image_size, "hidden_size": hidden_size, "latent_size": latent_size}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        for name, value in {"num_hidden_layers": num_hidden_layers, "prior_components": prior_components}.items():
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, not {value}")
        if not channels or min(channels) < 1:
            raise ValueError(f"channels must be one or more numbers of at least 1, not {list(channels)}")
        if image_size < 2 ** (len(channels) - 1) + 1:
            raise ValueError(
                f"image_size {image_size} is too small to be halved {len(channels)} times: name fewer channels"
            )
        if not 0 < digit_share <= 1:
            raise ValueError(f"digit_share must lie in (0, 1], not {digit_share}")
        self.image_size = image_size
        self.channels = list(channels)
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.latent_size = latent_size
        self.variational = variational
        self.prior_components = prior_components
        self.digit_share = digit_share
        super().__init__(**kwargs)

    @property
    def sides(self) -> list[int]:
        """Pixels of a side before the convolutions and after each of them."""
        sides = [self.image_size]
        for _ in self.channels:
            sides.append((sides[-1] + 1) // 2)
        return sides


DigitAutoencoderConfig.register_for_auto_class()
