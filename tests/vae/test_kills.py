"""A training that is killed over and over ends with the very weights of one that was left alone."""

from __future__ import annotations

import random
import time

import pytest
import yaml
from processes import started
from safetensors.torch import load_file

from textvae.training.common.files import read_jsonl
from textvae.training.common.recipe_files import load_recipe

KILLS = 10
EVERY_OPTION = {
    "trainable_encoder_layers": 1, "conditional": True, "text_weight": 2, "final_text_share": 0.2, "steps": 500,
    "gradient_accumulation": 2, "autoencoder_share": 0.2, "reset_decoder": True, "target_kl": 8.0,
    "target_kl_start": 12.0, "free_bits": 0.05, "word_dropout": 0.3, "chunk_dropout": 0.5, "mmd_weight": 1.0,
    "final_word_dropout": 0.5, "average_cycles": 3, "cycle_steps": 100,
    "bag_of_words_weight": 0.1, "checkpoint_every": 4, "log_every": 1,
}  # fmt: skip


def start(recipe, output, mirror):
    command = ["-m", "textvae", "train-vae", recipe, "--output", output]
    return started(command, recipe.parent, TEXTVAE_MIRROR=mirror)


def steps_done(output):
    metrics = output / "metrics.jsonl"
    return len(read_jsonl(metrics)) if metrics.exists() else 0


@pytest.mark.slow
def test_kills_change_nothing(smoke_mirror, tmp_path):
    settings = load_recipe("smoke").to_dict()
    settings["vae"] |= EVERY_OPTION
    recipe = tmp_path / "killed.yaml"
    recipe.write_text(yaml.safe_dump(settings))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    untouched = start(recipe, whole, smoke_mirror)
    assert untouched.wait(timeout=300) == 0, untouched.stderr.read()[-3000:]
    draw, writing = random.Random(0), 0
    for kill in range(KILLS):
        process = start(recipe, killed, smoke_mirror)
        before, deadline = steps_done(killed), time.monotonic() + 120
        while process.poll() is None and steps_done(killed) <= before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if kill % 2:
            time.sleep(draw.uniform(0.0, 0.6))
        else:  # every other kill waits for a checkpoint that is being written
            while process.poll() is None and not any((killed / "checkpoints").glob(".step-*")):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(draw.uniform(0.0, 0.02))
        assert process.poll() is None, f"finished after {kill} kills\n{process.stderr.read()[-3000:]}"
        writing += any((killed / "checkpoints").glob(".step-*"))
        process.kill()
        process.wait()
    assert writing > 0
    last = start(recipe, killed, smoke_mirror)
    assert last.wait(timeout=300) == 0, last.stderr.read()[-3000:]
    first, second = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    assert first.keys() == second.keys()
    assert [name for name in first if not first[name].equal(second[name])] == []
    drop = {"seconds", "tokens_per_second"}
    rows = [
        [{k: v for k, v in row.items() if k not in drop} for row in read_jsonl(place / "metrics.jsonl")]
        for place in (whole, killed)
    ]
    assert rows[0] == rows[1]
