"""What a run's recipe says of an arm: by which generators its rows are made, and what chooses them."""

from __future__ import annotations

from typing import Any

from .statistics import is_generated


def filters(info: dict[str, Any], arm: str) -> list[str]:
    """Those of an arm of generated rows."""
    own = info["recipe"]["variants"].get(arm, {}).get("filters")
    return info["recipe"]["augment"]["filters"] if own is None else own


def made_of(info: dict[str, Any], arm: str) -> list[str]:
    """The generators of an arm of generated rows."""
    generators: list[str] = info["recipe"]["variants"].get(arm, {}).get("generators", [arm])
    return generators


def from_bank(info: dict[str, Any], generator: str) -> bool:
    """Whether its rows are put together from sentences that the teachers labelled."""
    return generator == "self_training" or (generator == "vae" and info["recipe"]["augment"]["vae_latents"] == "prior")


def taught(info: dict[str, Any], arm: str) -> bool:
    """Whether the teachers labelled or chose the rows of an arm."""
    by_banks = any(from_bank(info, generator) for generator in made_of(info, arm))
    return is_generated(arm) and (by_banks or not {"confidence", "agreement"}.isdisjoint(filters(info, arm)))


def written(info: dict[str, Any], arm: str) -> bool:
    """Whether somebody wrote the rows of an arm for it: those of `self_training` are real ones without labels."""
    return is_generated(arm) and made_of(info, arm) != ["self_training"]
