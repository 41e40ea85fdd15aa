"""The `textvae` command: one table of verbs.

Results go to stdout, progress to stderr. An error that the user can mend is one line and exit code 2; Ctrl-C
is exit code 130, and a reader of the results who leaves early, as `head` does, 141. Nothing heavy is imported
before a verb runs, so that `textvae --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import options
from .training.common.errors import UserError
from .training.common.recipe import AnyRecipe
from .training.common.recipe_files import load_recipe, load_sister_recipe, load_vae_recipe, system_of


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
    """Run one command line; returns the exit code: 0, 2 for an error to mend, 130 for Ctrl-C, 141 for a closed pipe."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    verb = VERBS[args.verb]
    try:
        code = verb.handle(args) or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"textvae: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        advice = f"; to go on, run: {shlex.join(['textvae', *argv])}" if verb.resumes else ""
        print(f"\ntextvae: interrupted{advice}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has left, as `head` does; what is still to be flushed at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        # A launched process that ends within its group may be aborted by it.
        distributed = sys.modules.get("torch.distributed")
        if distributed and distributed.is_initialized():
            distributed.destroy_process_group()


def _run(args: argparse.Namespace) -> None:
    load_recipe(args.recipe)  # a mistake in it is told before the seconds that torch takes to import
    from .training.study.run import run_recipe

    print(run_recipe(args.recipe, output=args.output, setup_seconds=args.setup_seconds) / "report.html")


def _train_vae(args: argparse.Namespace) -> int:
    load_recipe(args.recipe)
    from .training.vae.train import main as train

    return train([args.recipe, *(["--output", str(args.output)] if args.output else [])])


def _evaluate_vae(args: argparse.Namespace) -> None:
    recipe = load_vae_recipe(args.recipe)
    from .training.vae.evaluate import evaluate_vae

    folder = args.output or Path("runs") / recipe.name
    evaluate_vae(recipe, folder)
    print(folder / "evaluation" / "evaluation.json")


def _generate(args: argparse.Namespace) -> None:
    import torch

    from .modeling_textvae.generation import DECODE_BATCH, decode_ids
    from .training.common.precision import device
    from .training.common.sources import resolve_model
    from .training.vae.train import load_model

    folder, _ = resolve_model(_vae(args.model))
    model, tokenizer = load_model(folder)
    if args.latent_share < 1 and not model.config.hidden_chunks:
        raise UserError(f"--latent-share {args.latent_share}: {args.model} was not trained for it; leave it at 1")
    model.to(device())
    generator = torch.Generator().manual_seed(args.seed)
    for done in range(0, args.num, DECODE_BATCH):
        ids = model.generate(
            num_return_sequences=min(DECODE_BATCH, args.num - done),
            prior_temperature=args.prior_temperature,
            latent_share=args.latent_share,
            temperature=args.temperature,
            top_p=args.top_p,
            generator=generator,
        )
        print(*decode_ids(ids, tokenizer), sep="\n")


def _vae(name: str) -> str:
    if name == options.MODEL and not Path(name).exists():
        raise UserError(
            f"--model: no VAE stands in {name}; `textvae train-vae quickstart` makes one there, or name another"
        )
    return name


def _augment(args: argparse.Namespace) -> None:
    if args.generator == "vae":
        args.model = _vae(args.model or options.MODEL)
    from .training.augment.files import augment_file

    augment_file(args)


def _advise(args: argparse.Namespace) -> None:
    from .training.study.advice import table
    from .training.study.advise import advise

    advice = advise(
        args.input, _vae(args.model), args.output, text_column=args.text_column, label_column=args.label_column,
        thorough=args.thorough, seed=args.seed,
    )  # fmt: skip
    print(table(advice))


def _classify(args: argparse.Namespace) -> None:
    from .training.classify.files import classify_file

    classify_file(args)


def _digits(args: argparse.Namespace) -> None:
    from .training.digits.run import run_digits

    print(run_digits(args.recipe, output=args.output) / "report.html")


def _emotion(args: argparse.Namespace) -> None:
    from .training.common.tables import read_texts
    from .training.emotion.nearest import check_places, near
    from .training.emotion.placing import place_texts
    from .training.emotion.recipe import EmotionRecipe
    from .training.emotion.run import run_emotion

    # Mistakes in them are told before the hours that the run may take.
    texts = read_texts(args.texts, args.text_column) if args.texts else None
    recipe = load_sister_recipe(EmotionRecipe, args.recipe)
    if args.near:
        check_places(recipe, args.near)
    folder = run_emotion(args.recipe, output=args.output)
    print(folder / "report.html")
    if texts is not None:
        print(place_texts(folder, texts, args.text_column))
    if args.near:
        print(*near(folder, recipe, args.near), sep="\n")


def _lstm(args: argparse.Namespace) -> None:
    from .training.lstm.run import run_lstm

    print(run_lstm(args.recipe, output=args.output) / "report.html")


def _publish(args: argparse.Namespace) -> None:
    from .hub_cards.publish import publish

    publish(args)


def _demo(args: argparse.Namespace) -> int:
    from .hub_cards.space import demo

    return demo(args)


def _mirror(args: argparse.Namespace) -> None:
    from .training.common.mirror import mirror

    read = _recipe(args.recipe).reads() if args.recipe else []
    mirror(args.folder, [*(name for name in read if not Path(name.partition("/")[2]).exists()), *args.ids])


def _recipe(name_or_path: str) -> AnyRecipe:
    """A recipe of whichever verb; a file is taken to be one of `textvae run`."""
    from .training.digits.recipe import DigitsRecipe
    from .training.emotion.recipe import EmotionRecipe
    from .training.lstm.recipe import load_lstm_recipe

    system = system_of(name_or_path)
    if system == "lstm":
        return load_lstm_recipe(name_or_path)
    sisters: dict[str, type[AnyRecipe]] = {"digits": DigitsRecipe, "emotion": EmotionRecipe}
    kind = sisters.get(system)
    return load_sister_recipe(kind, name_or_path) if kind else load_recipe(name_or_path)


def _report(args: argparse.Namespace) -> None:
    from .training.study.report import write_report

    write_report(args.run_folder)
    print(args.run_folder / "report.html")


def _doctor(_: argparse.Namespace) -> None:
    from .doctor import examine

    for line in examine():
        print(line, flush=True)


VERBS = {
    "run": Verb("run a recipe from its sources to the report", options.run, _run, resumes=True),
    "train-vae": Verb("train the text VAE of a recipe", options.train_vae, _train_vae, resumes=True),
    "evaluate-vae": Verb(
        "measure the text VAE of a recipe beside a language model and a baseline",
        options.evaluate_vae,
        _evaluate_vae,
        resumes=True,
    ),
    "generate": Verb("write sentences drawn from a text VAE", options.generate, _generate),
    "augment": Verb("grow a labelled file by generated rows", options.augment, _augment, resumes=True),
    "advise": Verb(
        "say whether generated rows would help on a labelled file, and which",
        options.advise,
        _advise,
        resumes=True,
    ),
    "classify": Verb("fine-tune a classifier on one file and score it on another", options.classify, _classify),
    "digits": Verb("train autoencoders of digits by a recipe, and measure them", options.digits, _digits, resumes=True),
    "emotion": Verb(
        "train the valence-arousal VAE of a recipe, measure it, and place texts of your own",
        options.emotion,
        _emotion,
        resumes=True,
    ),
    "lstm": Verb("train LSTM classifiers by a recipe, and measure them", options.lstm, _lstm, resumes=True),
    "publish": Verb("put a run's models, datasets and Space on the Hub", options.publish, _publish, resumes=True),
    "demo": Verb("try a run's model and datasets by hand, in a browser", options.demo, _demo),
    "mirror": Verb(
        "fetch models and datasets for machines without the Hub, and verify them",
        options.mirror,
        _mirror,
        resumes=True,
    ),
    "report": Verb("write the report of a run folder again", options.report, _report),
    "doctor": Verb("say what is installed, what can be reached, and what this machine has", options.nothing, _doctor),
}
