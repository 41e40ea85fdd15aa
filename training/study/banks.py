"""The bank of the arm `self_training`: the sentences that the VAE was trained on, and what a teacher sees of them.

The same real text that the VAE learned from, without the VAE: what generating is worth shows in the difference.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from textvae.modeling_textvae.generation import features_of
from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..augment.generators.bank import Bank
from ..common.files import fingerprint
from ..common.precision import autocast, device
from ..common.recipe import Recipe
from ..vae.data import load_sentences
from ..vae.parts import Parts
from ..vae.train import load_model


def make_bank(folder: Path, recipe: Recipe, dtype: str) -> None:
    """Encode the bank into the run folder, once for all subsets."""
    model, tokenizer = load_model(folder / "vae")
    with autocast(getattr(torch, dtype), device()):
        read_bank(folder, recipe, model.to(device()).eval(), tokenizer)


def read_bank(folder: Path, recipe: Recipe, model: TextVAEModel, tokenizer) -> Bank:
    """The bank as a generator."""
    embed = partial(features_of, model, tokenizer=tokenizer, max_length=recipe.augment.teacher_tokens)
    parts = Parts(
        folder / "augmented" / "bank",
        fingerprint(folder / "vae" / "model.safetensors", recipe.vae, recipe.seed, recipe.augment.teacher_tokens),
    )
    sentences = parts.data("sentences", lambda: list(dict.fromkeys(load_sentences(recipe.vae, recipe.seed).train)))
    features = parts.tensors("features", lambda: {"features": embed(sentences)})["features"]
    return Bank("self_training", sentences, features, embed, recipe.augment.bank_share)
