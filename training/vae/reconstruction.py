"""How well a VAE gives texts back."""

from __future__ import annotations

from typing import Any

import torch

from textvae.modeling_textvae.generation import decode_ids
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.sentences import fit_sentences

from ..common.precision import autocast
from .metrics.summary import bleu

FLUENT_BLEU = 5.0  # below it a model gives too little of somebody's texts back for its rows to be about them
MEASURED_SENTENCES = 500


def round_trip(texts: list[str], tokenizer: Any) -> list[str]:
    """Texts as the tokenizer gives them back: the most that any decoder over its tokens can reach."""
    ids = tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]
    return decode_ids(ids, tokenizer)


def reconstruction_bleu(model: TextVAEModel, tokenizer: Any, texts: list[str]) -> tuple[float, list[str]]:
    """Corpus BLEU-4 (0–100, sacrebleu's defaults) of greedy reconstructions from the posterior's mean, and these.

    References are the texts' tokenizer round trip, so that letter case and spacing, which an uncased
    tokenizer loses before the model sees a text, are not counted against it.
    """
    reconstructions = model.reconstruct(texts, tokenizer)
    return bleu(reconstructions, round_trip(texts, tokenizer)), reconstructions


def familiarity(model: TextVAEModel, tokenizer: Any, texts: list[str], dtype: torch.dtype) -> tuple[float, list[str]]:
    """The reconstruction BLEU of (at most 500 of) the sentences that texts divide into, and all of these."""
    sentences = [s for row in fit_sentences(texts, tokenizer, model.config.max_text_length) for s in row]
    step = max(len(sentences) // MEASURED_SENTENCES, 1)
    with autocast(dtype, model.device):
        return reconstruction_bleu(model, tokenizer, sentences[::step])[0], sentences
