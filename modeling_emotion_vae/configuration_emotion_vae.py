"""Configuration of the valence-arousal VAE."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from torch import Tensor
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

DIMENSIONS = ("valence", "arousal")


class EmotionVAEConfig(PreTrainedConfig):
    """What defines the function that an `EmotionVAEModel`'s weights compute.

    Args:
        encoder: name of the sentence encoder, for the record; its architecture is `encoder_config`.
        encoder_config: configuration of any `AutoModel` body; BERT's by default.
        encoder_layers: hidden states whose means over the tokens, each of length 1, are a sentence's embedding side by
            side; 0 is the embedding layer.
        max_text_length: encoder tokens of a text, special tokens included, and no more than the encoder has positions;
            longer texts are cut.
        hidden_size: units of each layer of the recognition network and of the decoder.
        num_hidden_layers: layers of either.
        num_members: independent networks over the one encoder whose predictions are averaged.
        skip_connections: the decoder reads the recognition network's layers beside the latent (U-Net).
        hidden_dropout: dropped share of every layer's units in training.
        embedding_dropout: dropped share of the sentence embedding's numbers in training.
        categories: kinds of text that network and decoder are conditioned on; none for an unconditional VAE.
        category_size: size of the category embedding.
        prior_components: Gaussians of the prior, learned where there is more than the one N(0, I).
        rated: which of valence and arousal the training data rates; the other one is not predicted.
        min_deviation: floor of every predicted standard deviation, in rating units.
        lowest_rating, highest_rating: ends of the rating scale.
        vocabulary_digest: `vocabulary_digest` of the encoder's tokenizer; None: it is not known, and not checked.

    Raises:
        ValueError: an impossible value, named.
    """

    model_type = "emotion_vae"
    sub_configs = {"encoder_config": AutoConfig}  # noqa: RUF012
    # A Trainer puts batches of outputs together along their first axis, which is that of members here.
    keys_to_ignore_at_inference = [  # noqa: RUF012
        "reconstruction", "kl", "mean_error", "deviation_error", "nll", "latents", "mean", "log_variance",
    ]  # fmt: skip

    def __init__(
        self,
        encoder: str = "sentence-transformers/all-MiniLM-L6-v2",
        encoder_config: Any = None,
        encoder_layers: tuple[int, ...] = (0, 4, 5, 6),
        max_text_length: int = 128,
        hidden_size: int = 512,
        num_hidden_layers: int = 3,
        num_members: int = 1,
        skip_connections: bool = True,
        hidden_dropout: float = 0.3,
        embedding_dropout: float = 0.1,
        categories: tuple[str, ...] = (),
        category_size: int = 16,
        prior_components: int = 1,
        rated: tuple[str, ...] = DIMENSIONS,
        min_deviation: float = 0.1,
        lowest_rating: float = 1.0,
        highest_rating: float = 5.0,
        vocabulary_digest: str | None = None,
        **kwargs: Any,
    ) -> None:
        if encoder_config is None:
            encoder_config = {"model_type": "bert"}
        if isinstance(encoder_config, dict):
            encoder_config = CONFIG_MAPPING[encoder_config["model_type"]](**encoder_config)
        sizes = {
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
            "num_members": num_members,
            "prior_components": prior_components,
            "category_size": category_size,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        depth = encoder_config.num_hidden_layers
        if not encoder_layers or any(not 0 <= layer <= depth for layer in encoder_layers):
            raise ValueError(f"encoder_layers must be some of 0 to {depth}, not {list(encoder_layers)}")
        if not rated or set(rated) - set(DIMENSIONS):
            raise ValueError(f"rated must be some of {', '.join(DIMENSIONS)}, not {list(rated)}")
        if min_deviation <= 0:
            raise ValueError(f"min_deviation must be above 0, not {min_deviation}")
        if not lowest_rating < highest_rating:
            raise ValueError(f"lowest_rating ({lowest_rating}) must be under highest_rating ({highest_rating})")
        self.encoder = encoder
        self.encoder_config = encoder_config
        self.encoder_layers = list(encoder_layers)
        self.max_text_length = min(max_text_length, getattr(encoder_config, "max_position_embeddings", max_text_length))
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_members = num_members
        self.skip_connections = skip_connections
        self.hidden_dropout = hidden_dropout
        self.embedding_dropout = embedding_dropout
        self.categories = list(categories)
        self.category_size = category_size
        self.prior_components = prior_components
        self.rated = [name for name in DIMENSIONS if name in rated]
        self.min_deviation = min_deviation
        self.lowest_rating = lowest_rating
        self.highest_rating = highest_rating
        self.vocabulary_digest = vocabulary_digest
        super().__init__(**kwargs)

    @property
    def embedding_size(self) -> int:
        """Numbers of a sentence embedding."""
        return len(self.encoder_layers) * self.encoder_config.hidden_size

    def check_ratings(self, kind: Literal["rating", "deviation"], values: Tensor) -> None:
        """Refuse ratings (B, 2), or raters' deviations, that nobody can have given; NaN stands for none.

        Raises:
            ValueError: one outside the scale, or a number for a dimension that is not rated.
        """
        low, high = self.lowest_rating, self.highest_rating
        if kind == "deviation":
            low, high = 0.0, high - low
        wrong = values[(values < low) | (values > high)]
        if wrong.numel():
            raise ValueError(f"a {kind} of {wrong[0].item():g} lies outside {low:g} to {high:g}")
        for index, name in enumerate(DIMENSIONS):
            if name not in self.rated and not values[:, index].isnan().all():
                raise ValueError(f"this model does not rate {name}: its {kind} must be NaN")


def vocabulary_digest(tokenizer: Any) -> str:
    """Of a tokenizer's tokens and ids: what it has in common with others that the same weights can read."""
    return hashlib.sha256(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode()).hexdigest()[:16]


EmotionVAEConfig.register_for_auto_class()
