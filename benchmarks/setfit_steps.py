"""How many steps suit SetFit, on rows that are no test rows: a line of JSON a training.

    python benchmarks/setfit_steps.py STUDY 40 120 250

STUDY is the folder of a study's run: its budgets are trained on. Scored are the dataset's validation part, or, where it
has none, rows of the role that choices are made on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from textvae.training.classify.train import train_classifier
from textvae.training.common.errors import NoSplit
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.sources import LabelledTexts, load_texts
from textvae.training.common.text import role
from textvae.training.study.rows import budget_rows

SCORED = 872  # as many as SST-2's validation part has


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("steps", type=int, nargs="+")
    parser.add_argument("--subsets", type=int, default=3)
    args = parser.parse_args()
    recipe = load_recipe(args.study / "recipe.yaml")
    held_out = scored(recipe.study.dataset)
    for subset in range(args.subsets):
        for steps in args.steps:
            outcome = train_classifier(
                "setfit", recipe.classifiers["setfit"], budget_rows(args.study, subset, recipe.study.budget), held_out,
                steps=steps, seed=subset, dtype=torch.bfloat16,
            )  # fmt: skip
            line = {"dataset": recipe.study.dataset, "subset": subset, "steps": steps, "rows": len(held_out)}
            json.dump(line | {"accuracy": outcome.metrics["accuracy"], "seconds": outcome.train_seconds}, sys.stdout)
            print(flush=True)


def scored(dataset: str) -> LabelledTexts:
    try:
        return load_texts(dataset, "validation")
    except NoSplit:
        train = load_texts(dataset, "train")
        places = [place for place, text in enumerate(train.texts) if role(text) == "development"]
        return train.take(places[:: max(1, len(places) // SCORED)][:SCORED])


if __name__ == "__main__":
    main()
