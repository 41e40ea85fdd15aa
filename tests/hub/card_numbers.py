"""Where the numbers of a card come from."""

from __future__ import annotations

import re
from pathlib import Path

from textvae import hub_cards
from textvae.training import augment

NUMBER = r"\d+(?:\.\d+)?"
REVISION = r"v-[0-9a-f]{12}"
SCALES = (1, 100, 1e-6, 1 / 60)  # as it is, per cent, millions, minutes
TEMPLATES = [path for package in (hub_cards, augment) for path in Path(package.__file__).parent.glob("templates/*.j2")]


def leaves(data):
    """Every string and number in plain data, keys included."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from leaves(value)
    elif isinstance(data, list):
        for value in data:
            yield from leaves(value)
    else:
        yield data


def shown(value) -> set[str]:
    """How a card may write a value down."""
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, str):
        return set(re.findall(NUMBER, value))
    ways = {f"{scale * abs(value):.{digits}f}" for scale in SCALES for digits in range(5)}
    return ways | set(re.findall(NUMBER, str(value)))


def untraced(card: str, name: str, values) -> list[str]:
    """The numbers of the repository's card that are neither the template's nor among what was measured."""
    known = {text for value in values for text in shown(value)} | set(re.findall(NUMBER, name))
    for path in TEMPLATES:
        known |= set(re.findall(NUMBER, re.sub(r"\{[{%].*?[%}]\}", " ", path.read_text())))
    plain = re.sub(rf"\\(?=\W)|{REVISION}|sha256[: ][0-9a-f]+|org/[\w-]+", " ", card)
    return sorted(set(re.findall(NUMBER, plain)) - known)
