"""The `textvae` command: one table of verbs.

Results go to stdout, progress to stderr. An error that the user can mend is one line and exit code 2; Ctrl-C
is exit code 130. Nothing heavy is imported before a verb runs, so that `textvae --help` answers at once.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, get_args

from .training.common.errors import UserError
from .training.common.recipe import AugmentRecipe, ClassifierName, load_recipe, shipped_recipes


@dataclass(frozen=True)
class Verb:
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    handle: Callable[[argparse.Namespace], int | None]  # an exit code, or none for success
    resumes: bool = False  # the same command goes on where it was interrupted


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"textvae: error: {message}; see {self.prog} --help\n")


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
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


def build_parser() -> Parser:
    parser = Parser(prog="textvae", description="Can generated text make my classifier better, and how sure are we?")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        command = commands.add_parser(name, help=verb.help, description=verb.help)
        verb.add_options(command)
    return parser


class Version(argparse.Action):
    """Looks the version up only when asked: the look-up reads the installed packages."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print("textvae", version("textvae"))
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code: 0, 2 for an error to mend, 130 for Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    verb = VERBS[args.verb]
    try:
        return verb.handle(args) or 0
    except UserError as error:
        print(f"textvae: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        advice = f"; to go on, run: {shlex.join(['textvae', *argv])}" if verb.resumes else ""
        print(f"\ntextvae: interrupted{advice}", file=sys.stderr)
        return 130


# --- the verbs' options


def _run_options(parser: argparse.ArgumentParser) -> None:
    _recipe_option(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder (default: runs/NAME)")
    parser.add_argument(
        "--setup-seconds",
        type=not_negative,
        metavar="S",
        help="how long the installation took, for the report",
    )


def _train_vae_options(parser: argparse.ArgumentParser) -> None:
    _recipe_option(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the model's folder (default: runs/NAME/vae)")


def _evaluate_vae_options(parser: argparse.ArgumentParser) -> None:
    _recipe_option(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder (default: runs/NAME)")


def _generate_options(parser: argparse.ArgumentParser) -> None:
    _model_option(parser)
    parser.add_argument("--num", type=positive, default=10, metavar="N", help="how many sentences (default: 10)")
    parser.add_argument(
        "--temperature", type=not_negative, default=1.0, metavar="T", help="of the next word (default: 1.0)"
    )
    parser.add_argument(
        "--top-p",
        type=share,
        default=1.0,
        metavar="P",
        help="draw the next word from the likeliest ones of this total probability (default: 1.0)",
    )
    _seed_option(parser)


def _augment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input", required=True, metavar="FILE|ID", help="CSV, JSONL, parquet or Hub dataset id")
    _column_options(parser)
    parser.add_argument(
        "--target-size",
        type=positive,
        required=True,
        metavar="N",
        help="rows of the new dataset, those of the input included",
    )
    _model_option(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the dataset is written")
    parser.add_argument(
        "--temperature",
        type=not_negative,
        default=AugmentRecipe.temperature,
        metavar="T",
        help="noise, in standard deviations of the posterior (default: %(default)s)",
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
        help="your test set: rows that copy a text of it are dropped; its labels are not used",
    )
    _seed_option(parser)


def _classify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", required=True, metavar="FILE|ID", help="CSV, JSONL, parquet or Hub dataset id")
    parser.add_argument("--test", required=True, metavar="FILE|ID", help="the same, for the figures")
    _column_options(parser)
    parser.add_argument("--classifier", choices=get_args(ClassifierName), default="bert", help="default: bert")
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
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the classifier is saved")
    _seed_option(parser)


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="a folder that `textvae run` made")


def _no_options(parser: argparse.ArgumentParser) -> None:
    pass


def _recipe_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help=f"a recipe file, or one of {', '.join(shipped_recipes())}")


def _model_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="ID|FOLDER", help="a text VAE, as runs/quickstart/vae")


def _column_options(parser: argparse.ArgumentParser) -> None:
    for column in ("text", "label"):
        parser.add_argument(f"--{column}-column", default=column, metavar="NAME", help=f"default: {column}")


def _seed_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


# --- what they do


def _run(args: argparse.Namespace) -> None:
    load_recipe(args.recipe)  # a mistake in it is told before the seconds that torch takes to import
    from .training.study.run import run_recipe

    print(run_recipe(args.recipe, output=args.output, setup_seconds=args.setup_seconds) / "report.html")


def _train_vae(args: argparse.Namespace) -> int:
    load_recipe(args.recipe)
    from .training.vae.train import main as train

    return train([args.recipe, *(["--output", str(args.output)] if args.output else [])])


def _evaluate_vae(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.recipe)
    from .training.vae.evaluate import evaluate_vae

    folder = args.output or Path("runs") / recipe.name
    evaluate_vae(recipe, folder)
    print(folder / "evaluation" / "evaluation.json")


def _generate(args: argparse.Namespace) -> None:
    import torch

    from .modeling_textvae.generation import DECODE_BATCH, decode_ids
    from .training.common.sources import resolve_model
    from .training.vae.train import load_model

    folder, _ = resolve_model(args.model)
    model, tokenizer = load_model(folder)
    generator = torch.Generator().manual_seed(args.seed)
    for done in range(0, args.num, DECODE_BATCH):
        ids = model.generate(
            num_return_sequences=min(DECODE_BATCH, args.num - done),
            temperature=args.temperature,
            top_p=args.top_p,
            generator=generator,
        )
        print(*decode_ids(ids, tokenizer), sep="\n")


def _augment(args: argparse.Namespace) -> None:
    from .training.augment.files import augment_file

    augment_file(args)


def _classify(args: argparse.Namespace) -> None:
    from .training.classify.files import classify_file

    classify_file(args)


def _report(args: argparse.Namespace) -> None:
    from .training.study.report import write_report

    write_report(args.run_folder)
    print(args.run_folder / "report.html")


def _doctor(_: argparse.Namespace) -> None:
    from .doctor import examine

    for line in examine():
        print(line, flush=True)


VERBS = {
    "run": Verb("run a recipe from its sources to the report", _run_options, _run, resumes=True),
    "train-vae": Verb("train the text VAE of a recipe", _train_vae_options, _train_vae, resumes=True),
    "evaluate-vae": Verb(
        "measure the text VAE of a recipe beside a language model and a baseline",
        _evaluate_vae_options,
        _evaluate_vae,
        resumes=True,
    ),
    "generate": Verb("write sentences drawn from a text VAE", _generate_options, _generate),
    "augment": Verb("grow a labelled file with a text VAE", _augment_options, _augment),
    "classify": Verb("fine-tune a classifier on one file and score it on another", _classify_options, _classify),
    "report": Verb("write the report of a run folder again", _report_options, _report),
    "doctor": Verb("say what is installed, what can be reached, and what this machine has", _no_options, _doctor),
}
