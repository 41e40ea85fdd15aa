"""Recipes as YAML files, read strictly.

An unknown key or a wrong type is an error that names the key, its place and the remedy; nothing is converted silently,
except an integer where a float is asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from .errors import UserError
from .recipe import AnyRecipe, Recipe
from .recipe_checks import check_recipe

SISTERS = ("digits", "emotion", "lstm")  # systems whose recipes have fields, and names, of their own

T = TypeVar("T")
S = TypeVar("S", bound=AnyRecipe)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by the name of a shipped one (`quickstart`) or by the path of a YAML file.

    Raises:
        UserError: no such recipe, not YAML, an unknown key, a wrong type or an impossible value.
    """
    place, data = read_recipe(name_or_path)
    if isinstance(data.get("vae"), str):
        data |= _vae_of(data, place)
    recipe = _build(Recipe, data, place, "")
    check_recipe(recipe, place)
    return recipe


def load_vae_recipe(name_or_path: str | Path) -> Recipe:
    """The recipe that a VAE is of: that of the name, or the one which that takes its `vae` from; errors as above."""
    recipe = load_recipe(name_or_path)
    return recipe if recipe.vae_of is None else load_recipe(recipe.vae_of)


def load_sister_recipe(kind: type[S], name_or_path: str | Path) -> S:
    """Read a recipe of one of the SISTERS; a ValueError of its own checks is reported with the place.

    Raises:
        UserError: as for `load_recipe`.
    """
    place, data = read_recipe(name_or_path, kind.system)
    return build_recipe(kind, data, place)


def build_recipe(kind: type[S], data: dict[str, Any], place: str) -> S:
    """A recipe of one of the SISTERS from its fields; errors as for `load_sister_recipe`."""
    try:
        return _build(kind, data, place, "")
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None


def read_recipe(name_or_path: str | Path, system: str = "") -> tuple[str, dict[str, Any]]:
    """What to call a recipe, and its fields as they stand there, with its name."""
    place = str(name_or_path)
    path = Path(name_or_path)
    shipped_ones = f"give a .yaml file or one of {', '.join(shipped_recipes(system))}"
    if path.suffix in {".yaml", ".yml"} or path.exists():
        if not path.is_file():
            raise UserError(f"{place}: no such recipe file; {shipped_ones}")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{place}: not UTF-8 at byte {error.start}; save the recipe as UTF-8") from None
    else:
        shipped = resources.files("textvae.training.recipes") / f"{place}.yaml"
        owner = system_of(place)
        if shipped.is_file() and owner != system:
            raise UserError(f"{place}: is a recipe of `textvae {owner or 'run'}`; use that verb")
        if not shipped.is_file():
            raise UserError(f"{place}: no such recipe; {shipped_ones}")
        text = shipped.read_text(encoding="utf-8")
        path = Path(f"{place}.yaml")
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise UserError(f"{place}: not valid YAML{where}; check indentation and colons") from None
    if not isinstance(data, dict):
        raise UserError(f"{place}: a recipe is a mapping of fields; see training/recipes/quickstart.yaml")
    data.setdefault("name", path.stem)
    return place, data


def _vae_of(data: dict[str, Any], place: str) -> dict[str, Any]:
    """The `vae` of a recipe that names another one's, which then is trained in that one's folder."""
    try:
        origin = load_recipe(data["vae"])
    except UserError as error:
        raise UserError(f"{place}: 'vae' names a recipe: {error}") from None
    if data.setdefault("seed", origin.seed) != origin.seed:
        raise UserError(f"{place}: 'seed' is {data['seed']}, that of '{data['vae']}' {origin.seed}; they must agree")
    return {"vae": origin.to_dict()["vae"], "vae_of": data["vae"]}


def shipped_recipes(system: str = "") -> list[str]:
    """Names of the recipes inside the package: those of `textvae run`, or those of one of the SISTERS."""
    folder = resources.files("textvae.training.recipes")
    names = sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
    return [name for name in names if system_of(name) == system]


def system_of(shipped: str) -> str:
    """Which of the SISTERS a shipped recipe is of; "" where it is of `textvae run`, as every file is taken to be."""
    first = shipped.partition("_")[0]
    return first if first in SISTERS else ""


def _build(kind: type[T], data: dict[str, Any], place: str, prefix: str) -> T:
    every = typing.get_type_hints(kind).items()
    hints = {name: hint for name, hint in every if typing.get_origin(hint) is not typing.ClassVar}
    for key in data:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(hints)}"
            raise UserError(f"{place}: unknown key '{prefix}{key}'{hint}")
    return kind(**{key: _convert(hints[key], value, place, f"{prefix}{key}") for key, value in data.items()})


def _convert(hint: Any, value: Any, place: str, where: str) -> Any:
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, place, f"{where}.")
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, place, where)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, place, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        key_hint, value_hint = arguments
        return {
            _convert(key_hint, key, place, f"{where} key {key!r}"): _convert(value_hint, item, place, f"{where}.{key}")
            for key, item in value.items()
        }
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if where == "seed" and type(value) is int and not 0 <= value < 2**32:  # what NumPy takes
        raise UserError(f"{place}: 'seed' must lie in 0 to {2**32 - 1}, not {value}")
    if hint in (int, str, bool) and type(value) is hint:
        return value
    expected = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}.get(hint)
    if origin is Literal:
        expected = "one of " + ", ".join(map(repr, arguments))
    elif origin is tuple:
        expected = "a list"
    elif origin is dict or dataclasses.is_dataclass(hint):
        expected = "a mapping"
    raise UserError(f"{place}: '{where}' must be {expected}, not {value!r}")
