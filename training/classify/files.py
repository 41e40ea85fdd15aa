"""`textvae classify`: fine-tune a classifier on one labelled file and score it on another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..common.files import atomic_folder, check_replaceable, write_json
from ..common.precision import choose
from ..common.progress import say
from ..common.recipe import ClassifierName, ClassifierRecipe
from ..common.tables import read_table
from .models import prompt
from .train import train_classifier

MARK = "classification.json"  # tells a folder of ours, which may be replaced

# Learning rates of a few hundred steps on a few hundred rows; the quickstart recipe tells what they gave.
SETTINGS: dict[ClassifierName, dict[str, Any]] = {
    "probe": {},
    "lstm": {"learning_rate": 2e-3},
    "bert": {"learning_rate": 2e-4, "max_length": 128},
    "gpt2_lora": {"learning_rate": 2e-4, "max_length": 128, "batch_size": 8},
}


def classify_file(args: argparse.Namespace) -> None:
    """Train on `args.train`, score on `args.test` ; metrics go to standard output and `classification.json` as JSON.

    Raises:
        UserError: the files, the model or the output folder cannot be used; said before anything is trained.
    """
    output = Path(args.output)
    check_replaceable(output, MARK)
    train = read_table(args.train, args.text_column, args.label_column)
    test = read_table(args.test, args.text_column, args.label_column, "test").with_names_of(train)
    settings = ClassifierRecipe(model=args.model, cue=args.cue, **SETTINGS[args.classifier])
    with atomic_folder(output) as folder:
        outcome = train_classifier(
            args.classifier,
            settings,
            train,
            test,
            steps=args.steps,
            seed=args.seed,
            dtype=choose("auto").dtype,
            output=folder,
        )
        summary = {
            "classifier": args.classifier,
            "weights": outcome.weights,
            **outcome.metrics,
            "rows": len(train),
            "test_rows": len(test),
            "steps": outcome.steps,
        }
        if args.classifier == "gpt2_lora":
            summary["prompt"] = prompt(args.classifier, settings)
        write_json(folder / MARK, summary)
    say(f"classify: {args.classifier} on {len(train)} rows, {outcome.seconds:.0f} s → {output}")
    print(json.dumps(summary, indent=2))
