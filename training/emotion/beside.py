"""The figures of a frozen encoder's run, which stand beside those of a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..common.errors import UserError
from ..common.files import read_json
from .recipe import EmotionRecipe


def figures_beside(folder: Path, recipe: EmotionRecipe) -> dict[str, Any]:
    """`evaluation.json` of the run `recipe.beside`, whose folder lies beside this run's `folder`; {} for none.

    Raises:
        UserError: it is not there or not finished, is of a trained encoder, too, or of other texts or folds.
    """
    if recipe.beside is None:
        return {}
    other = folder.parent / recipe.beside
    if not (other / "evaluation.json").exists():
        raise UserError(f"beside: {other} has no evaluation.json; run `textvae emotion {recipe.beside}` first")
    found = read_json(other / "evaluation.json")
    if "r_valence" not in found:
        raise UserError(f"beside: {other} has no figures of a frozen encoder; name a run of one")
    own, theirs = (read_json(place / "run.json").get("data") for place in (folder, other))
    if own != theirs:
        raise UserError(
            f"beside: {other} is of other texts or folds; run `textvae emotion {recipe.beside}` anew with the 'data' "
            "and 'folds' of this recipe"
        )
    return found
