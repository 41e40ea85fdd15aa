"""Train a text VAE by a recipe; the same module behind every way to start it.

textvae train-vae quickstart
python -m textvae.training.vae.train quickstart
accelerate launch -m textvae.training.vae.train quickstart
accelerate launch training quickstart                                          (in a checkout)
torchrun --nproc_per_node 2 -m textvae.training.vae.train my_recipe.yaml        (its num_processes: 2)
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from textvae.modeling_textvae.generation import decode_ids
from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..common import model_folders, precision
from ..common.errors import UserError
from ..common.files import read_json, write_json
from ..common.launch import launch
from ..common.machine import hardware
from ..common.progress import say
from ..common.recipe import Recipe, VaeRecipe
from ..common.recipe_files import load_vae_recipe
from ..common.sources import resolve_model
from .data import load_sentences
from .loop import Loop, training_fingerprint
from .reconstruction import reconstruction_bleu
from .vocabulary import build_vocabulary
from .warm_start import start_as_language_model

LANGUAGE_MODEL = "language_model"  # folder in a VAE's, of the language model that its decoder was at first
NUM_SAMPLES = 10
VALIDATION_TEXTS = 300


def train_vae(recipe: Recipe, output: Path) -> dict[str, Any]:
    """Train the recipe's VAE into the model folder `output`, going on from a checkpoint there.

    Writes config, weights, code and tokenizer (what `from_pretrained` loads), `metrics.jsonl`, `samples.json` and
    `training.json`: the facts of the training, sources included, which are returned. A training that has been
    finished there, of the same recipe and texts, is not done again.
    """
    transformers_logging.disable_progress_bar()
    settings = recipe.vae
    encoder, encoder_source = resolve_model(settings.encoder)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token  # GPT-2 has none of its own
    sentences = load_sentences(settings, recipe.seed)
    choice = precision.remembered(output, recipe.precision)
    torch.manual_seed(recipe.seed)
    model = new_model(settings, str(encoder), tokenizer, sentences.train, sentences.num_classes)
    how: dict[str, Any] = {
        "seed": recipe.seed,
        "dtype": choice.dtype,
        "num_processes": recipe.num_processes,
        "class_ids": sentences.class_ids,
    }
    finished, main = output / "training.json", int(os.environ.get("RANK", "0")) == 0
    if finished.exists():
        known = read_json(finished)["fingerprint"]
        if known == training_fingerprint(model, sentences.train, settings, **how):
            if main:
                _refine_as_asked(output, settings, sentences.validation, choice)
                say(f"vae: reused {output}")
            PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()
            return read_json(finished)["facts"]
        if main:
            say(f"vae: {output} was trained by another recipe or on other texts, and is replaced when this one is done")
    before = 0.0
    if settings.language_model_steps:  # it has a folder of its own, and is not trained again where that has it
        place = output / LANGUAGE_MODEL
        before = train_vae(language_model_recipe(recipe, settings.language_model_steps), place)["seconds"]
        start_as_language_model(model, load_model(place)[0])
    loop = Loop(model, tokenizer, sentences.train, sentences.num_main, settings, **how)
    if main:
        say(
            f"{loop.name}: {len(sentences.train)} sentences ({sentences.num_main} of {settings.texts}), "
            f"{sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6:.1f} M trained parameters, "
            f"{choice.dtype} ({choice.reason})".replace("torch.", "")
        )
    model = loop.run(output)
    model.config.update(_refinement(settings, loop.beta.value))
    facts = {
        "sources": [source.to_dict() for source in (encoder_source, *sentences.sources)],
        "sentences": len(sentences.train),
        "steps": settings.steps,
        "final_beta": loop.beta.value,
        "seconds": round(before + loop.seconds, 1),
        "precision": str(choice.dtype).removeprefix("torch."),
        "precision_reason": choice.reason,
        "hardware": hardware(),
    }
    if main:
        samples = draw_samples(model, tokenizer, sentences.validation, choice)
        facts["bleu_reconstruction"] = samples["bleu_reconstruction"]
        finished.unlink(missing_ok=True)  # it vouches for the weights that are replaced
        model_folders.save_model(model, tokenizer, output)
        write_json(output / "samples.json", samples)
        write_json(finished, {"fingerprint": loop.fingerprint, "facts": facts})
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    loop.accelerator.wait_for_everyone()
    return facts


def _refinement(settings: VaeRecipe, final_beta: float) -> dict[str, Any]:
    beta = final_beta if settings.refinement_beta is None else settings.refinement_beta
    return {
        "refinement_steps": settings.refinement_steps,
        "refinement_beta": beta,
        "refinement_slope": settings.refinement_slope,
    }


def _refine_as_asked(folder: Path, settings: VaeRecipe, validation: list[str], choice: precision.Choice) -> None:
    """Where the recipe now refines otherwise, change a finished model's configuration, and what it was said to give."""
    finished = read_json(folder / "training.json")
    wanted, config = _refinement(settings, finished["facts"]["final_beta"]), read_json(folder / "config.json")
    if all(config.get(name) == value for name, value in wanted.items()):
        return
    model, tokenizer = load_model(folder)
    model.config.update(wanted)
    samples = draw_samples(model.to(precision.device()), tokenizer, validation, choice)
    finished["facts"]["bleu_reconstruction"] = samples["bleu_reconstruction"]
    write_json(folder / "samples.json", samples)
    write_json(folder / "training.json", finished)
    write_json(folder / "config.json", config | wanted)  # last: it says that the rest is done


def language_model_recipe(recipe: Recipe, steps: int, word_dropout: float = 0.0) -> Recipe:
    """The VAE's decoder, text, vocabulary and optimiser without a latent: the same for all VAEs that share these."""
    own_share = recipe.vae.language_model_final_text_share
    settings = dataclasses.replace(
        recipe.vae.unrefined(), steps=steps, language_model_steps=0, word_dropout=word_dropout, final_word_dropout=None,
        final_text_share=recipe.vae.final_text_share if own_share is None else own_share,
        language_model_final_text_share=None,
        latent_size=0, latent_chunks=0, chunk_tokens=1, rest_chunk=True, prior="standard", conditional=False,
        target_kl=None, target_kl_start=220.0, anneal_share=0.5, beta=0.0, beta_end=0.0, beta_schedule="constant",
        autoencoder_share=0.0, reset_decoder=False, free_bits=0.0, mmd_weight=0.0,
        bag_of_words_weight=0.0, chunk_dropout=0.0, average_cycles=0,
    )  # fmt: skip
    return dataclasses.replace(recipe, vae=settings)


def new_model(
    settings: VaeRecipe, encoder: str, tokenizer: Any, texts: list[str], num_classes: int = 0
) -> TextVAEModel:
    """An untrained VAE around the encoder in the folder `encoder`, its decoder's vocabulary made from `texts`."""
    vocabulary = build_vocabulary(tokenizer, tokenizer(texts)["input_ids"], settings.vocabulary_size)
    try:
        model = TextVAEModel.from_encoder_pretrained(
            encoder,
            encoder_layers=settings.encoder_layers,
            latent_size=settings.latent_size,
            latent_chunks=settings.latent_chunks,
            chunk_tokens=settings.chunk_tokens,
            rest_chunk=settings.rest_chunk,
            hidden_chunks=settings.chunk_dropout > 0,
            prior=settings.prior,
            embedding_size=settings.embedding_size,
            pooler_size=settings.pooler_size,
            hidden_size=settings.hidden_size,
            max_text_length=settings.max_length,
            pad_token_id=tokenizer.pad_token_id,
            decoder_vocab_size=len(vocabulary.kept_ids),
            max_pieces=vocabulary.respelling.shape[1],
            num_joins=len(vocabulary.joins),
            num_classes=num_classes,
            bag_of_words=settings.bag_of_words_weight > 0,
        )
    except ValueError as error:
        raise UserError(f"vae: {error}") from None
    # Not the folder it was found in: that is nobody else's business, and another one would make another fingerprint.
    model.config.encoder = model.config.encoder_config._name_or_path = settings.encoder
    model.set_decoder_vocabulary(*vocabulary)
    return model


def draw_samples(
    model: TextVAEModel, tokenizer: Any, validation: list[str], choice: precision.Choice
) -> dict[str, Any]:
    """Reconstruction BLEU of the first held-out texts, the first reconstructions, and prior samples, all unpicked."""
    held_out = validation[:VALIDATION_TEXTS]
    generator = torch.Generator().manual_seed(0)
    with precision.autocast(choice, model.device):
        bleu, reconstructions = reconstruction_bleu(model, tokenizer, held_out)
        ids = model.generate(num_return_sequences=NUM_SAMPLES, do_sample=False, generator=generator)
    pairs = zip(held_out[:NUM_SAMPLES], reconstructions, strict=False)
    return {
        "bleu_reconstruction": round(bleu, 2),
        "held_out_texts": len(held_out),
        "reconstructions": [{"text": text, "reconstruction": rebuilt} for text, rebuilt in pairs],
        "prior_samples": decode_ids(ids, tokenizer),
    }


def load_model(folder: Path) -> tuple[TextVAEModel, Any]:
    """Model, in eval mode, and tokenizer of a folder that `train_vae` wrote; errors as `model_folders.load_model`."""
    made_by = "textvae train-vae"
    return model_folders.load_model(TextVAEModel, folder, made_by), model_folders.load_tokenizer(folder, made_by)


def main(argv: list[str] | None = None) -> int:
    def train(name: str, output: Path | None) -> str:
        recipe = load_vae_recipe(name)
        output = output or Path("runs") / recipe.name / "vae"
        facts = train_vae(recipe, output)
        return f"vae: {facts['seconds']:.0f} s → {output}"

    return launch(
        train, argv, prog="textvae train-vae", about="Train the text VAE of a recipe.", default="quickstart",
        output="model folder (default runs/RECIPE/vae)",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
