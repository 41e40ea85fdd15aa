"""The command line of a training's module, the same under `python -m`, `accelerate launch` and torchrun."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from .errors import UserError
from .progress import say


def launch(
    train: Callable[[str, Path | None], str],
    argv: list[str] | None,
    *,
    prog: str,
    about: str,
    default: str,
    output: str,
) -> int:
    """Parse a recipe and `--output`, train, and leave the processes' group; returns the exit code.

    Args:
        train: (recipe, output or None) → what the main process says when it is done.
        default: the recipe where none is given.
        output: help of `--output`.
    """
    parser = argparse.ArgumentParser(prog=prog, description=about)
    told = f"a shipped recipe's name (default {default}) or a YAML file"
    parser.add_argument("recipe", nargs="?", default=default, help=told)
    parser.add_argument("--output", type=Path, help=output)
    arguments = parser.parse_args(argv)
    try:
        done = train(arguments.recipe, arguments.output)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    except UserError as error:
        print(f"textvae: error: {error}", file=sys.stderr)
        return 2
    if int(os.environ.get("RANK", "0")) == 0:
        say(done)
    return 0
