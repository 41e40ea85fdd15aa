"""The verbs' options: what each command line may say, and what its values must be."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from .training.common.recipe import AugmentRecipe, ClassifierName
from .training.common.recipe_files import shipped_recipes

MODEL = "runs/quickstart/vae"  # what `textvae run quickstart` and `train-vae quickstart` make
GENERATORS = ("vae", "rules", "masked_lm", "language_model")
TABLE = "CSV, JSONL or parquet file, or dataset ORG/NAME[:SPLIT] of the Hub (default: its split train)"


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"must lie in 0 to {2**32 - 1}, not {number}")
    return number


def not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return number


def share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"must lie in (0, 1], not {text}")
    return number


def place(text: str) -> tuple[float, float]:
    valence, arousal = map(float, text.split(","))
    return valence, arousal


for _kind, _called in (
    (positive, "whole number"), (seed, "whole number"), (not_negative, "number"), (share, "number"), (place, "V,A"),
):  # fmt: skip
    _kind.__name__ = _called  # argparse says "invalid whole number value: 'abc'"


def run(parser: argparse.ArgumentParser) -> None:
    _recipe(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder (default: runs/NAME)")
    parser.add_argument(
        "--setup-seconds",
        type=not_negative,
        metavar="S",
        help="how long the installation took, for the report",
    )


def train_vae(parser: argparse.ArgumentParser) -> None:
    _recipe(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the model's folder (default: runs/NAME/vae)")


def evaluate_vae(parser: argparse.ArgumentParser) -> None:
    _recipe(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder (default: runs/NAME)")


def generate(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    parser.add_argument("--num", type=positive, default=10, metavar="N", help="how many sentences (default: 10)")
    parser.add_argument(
        "--temperature", type=not_negative, default=1.0, metavar="T", help="of the next word (default: 1.0)"
    )
    parser.add_argument(
        "--prior-temperature",
        type=not_negative,
        default=1.0,
        metavar="T",
        help="how far draws stray from what the prior expects most (default: 1.0)",
    )
    parser.add_argument(
        "--latent-share",
        type=share,
        default=1.0,
        metavar="S",
        help="share of a latent that the decoder is shown, of a model trained with some hidden (default: 1.0)",
    )
    parser.add_argument(
        "--top-p",
        type=share,
        default=1.0,
        metavar="P",
        help="draw the next word from the likeliest ones of this total probability (default: 1.0)",
    )
    _seed(parser)


def augment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", required=True, metavar="FILE|ID", help=TABLE)
    _columns(parser)
    parser.add_argument(
        "--target-size",
        type=positive,
        required=True,
        metavar="N",
        help="rows of the new dataset, those of the input included",
    )
    parser.add_argument(
        "--generator", choices=GENERATORS, default="vae", help="what makes the new rows (default: %(default)s)"
    )
    parser.add_argument(
        "--model",
        metavar="ID|FOLDER",
        help=f"a text VAE (default: {MODEL}), or the model of --generator masked_lm (default: "
        f"{AugmentRecipe.masked_lm}) or language_model (default: {AugmentRecipe.language_model})",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the dataset is written")
    parser.add_argument(
        "--temperature",
        type=not_negative,
        metavar="T",
        help=f"of the VAE: noise, in standard deviations of the posterior (default: {AugmentRecipe.temperature})",
    )
    parser.add_argument(
        "--adapt",
        type=positive,
        metavar="STEPS",
        help="first fine-tune a copy of the VAE on the texts, for so many steps at most (fewer where texts are few)",
    )
    parser.add_argument(
        "--test-input",
        metavar="FILE|ID",
        help="your test set (of ORG/NAME the split test): rows that copy a text of it are dropped, labels not used",
    )
    _seed(parser)


def advise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", required=True, metavar="FILE|ID", help=TABLE)
    _columns(parser)
    _model(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder of the work (default: runs/advise-NAME)")
    parser.add_argument("--thorough", action="store_true", help="ask a language model, too, which takes much longer")
    _seed(parser)


def classify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", required=True, metavar="FILE|ID", help=TABLE)
    parser.add_argument(
        "--test", required=True, metavar="FILE|ID", help="the same, for the figures; of ORG/NAME the split test"
    )
    _columns(parser)
    # SetFit is a rival in studies; to use it, its own library is the way.
    names = [name for name in get_args(ClassifierName) if name != "setfit"]
    parser.add_argument("--classifier", choices=names, default="bert", help="default: bert")
    parser.add_argument(
        "--model",
        required=True,
        metavar="ID|FOLDER",
        help="the pretrained body that the classifier starts from",
    )
    parser.add_argument(
        "--steps",
        type=positive,
        default=150,
        metavar="N",
        help="optimiser steps (default: 150; probe has none)",
    )
    parser.add_argument(
        "--cue",
        default="Label",
        metavar="WORD",
        help="what gpt2_lora is asked after each text, as Sentiment or Topic (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the classifier is saved")
    _seed(parser)


def digits(parser: argparse.ArgumentParser) -> None:
    _sister(parser, "digits", default="digits")


def emotion(parser: argparse.ArgumentParser) -> None:
    _sister(parser, "emotion", default="emotion")
    parser.add_argument("--texts", metavar="FILE|ID", help="texts to place on the map of emotions, with both widths")
    parser.add_argument("--text-column", default="text", metavar="NAME", help="default: text")
    parser.add_argument(
        "--near",
        type=place,
        action="append",
        default=[],
        metavar="V,A",
        help="print the test sentences nearest to this valence and arousal, as 4,3.5; may be repeated",
    )


def lstm(parser: argparse.ArgumentParser) -> None:
    _sister(parser, "lstm", default=None)


def publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folders", nargs="+", type=Path, metavar="RUN_FOLDER", help="folders that `textvae run`, `lstm` … made"
    )
    parser.add_argument("--namespace", required=True, metavar="ORG", help="your user name or organisation on the Hub")
    parser.add_argument("--push", action="store_true", help="do it; without, list what would be pushed")
    parser.add_argument("--public", action="store_true", help="for everybody; without, the repositories are private")
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        help="of the first run's model (default: as textvae-rt for Rotten Tomatoes)",
    )


def demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folders", nargs="+", type=Path, metavar="RUN_FOLDER", help="folders that `textvae run`, `lstm` … made"
    )
    parser.add_argument(
        "--port", type=positive, metavar="N", help="the first free port from N on is taken; default: 7860"
    )


def mirror(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the mirror stands, or will")
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help="ORG/NAME of a model, datasets/ORG/NAME; @REVISION pins it"
    )
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="everything that this recipe reads: one of any verb by its name, or a file of `textvae run`",
    )


def report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="a folder that `textvae run` made")


def nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help=f"a recipe file, or one of {', '.join(shipped_recipes())}")


def _sister(parser: argparse.ArgumentParser, system: str, default: str | None) -> None:
    told = f"a recipe file, or one of {', '.join(shipped_recipes(system))}"
    if default is None:
        parser.add_argument("recipe", metavar="RECIPE", help=told)
    else:
        parser.add_argument("recipe", nargs="?", default=default, metavar="RECIPE", help=f"{told} (default: {default})")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder (default: runs/NAME)")


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=MODEL, metavar="ID|FOLDER", help="a text VAE (default: %(default)s)")


def _columns(parser: argparse.ArgumentParser) -> None:
    for column in ("text", "label"):
        parser.add_argument(f"--{column}-column", default=column, metavar="NAME", help=f"default: {column}")


def _seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="default: 0")
