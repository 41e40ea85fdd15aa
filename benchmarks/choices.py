"""What a study's choices are made on: its arms, scored on rows that are no test rows. A line of JSON a training.

    python benchmarks/choices.py STUDY lstm duplicate:500 rules:500 language_model:500 vae:500
    python benchmarks/choices.py STUDY setfit real:100:40 real:100:120 real:100:250

STUDY is the folder of a study's run, whose budgets and grown rows are trained on; an arm is named with its size and,
where these are to be other than the recipe's, its steps. Scored are the dataset's validation part, or, where it has
none, rows of the role that choices are made on, less the study's own; generated rows that copy one are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from textvae.training.classify.train import train_classifier
from textvae.training.common.copies import find_copies
from textvae.training.common.errors import NoSplit
from textvae.training.common.files import read_json
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.sources import LabelledTexts, load_texts
from textvae.training.common.text import role
from textvae.training.study.plan import Cell, seed_of
from textvae.training.study.rows import read_table, training_rows

SCORED = 872  # as many as SST-2's validation part has


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("classifier")
    parser.add_argument("arms", nargs="+", metavar="ARM:SIZE[:STEPS]")
    parser.add_argument("--subsets", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    recipe = load_recipe(args.study / "recipe.yaml")
    settings, budget = recipe.classifiers[args.classifier], recipe.study.budget
    dtype = getattr(torch, read_json(args.study / "run.json").get("precision", {}).get("dtype", "float32"))
    held_out = scored(args.study, recipe.study.dataset)
    for subset in range(args.subsets):
        for named in args.arms:
            arm, size, *asked = named.split(":")
            steps = int(asked[0]) if asked else settings.steps.get(int(size), 0)
            for seed in range(args.seeds):
                train, targets = training_rows(
                    args.study, Cell(args.classifier, arm, int(size), budget, subset, seed), recipe
                )
                # The study held its candidates against test texts alone.
                reasons = find_copies(train.texts, held_out.texts, recipe.augment.near_copy_overlap)
                kept = [place for place, reason in enumerate(reasons) if place < budget or reason is None]
                targets = None if targets is None else targets[kept]
                copies, train = len(train) - len(kept), train.take(kept)
                outcome = train_classifier(
                    args.classifier, settings, train, held_out, steps=steps, dtype=dtype, targets=targets,
                    seed=seed_of(recipe.seed, "train", subset, seed), counted=budget,
                )  # fmt: skip
                line = {"dataset": recipe.study.dataset, "classifier": args.classifier, "arm": arm, "size": int(size)}
                line |= {"subset": subset, "seed": seed, "steps": steps, "rows": len(held_out)}
                line["copies_left_out"] = copies
                json.dump(line | {"accuracy": outcome.metrics["accuracy"], "seconds": outcome.seconds}, sys.stdout)
                print(flush=True)


def scored(study: Path, dataset: str) -> LabelledTexts:
    try:
        return load_texts(dataset, "validation")
    except NoSplit:
        train = load_texts(dataset, "train")
        drawn = {text for file in study.glob("rows/subset-*.parquet") for text in read_table(file)["text"]}
        places = [place for place, text in enumerate(train.texts) if role(text) == "development" and text not in drawn]
        count = min(SCORED, len(places))
        return train.take([places[number * len(places) // count] for number in range(count)])


if __name__ == "__main__":
    main()
