"""Generators that need no VAE, by the names of their arms."""

from __future__ import annotations

import torch

from ..common.recipe import AugmentRecipe
from ..common.shards import Keep
from .generators import Generator
from .generators.language_model import LanguageModel
from .generators.masked_lm import MaskedLanguageModel
from .generators.rules import Rules, wordnet


def make_generator(name: str, settings: AugmentRecipe, dtype: torch.dtype, keep: Keep | None = None) -> Generator:
    """`rules`, `masked_lm` or `language_model`; `dtype` is of the latter's frozen weights, `keep` as for `sharded`.

    Raises:
        UserError: what it needs cannot be had.
    """
    match name:
        case "rules":
            return Rules(wordnet()[0], settings.rule_share)
        case "masked_lm":
            return MaskedLanguageModel(settings.masked_lm, settings.rule_share, keep)
        case "language_model":
            return LanguageModel(
                settings.language_model, settings.language_model_sentences, settings.language_model_steps,
                settings.language_model_top_p, dtype, keep=keep,
            )  # fmt: skip
    raise ValueError(f"no generator is called {name!r}")
