"""A whole recipe of digits: images → judge → autoencoders → figures → pictures → report; a second run reuses it all."""

from __future__ import annotations

from pathlib import Path

from ..common.machine import Memory
from ..common.recipe_files import load_sister_recipe
from ..common.run_folder import open_run
from .classifier import train_judge
from .data import load_digits
from .evaluate import evaluate
from .pictures import draw_pictures
from .recipe import DigitsRecipe
from .report import write_report
from .train import train_models


def run_digits(name_or_path: str | Path, output: Path | None = None) -> Path:
    """Run a recipe, or go on with it, in `output` (default: `runs/NAME`); returns that folder.

    Raises:
        UserError: a wrong recipe, images that cannot be had or read, a checkpoint that is damaged …
    """
    recipe = load_sister_recipe(DigitsRecipe, name_or_path)
    with open_run(output or Path("runs") / recipe.name, recipe) as run, Memory() as memory:
        digits = load_digits(recipe.dataset, recipe.validation_images)
        for stage in (train_judge, train_models, evaluate, draw_pictures):
            stage(run, recipe, digits)
            run.update(peak_memory_gb=memory.peak_gb)
        write_report(run.path)
    return run.path
