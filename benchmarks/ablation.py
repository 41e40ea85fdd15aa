"""What each choice of the text VAE is worth: one change of the recipe `ablation` at a time, on validation sentences.

python benchmarks/ablation.py [VARIANT ...]

Each variant is trained once (seed 0) and kept under runs/ablation; the table goes to docs/results/ablation. What a step
costs is timed on the CPU, one thread, each variant in a process of its own, in turn with steps of the base.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import sacrebleu
import torch
from transformers import AutoTokenizer

from textvae.modeling_textvae.generation import decode_latents
from textvae.training.common import precision
from textvae.training.common.files import fingerprint, read_json, write_json, write_text
from textvae.training.common.machine import hardware
from textvae.training.common.progress import say
from textvae.training.common.recipe import Recipe
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.sources import load_texts, resolve_model
from textvae.training.vae.data import load_sentences
from textvae.training.vae.likelihood import score
from textvae.training.vae.loop import Loop
from textvae.training.vae.metrics.information import active_units, mutual_information
from textvae.training.vae.reconstruction import round_trip
from textvae.training.vae.train import load_model, new_model, train_vae
from textvae.training.vae.window import Window

WORK, RESULTS = Path("runs/ablation"), Path("docs/results/ablation")
TEXTS, REFINEMENT_STEPS = 300, 20
UNTIMED_STEPS, TIMED_STEPS, TIME_STEPS = 3, 12, "--time-steps"
SCHEDULED: dict[str, Any] = {"target_kl": None, "autoencoder_share": 0.0, "beta": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "flat latent": {"latent_chunks": 1},
    "latent in the initial state alone": {"latent_chunks": 0},
    "two tokens a chunk": {"latent_chunks": 24, "chunk_tokens": 2},
    "four tokens a chunk": {"latent_chunks": 12, "chunk_tokens": 4},
    "latent of 144": {"latent_size": 144},
    "latent of 576": {"latent_size": 576},
    "autoregressive prior": {"prior": "autoregressive"},
    "no autoencoder phase": {"autoencoder_share": 0.0},
    "decoder reset after it (Li et al. 2019)": {"reset_decoder": True},
    "target KL 60": {"target_kl": 60.0},
    "beta 1 throughout": {**SCHEDULED, "beta": 1.0},
    "beta 0.2 throughout": {**SCHEDULED, "beta": 0.2, "beta_end": 0.2},
    "beta on a line to 1 (Bowman et al. 2016)": {**SCHEDULED, "beta_schedule": "linear"},
    "beta in 4 cycles (Fu et al. 2019)": {**SCHEDULED, "beta_schedule": "cyclical"},
    "free bits 0.3, beta 1 (Kingma et al. 2016)": {**SCHEDULED, "beta": 1.0, "free_bits": 0.3},
    "word dropout 0.25 (Bowman et al. 2016)": {"word_dropout": 0.25},
    "a language model first": {"language_model_steps": 200},
    "that, autoregressive prior and chunk dropout 0.3": {
        "language_model_steps": 200,
        "prior": "autoregressive",
        "chunk_dropout": 0.3,
    },
    "chunk dropout 0.4 (Rippel et al. 2014)": {"chunk_dropout": 0.4},
    "MMD 100, beta 0.05 (InfoVAE)": {**SCHEDULED, "beta": 0.05, "beta_end": 0.05, "mmd_weight": 100.0},
    "bag of words 0.1 (Zhao et al. 2017)": {"bag_of_words_weight": 0.1},
    "labels (CVAE)": {"conditional": True},
    "contextual layers 0, 3, 6": {"encoder_layers": (0, 3, 6)},
    "Rotten Tomatoes alone": {"unlabelled": None, "unlabelled_sentences": 0},
    "word vectors learned freely": {"word_offset_learning_rate_share": 1.0},
}


def variant(name: str) -> Recipe:
    recipe = load_recipe("ablation")
    return replace(recipe, vae=replace(recipe.vae, **VARIANTS[name]))


def measure(name: str) -> dict[str, Any]:
    """Train a variant, or find it trained, and measure it."""
    folder = WORK / name.split(" (")[0].replace(" ", "_").replace(",", "")
    known = folder / "ablation.json"
    recipe = variant(name)
    made_from = fingerprint(recipe)
    if known.exists() and read_json(known)["recipe"] == made_from:
        return read_json(known)
    train_vae(recipe, folder)
    model, tokenizer = load_model(folder)
    model.to(precision.device())
    texts = load_texts(recipe.vae.texts, "validation").texts[:TEXTS]
    references = round_trip(texts, tokenizer)
    choice = precision.choose(recipe.precision)
    figures: dict[str, Any] = {"variant": name, "changes": VARIANTS[name], "recipe": made_from, "hardware": hardware()}
    with torch.no_grad(), precision.autocast(choice, model.device):
        for kind, steps in (("", 0), ("refined_", REFINEMENT_STEPS)):
            scored = score(model, texts, tokenizer, num_samples=4, refinement_steps=steps)
            mean, log_variance = scored.posterior
            rebuilt, around = (decode_latents(model, latents, tokenizer) for latents in (mean, scored.samples))
            figures |= {
                f"{kind}nll": scored.nll.mean().item(),
                f"{kind}kl": scored.kl.mean().item(),
                f"{kind}neg_elbo": (scored.nll + scored.kl).mean().item(),
                f"{kind}bleu": sacrebleu.corpus_bleu(rebuilt, [references]).score,
                f"{kind}neighbour_bleu": sacrebleu.corpus_bleu(around, [references]).score,
                f"{kind}mutual_information": mutual_information(mean, log_variance, scored.samples),
                f"{kind}active_units": active_units(mean),
            }
    write_json(known, {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()})
    return read_json(known)


def relative_step_seconds(name: str) -> float:
    """CPU seconds of an optimiser step of a variant ÷ those of the base, in a process that sees no GPU."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, TIME_STEPS, name]
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _timed_steps(recipe: Recipe) -> float:
    loops = [_loop(recipe), _loop(variant("base"))]
    spent: list[list[float]] = [[], []]
    for _ in range(UNTIMED_STEPS + TIMED_STEPS):
        for loop, seconds in zip(loops, spent, strict=True):  # in turn: what else the machine does falls on both
            start = time.process_time()
            loop.train_step(loop.plan[loop.step], loop.recipe.learning_rate, Window())
            seconds.append(time.process_time() - start)
            loop.step += 1
    own, base = (statistics.median(seconds[UNTIMED_STEPS:]) for seconds in spent)
    return own / base


def _loop(recipe: Recipe) -> Loop:
    encoder, _ = resolve_model(recipe.vae.encoder)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    sentences = load_sentences(recipe.vae, recipe.seed)
    model = new_model(recipe.vae, str(encoder), tokenizer, sentences.train, sentences.num_classes)
    model.train()
    return Loop(
        model, tokenizer, sentences.train, sentences.num_main, recipe.vae,
        seed=recipe.seed, dtype=torch.float32, class_ids=sentences.class_ids,
    )  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"Recipe `ablation` with one change each, seed 0, on {TEXTS} validation sentences: nats a text;",
        "BLEU of the greedy reconstruction from the mean and of the neighbour at one standard deviation. Left by the",
        f"encoder alone, right after {REFINEMENT_STEPS} refinement steps at the β that the training ended with. Cost:",
        "CPU seconds of an optimiser step ÷ those of the base; a language model trained before is not counted.",
        "",
        "| variant | nll | KL | −ELBO | BLEU | at 1 σ | MI | active | −ELBO | BLEU | at 1 σ | cost |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['variant']} | {row['nll']:.1f} | {row['kl']:.1f} | {row['neg_elbo']:.1f} | {row['bleu']:.1f} | "
            f"{row['neighbour_bleu']:.1f} | {row['mutual_information']:.2f} | {row['active_units']:.0%} | "
            f"{row['refined_neg_elbo']:.1f} | {row['refined_bleu']:.1f} | {row['refined_neighbour_bleu']:.1f} | "
            f"{row['relative_step_seconds']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == [TIME_STEPS]:
        print(_timed_steps(variant(sys.argv[2])))
        return
    rows = []
    for name in sys.argv[1:] or VARIANTS:
        rows.append(measure(name))
        say(f"ablation: {name}: −ELBO {rows[-1]['neg_elbo']:.1f}, BLEU {rows[-1]['bleu']:.1f}")
    if not sys.argv[1:]:
        rows = [row | {"relative_step_seconds": round(relative_step_seconds(row["variant"]), 3)} for row in rows]
        command = "python benchmarks/ablation.py"
        write_json(RESULTS / "ablation.json", {"rows": rows, "steps_timed_on": hardware(), "command": command})
        write_text(RESULTS / "ablation.md", table(rows))
        say(f"ablation: {len(rows)} variants → {RESULTS}")


if __name__ == "__main__":
    main()
