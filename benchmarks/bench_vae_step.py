"""Speed of the text VAE on this machine, with random weights at the sizes of the default recipe.

Prints JSON: milliseconds of a training step in float32 and bfloat16, and sentences generated a second of
processor time. Run by `make bench`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch

from textvae import TextVAEConfig, TextVAEModel
from textvae.modeling_textvae.decoder import NUM_SPECIAL
from textvae.training.common import precision
from textvae.training.common.recipe import VaeRecipe
from textvae.training.vae.objective import candidate_set, objective

RECIPE = VaeRecipe()
LENGTH = 24  # tokens a sentence
ROWS = RECIPE.tokens_per_step // LENGTH
REPEATS = 7
SENTENCES = 256


def random_model() -> TextVAEModel:
    """The recipe's sizes over a BERT vocabulary of width 384, of which the embedding layer alone is read."""
    config = TextVAEConfig(
        encoder_config={
            "model_type": "bert",
            "hidden_size": 384,
            "num_hidden_layers": 1,
            "num_attention_heads": 12,
        },
        encoder_layers=RECIPE.encoder_layers,
        latent_size=RECIPE.latent_size,
        latent_chunks=RECIPE.latent_chunks,
        embedding_size=RECIPE.embedding_size,
        pooler_size=RECIPE.pooler_size,
        hidden_size=RECIPE.hidden_size,
        decoder_vocab_size=RECIPE.vocabulary_size,
        max_pieces=1,
    )
    model = TextVAEModel(config)
    kept = torch.arange(RECIPE.vocabulary_size)
    respelling = torch.full((config.encoder_config.vocab_size, 1), -1, dtype=torch.int32)
    respelling[NUM_SPECIAL : RECIPE.vocabulary_size, 0] = kept[NUM_SPECIAL:].int()
    no_joins = torch.zeros(RECIPE.vocabulary_size, dtype=torch.bool), torch.zeros(0, dtype=torch.long)
    model.set_decoder_vocabulary(kept, respelling, torch.zeros(RECIPE.vocabulary_size), *no_joins)
    return model


def step_of(model: TextVAEModel, dtype: torch.dtype, device: torch.device) -> Callable[[], None]:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    ids = torch.randint(NUM_SPECIAL, RECIPE.vocabulary_size, (ROWS, LENGTH))
    candidates, weights = candidate_set(model.decoder.respell(ids), RECIPE.vocabulary_size, RECIPE, seed=0, step=0)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    batch |= {"candidates": candidates, "candidate_log_weights": weights}
    batch = {name: tensor.to(device) for name, tensor in batch.items() if tensor is not None}

    def step() -> None:
        with precision.autocast(dtype, device):
            out = model(**batch)
        kl = 0.5 * (out.mean.square() + out.log_variance.exp() - 1 - out.log_variance)
        objective(out.nll, kl, RECIPE.beta, RECIPE.free_bits).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def milliseconds(step: Callable[[], None]) -> float:
    """Median of the repeats, after one that builds the kernels."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def sentences_a_cpu_second(model: TextVAEModel, dtype: torch.dtype, device: torch.device) -> float:
    """Random weights seldom end a sentence, so each is cut at the length that real ones have."""
    generator = torch.Generator().manual_seed(0)
    start = time.process_time()
    with precision.autocast(dtype, device):
        model.generate(num_return_sequences=SENTENCES, max_new_tokens=LENGTH, generator=generator)
    return SENTENCES / (time.process_time() - start)


def main() -> None:
    torch.manual_seed(0)
    device = precision.device()
    model = random_model().to(device)
    figures: dict[str, object] = {
        "machine": torch.cuda.get_device_name()
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "tokens_per_step": ROWS * LENGTH,
    }
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        figures[f"train_step_ms_{name}"] = round(milliseconds(step_of(model.train(), dtype, device)), 1)
        figures[f"sentences_per_cpu_second_{name}"] = round(sentences_a_cpu_second(model.eval(), dtype, device), 1)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
