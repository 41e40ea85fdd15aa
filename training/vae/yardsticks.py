"""What a VAE is measured against: its own decoder as a language model, and a plain Sentence-VAE."""

from __future__ import annotations

import copy
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..common import precision
from ..common.files import fingerprint, read_json, write_json
from ..common.progress import say
from ..common.recipe import Recipe
from ..common.sources import load_texts
from .likelihood import score
from .loop import Loop
from .train import language_model_recipe, load_model, train_vae

BASELINE_LATENT = 64
BASELINE_WORD_DROPOUT = 0.25
REVERSE_TOKENS = 1200  # a step
REVERSE_LEARNING_RATE = 2e-3


def sentence_vae_recipe(recipe: Recipe) -> Recipe:
    """As Bowman et al. (2016): a flat latent that sets the initial state alone, β on a line to 1, word dropout."""
    plain = language_model_recipe(recipe, recipe.evaluation.baseline_steps, BASELINE_WORD_DROPOUT)
    return replace(plain, vae=replace(plain.vae, latent_size=BASELINE_LATENT, beta_schedule="linear", beta_end=1.0))


def train_yardsticks(recipe: Recipe, folder: Path, dtype: torch.dtype) -> tuple[Path, Path]:
    """Folders of the best language model and of the Sentence-VAE, trained in one process where they are not there yet.

    Of language models with different word dropout the one that finds the validation texts likeliest, in `dtype`, is
    kept.
    """
    recipe = replace(recipe, num_processes=1)
    texts = load_texts(recipe.vae.texts, "validation").texts
    found: dict[Path, float] = {}
    for word_dropout in recipe.evaluation.language_model_word_dropout:
        place = folder / f"language_model-{word_dropout:g}"
        train_vae(language_model_recipe(recipe, recipe.evaluation.language_model_steps, word_dropout), place)
        known = place / "validation.json"
        made_from = fingerprint(place / "model.safetensors", texts, str(dtype))
        if not known.exists() or read_json(known).get("made_from") != made_from:
            model, tokenizer = load_model(place)
            model.to(precision.device())
            with precision.autocast(dtype, model.device):
                nll = score(model, texts, tokenizer, num_samples=1).nll.mean().item()
            write_json(known, {"texts": len(texts), "nll": nll, "made_from": made_from})
        found[place] = read_json(known)["nll"]
        say(f"language model: word dropout {word_dropout:g}, {found[place]:.1f} nats a validation text → {place}")
    baseline = folder / "sentence_vae"
    train_vae(sentence_vae_recipe(recipe), baseline)
    return min(found, key=lambda place: found[place]), baseline


def reverse_perplexity(
    model: TextVAEModel, tokenizer: Any, texts: list[str], real: list[str], recipe: Recipe, dtype: torch.dtype
) -> float:
    """Perplexity a token of real texts under a language model trained on `texts` alone (Zhao et al. 2018).

    It is a fresh GRU of the size and vocabulary of `model`'s decoder. Texts without variety, or unlike real ones, make
    it high. It falls with the number of texts, so that sets compare only at an equal number.
    """
    config = copy.deepcopy(model.config)
    config.latent_size = config.latent_chunks = config.num_classes = 0
    config.bag_of_words, config.prior = False, "standard"
    torch.manual_seed(recipe.seed)
    fresh = TextVAEModel(config)
    fresh.encoder.load_state_dict(model.encoder.state_dict())
    decoder = model.decoder
    ids = tokenizer(texts, padding=True, return_tensors="pt")["input_ids"].to(model.device)
    counts = torch.bincount(decoder.respell(ids).flatten(), minlength=config.decoder_vocab_size).float().cpu() + 1
    vocabulary = (decoder.kept_ids, decoder.respelling, (counts / counts.sum()).log(), decoder.continues, decoder.joins)
    fresh.set_decoder_vocabulary(*vocabulary)
    settings = replace(
        language_model_recipe(recipe, recipe.evaluation.reverse_steps).vae, tokens_per_step=REVERSE_TOKENS,
        text_weight=1, final_text_share=0.0, warmup_steps=20, learning_rate=REVERSE_LEARNING_RATE,
        checkpoint_every=10**6,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(fresh, tokenizer, texts, len(texts), settings, seed=recipe.seed, dtype=dtype)
        fresh = loop.run(Path(folder))
    with precision.autocast(dtype, fresh.device):
        scored = score(fresh, real, tokenizer, num_samples=1)
    return math.exp((scored.nll.sum() / scored.tokens.sum()).item())


def same_vocabulary(first: TextVAEModel, second: TextVAEModel) -> bool:
    """Whether two models spell every text alike, so that their likelihoods compare."""
    return first.decoder.respelling.equal(second.decoder.respelling)
