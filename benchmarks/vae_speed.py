"""Speed of the text VAE: JSON of training and generation, one process, the threads that the caller pins.

python benchmarks/vae_speed.py TEXTS.json ENCODER
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from textvae.modeling_textvae.decoder import PAD
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.training.common import precision
from textvae.training.common.recipe import VaeRecipe
from textvae.training.common.recipe_files import load_recipe
from textvae.training.vae.objective import candidate_set, objective
from textvae.training.vae.train import new_model

REPEATS = 7
SENTENCES, NEW_TOKENS = 256, 28


def median_seconds(step: Callable[[], None]) -> float:
    """CPU seconds of the middle of the repeats, after one that builds the kernels."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def batch_of(model: TextVAEModel, tokenizer: Any, texts: list[str], recipe: VaeRecipe) -> dict[str, torch.Tensor]:
    """One optimiser step's texts: of like length, as the training sorts them."""
    rows = sorted(tokenizer(texts, truncation=True, max_length=recipe.max_length)["input_ids"], key=len)
    middle = rows[len(rows) // 2 :]
    chosen: list[list[int]] = []
    while len(chosen) * len(middle[len(chosen)]) < recipe.tokens_per_step:
        chosen.append(middle[len(chosen)])
    batch = tokenizer.pad({"input_ids": chosen}, padding_side="right", return_tensors="pt")
    targets = model.decoder.respell(batch["input_ids"])
    candidates, weights = candidate_set(targets, model.config.decoder_vocab_size, recipe, seed=0, step=0)
    assert candidates is not None
    assert weights is not None
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "labels": batch["input_ids"],
        "candidates": candidates,
        "candidate_log_weights": weights,
    }


def train_step(
    model: TextVAEModel, batch: dict[str, torch.Tensor], recipe: VaeRecipe, dtype: torch.dtype
) -> Callable[[], None]:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    zeros = torch.zeros(len(batch["input_ids"]), model.config.latent_size)

    def step() -> None:
        with precision.autocast(dtype, model.device):
            out = model(**batch)
        objective(out, zeros, None, recipe.beta, recipe).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def decoder_step(model: TextVAEModel, batch: dict[str, torch.Tensor], dtype: torch.dtype) -> Callable[[], None]:
    """Forward and backward of the decoder alone, gradients of its weights and of the latents."""
    targets = model.decoder.respell(batch["input_ids"])
    latents = torch.randn(len(targets), model.config.latent_size, requires_grad=True)

    def step() -> None:
        with precision.autocast(dtype, model.device):
            memory = model.read_latents(latents)
            outputs = model.decoder.outputs(targets, memory)
            nll = model.decoder.candidate_nll(outputs, targets, batch["candidates"], batch["candidate_log_weights"])
        nll.mean().backward()

    return step


def decoder_flops(model: TextVAEModel, batch: dict[str, torch.Tensor]) -> float:
    """3 × the multiplications and additions of the forward pass's products, over real tokens."""
    c, candidates = model.config, len(batch["candidates"])
    tokens = int((model.decoder.respell(batch["input_ids"]) != PAD).sum())
    texts = len(batch["input_ids"])
    gru = 3 * c.hidden_size * (c.embedding_size + 2 * c.latent_size // c.latent_chunks + c.hidden_size)
    attention = c.hidden_size * c.query_size + c.latent_chunks * (c.query_size + c.hidden_size)
    output = c.hidden_size * c.embedding_size + c.embedding_size * candidates
    words = c.encoder_config.hidden_size * c.embedding_size
    a_token = gru + attention + output + words
    a_text = c.latent_size * c.hidden_size + c.latent_size * (c.query_size + c.hidden_size)
    return 3 * 2 * (tokens * a_token + texts * a_text + candidates * words)


def matmul_peak(dtype: torch.dtype) -> float:
    """The best of a few square products, in floating-point operations a CPU second."""
    best = 0.0
    for size in (512, 1024, 2048):
        left, right = torch.randn(2, size, size).to(dtype)
        product = torch.empty(size, size, dtype=dtype)
        best = max(best, 2 * size**3 / median_seconds(lambda a=left, b=right, out=product: torch.mm(a, b, out=out)))
    return best


def main() -> None:
    texts, encoder = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2]
    recipe = load_recipe("vae_rt_imdb").vae
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = new_model(recipe, encoder, tokenizer, texts)
    batch = batch_of(model, tokenizer, texts, recipe)
    tokens = int(batch["attention_mask"].sum())
    dtype = precision.choose("auto").dtype
    seconds = {kind: median_seconds(train_step(model.train(), batch, recipe, kind)) for kind in {torch.float32, dtype}}
    decoder_seconds = median_seconds(decoder_step(model, batch, dtype))
    peak = matmul_peak(dtype)
    generator = torch.Generator().manual_seed(0)

    def generate() -> None:
        # Random weights seldom end a sentence: each is cut at the length that real ones have.
        with precision.autocast(dtype, model.device):
            model.generate(num_return_sequences=SENTENCES, max_new_tokens=NEW_TOKENS, generator=generator)

    model.eval()
    json.dump(
        {
            "precision": str(dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "train_tokens_per_cpu_second": tokens / seconds[dtype],
            "train_tokens_per_cpu_second_float32": tokens / seconds[torch.float32],
            "decoder_flops_per_cpu_second": decoder_flops(model, batch) / decoder_seconds,
            "matmul_flops_per_cpu_second": peak,
            "sentences_per_cpu_second": SENTENCES / median_seconds(generate),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
