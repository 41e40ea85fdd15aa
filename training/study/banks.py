"""Banks of sentences, and what the teachers see of them, made once for all subsets.

That of `self_training` holds the sentences that the VAE was trained on, that of `vae` samples of the VAE's prior: both
are chosen from and put together alike, so that the difference between the two arms is what generating is worth.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from textvae.modeling_textvae.augmentation import seed_of_row
from textvae.modeling_textvae.generation import DECODE_BATCH, decode_ids
from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..augment.generators import Cost
from ..augment.generators.bank import Bank
from ..augment.judging import Embed, remembering, sentence_perplexities, teacher_body
from ..common.files import fingerprint
from ..common.precision import autocast, device
from ..common.recipe import Recipe
from ..common.recipe_files import load_recipe
from ..common.shards import sharded
from ..common.sources import resolve_model
from ..common.text import normalise
from ..vae.data import load_sentences
from ..vae.parts import Parts
from ..vae.train import load_model
from .plan import filters_asked, seed_of


def vae_home(folder: Path, recipe: Recipe) -> Path:
    """The run folder whose VAE a run folder uses: its own, or one beside it. Banks stand there, for all who use it."""
    return folder if recipe.vae_of is None else folder.parent / load_recipe(recipe.vae_of).name


def make_bank(folder: Path, recipe: Recipe, name: str, dtype: str) -> None:
    """Make and encode the bank of an arm in the run folder."""
    model, tokenizer = load_model(folder / "vae")
    read_bank(folder, recipe, name, model.to(device()).eval(), tokenizer, getattr(torch, dtype))


def read_bank(
    folder: Path, recipe: Recipe, name: str, model: TextVAEModel, tokenizer: Any, dtype: torch.dtype = torch.float32
) -> Bank:
    """The bank of an arm as a generator."""
    settings = recipe.augment
    embed = teacher_body(settings, model, tokenizer, dtype)
    made_from = [folder / "vae" / "model.safetensors", recipe.vae, recipe.seed, str(dtype)]
    made_from += [settings.teacher_tokens, revision_of(settings.teacher_model), settings.bank_sentences]
    made_from += [settings.prior_top_p] if name == "vae" else []
    made = fingerprint(*made_from)
    parts = Parts(vae_home(folder, recipe) / "banks" / f"{name}-{made[:8]}", made)

    def sentences() -> dict[str, Any]:
        seed = seed_of(recipe.seed, "bank")
        if name == "self_training":
            real = list(dict.fromkeys(load_sentences(recipe.vae, recipe.seed).train))
            drawn = random.Random(seed).sample(real, min(settings.bank_sentences, len(real)))
            return {"texts": drawn, "cost": {}}
        cost = Cost()
        with cost.writing():
            texts = sample_prior(model, tokenizer, settings.bank_sentences, settings.prior_top_p, seed)
        cost.words = sum(len(text.split()) for text in texts)
        return {"texts": texts, "cost": asdict(cost)}

    with autocast(dtype, device()):
        bank = parts.data("sentences", sentences)
        texts = bank["texts"]
        read = parts.tensors("features", lambda: encoded(texts, embed))
    perplexities = None
    if "perplexity" in filters_asked(recipe, name):
        score = sentence_perplexities(settings, dtype)
        scored_by = fingerprint(revision_of(settings.perplexity_model), settings.perplexity_tokens)
        perplexities = parts.data(f"perplexities-{scored_by[:8]}", lambda: score(texts))
    cost = Cost(**bank["cost"])
    cost.encoding_cpu_seconds = float(read["cpu_seconds"])
    known = remembering(embed, texts, read["features"])
    return Bank(name, texts, read["features"], known, settings.bank_share, perplexities, cost)


def encoded(texts: list[str], embed: Embed) -> dict[str, torch.Tensor]:
    """Their `features`, and the `cpu_seconds` that it took to find these."""
    embed(texts[:1])  # loads what reads them, which is no cost of theirs
    begun = time.process_time()
    features = embed(texts)
    return {"features": features, "cpu_seconds": torch.tensor(time.process_time() - begun)}


def revision_of(model: str | None) -> str | None:
    """Of a model's weights: what stands in for it is another."""
    return None if model is None else resolve_model(model)[1].revision


@torch.no_grad()
def sample_prior(model: TextVAEModel, tokenizer: Any, count: int, top_p: float, seed: int) -> list[str]:
    """`count` sentences drawn from the model's prior, less the empty and those that repeat one before them."""

    def block(number: int) -> list[str]:
        ids = model.generate(
            num_return_sequences=min(DECODE_BATCH, count - number * DECODE_BATCH), do_sample=True, top_p=top_p,
            generator=torch.Generator().manual_seed(seed_of_row(seed, number)),
        )  # fmt: skip
        return decode_ids(ids, tokenizer)

    texts: dict[str, str] = {}
    for part in sharded(math.ceil(count / DECODE_BATCH), block):
        for text in part:
            texts.setdefault(normalise(text), text)
    texts.pop("", None)
    return list(texts.values())
