"""A trained VAE made to speak of a user's own matter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..common import precision
from ..common.files import atomic_folder, write_json
from ..common.model_folders import save_model
from ..common.recipe import VaeRecipe
from .likelihood import score
from .loop import Loop
from .train import load_model
from .vocabulary import find_joins

MARK = "adaptation.json"  # tells a folder of ours, which may be replaced
TOKENS = 1200  # a step
PASSES = 16
CHUNK_DROPOUT = 0.3
RATE_TEXTS = 300


def adapt(
    model_folder: Path, sentences: list[str], max_steps: int, output: Path, seed: int = 0
) -> tuple[TextVAEModel, Any, int]:
    """Fine-tune a trained VAE on a user's own sentences, without labels, into the folder `output`.

    The rate stays: β is steered to the KL that the encoder's posteriors have on these sentences. A model that can do
    without some of its chunks is trained to go on doing so. Few sentences are read `PASSES` times at most: a model that
    knows them by heart says nothing else. The folder appears, or is replaced, whole.

    Returns:
        Model, tokenizer, and the steps taken.
    """
    model, tokenizer = load_model(model_folder)
    choice = precision.choose("auto")
    ids = tokenizer(sentences)["input_ids"]
    # Their own words may be said from now on.
    joins = find_joins(ids, model.decoder.respelling, model.decoder.continues)
    model.decoder.joins = torch.cat([model.decoder.joins, joins]).unique()
    model.config.num_joins = len(model.decoder.joins)
    tokens = sum(map(len, ids))
    steps = min(max_steps, math.ceil(PASSES * tokens / TOKENS))
    with precision.autocast(choice, model.device):
        rate = score(model, sentences[:RATE_TEXTS], tokenizer, num_samples=1, refinement_steps=0).kl.mean().item()
    settings = VaeRecipe(
        encoder=model.config.encoder,
        latent_chunks=model.config.latent_chunks,
        chunk_dropout=CHUNK_DROPOUT if model.config.hidden_chunks else 0.0,
        steps=steps,
        tokens_per_step=TOKENS,
        learning_rate=1e-3,
        warmup_steps=min(20, steps // 4),
        beta=0.3,
        target_kl=rate,
        target_kl_start=rate,
        autoencoder_share=0.0,
        anneal_share=0.0,
        checkpoint_every=max(steps, 1),
        log_every=max(steps // 10, 1),
    )
    loop = Loop(model, tokenizer, sentences, len(sentences), settings, seed=seed, dtype=choice.dtype)
    with atomic_folder(output) as folder:
        model = loop.run(folder)
        save_model(model, tokenizer, folder)
        write_json(folder / MARK, {"sentences": len(sentences), "steps": steps, "target_kl": rate, "seed": seed})
    return model, tokenizer, steps
