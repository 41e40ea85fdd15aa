"""Every speed claim, measured in one run on one thread: `make bench` writes docs/results/bench/bench.json.

LangVAE 0.6.13 gets an environment of its own (runs/bench/langvae), an encoder of the same size and a decoder of GPT-2's
size with random weights: this is about speed only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from textvae.training.common.files import read_json, write_json
from textvae.training.common.machine import hardware
from textvae.training.common.model_folders import save_model
from textvae.training.common.progress import say
from textvae.training.common.recipe import VaeRecipe
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.sources import load_texts, resolve_model
from textvae.training.vae.train import new_model

HERE = Path(__file__).parent
WORK, RESULT = Path("runs/bench"), Path("docs/results/bench/bench.json")
TEXTS = 4096


def run(python: str, script: str, *arguments: str | Path) -> dict[str, float]:
    """The JSON that a script prints, on one thread."""
    say(f"bench: {script}")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"), "1")
    environment = {**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false", "TEXTVAE_PROGRESS": "0"}
    command = [python, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def langvae_python() -> str:
    """The interpreter of LangVAE's environment, made once."""
    folder = WORK / "langvae"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        venv.create(folder, with_pip=True, clear=True)
        for wanted in ("torch==2.13.0", "langvae==0.6.13"):
            say(f"bench: installing {wanted}")
            subprocess.run([python, "-m", "pip", "install", "-qq", wanted], check=True)
        (folder / "whole").touch()
    return str(python)


def decoder_of_gpt2_size(tokenizer_folder: Path) -> Path:
    """A folder with GPT-2-small's shape, random weights and a tokenizer that is at hand."""
    folder = WORK / "gpt2-random"
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
        GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer))).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        settings = folder / "tokenizer_config.json"  # LangVAE's transformers knows the class by its older name
        write_json(settings, {**read_json(settings), "tokenizer_class": "PreTrainedTokenizerFast"})
    return folder


def untrained_vae(encoder: Path, texts: list[str], recipe: VaeRecipe) -> Path:
    """A folder with the default text VAE as it is before its training."""
    folder = WORK / "untrained-vae"
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    save_model(new_model(recipe, str(encoder), tokenizer, texts), tokenizer, folder)
    return folder


def main() -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe("vae_rt_imdb")
    encoder, _ = resolve_model(recipe.vae.encoder)
    language_model, _ = resolve_model(recipe.evaluation.perplexity_model)
    texts = WORK / "texts.json"
    sentences = load_texts(recipe.vae.texts, "train").texts[:TEXTS]
    write_json(texts, sentences)
    space = run(sys.executable, "space_start.py", untrained_vae(encoder, sentences, recipe.vae))
    ours = run(sys.executable, "vae_speed.py", texts, encoder)
    gpt2 = run(sys.executable, "gpt2_speed.py")
    langvae = run(langvae_python(), "langvae_speed.py", texts, encoder, decoder_of_gpt2_size(language_model))
    figures = {
        "train_vs_langvae": ours["train_tokens_per_cpu_second"] / langvae["train_tokens_per_cpu_second"],
        "train_vs_float32": ours["train_tokens_per_cpu_second"] / ours["train_tokens_per_cpu_second_float32"],
        "matmul_share": ours["decoder_flops_per_cpu_second"] / ours["matmul_flops_per_cpu_second"],
        "generate_vs_gpt2": ours["sentences_per_cpu_second"] / gpt2["sentences_per_cpu_second"],
        "sentences_per_cpu_second": ours["sentences_per_cpu_second"],
        "space_start_seconds": space["page_seconds"],
    }
    parts = {"textvae": ours, "gpt2": gpt2, "langvae": langvae, "space": space}
    write_json(
        RESULT, {**{k: round(v, 3) for k, v in figures.items()}, "measured": parts, "hardware": hardware(),
                 "command": "make bench"},
    )  # fmt: skip
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
