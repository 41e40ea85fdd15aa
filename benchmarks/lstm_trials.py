"""What an LSTM's settings are chosen by: a recipe with fields changed, on 15,000 of the training rows. A line of JSON.

    python benchmarks/lstm_trials.py "512 tokens" lstm_15m max_length=512 pretrained_embeddings=false

The other training rows are scored, as it goes; neither the recipe's validation rows nor its test rows are. There are
three times as many of them as validation rows, so that half a point can be told.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from textvae.training.common.files import read_jsonl
from textvae.training.common.precision import choose
from textvae.training.common.recipe_files import build_recipe
from textvae.training.lstm.data import Parts, load_parts, load_tokenizer, with_unlabelled
from textvae.training.lstm.recipe import LstmRecipe, load_lstm_recipe
from textvae.training.lstm.train import train_lstm

TRAINED = 15000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the line calls it")
    parser.add_argument("recipe")
    parser.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="the value as YAML has it")
    args = parser.parse_args()
    changes = {name: yaml.safe_load(value) for name, _, value in (change.partition("=") for change in args.changes)}
    recipe = build_recipe(LstmRecipe, asdict(load_lstm_recipe(args.recipe)) | changes, args.recipe)
    rows = load_parts(recipe.dataset).train
    order = np.random.default_rng(0).permutation(len(rows))
    train, scored = (rows.take(sorted(part)) for part in (order[:TRAINED], order[TRAINED:]))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder, checkpoints = Path(place), Path(place) / "checkpoints"
        dtype = choose(recipe.precision, "LSTM").dtype
        parts = with_unlabelled(Parts(train, scored, scored, 0), recipe)
        train_lstm(recipe, parts, load_tokenizer(recipe)[0], folder, checkpoints, dtype)
        evaluations = read_jsonl(folder / "metrics.jsonl")
    line = {"trial": args.name, "recipe": args.recipe, "changes": changes, "train_rows": len(train)}
    line |= {"scored_rows": len(scored), "minutes": round((time.monotonic() - start) / 60, 1)}
    line["evaluations"] = [
        {
            "epoch": round(row["epoch"], 2),
            "accuracy": round(100 * row["validation_accuracy"], 2),
            "scaled_loss": round(row["validation_scaled_loss"], 4),
            "train_accuracy": round(100 * row["train_accuracy"], 1),
        }
        for row in evaluations
    ]
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
