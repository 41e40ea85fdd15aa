"""Cards: facts in, Markdown out. A fact that is missing is an error, never a blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import DatasetCardData, ModelCardData, SpaceCardData

from .errors import UserError
from .pages import environment, markdown


def render_card(
    package: str,
    template: str,
    metadata: ModelCardData | DatasetCardData | SpaceCardData,
    facts: dict[str, Any],
    place: Path,
) -> str:
    """A README.md: what the Hub reads, as YAML, then the template filled in.

    Args:
        package, template: a file `templates/TEMPLATE.md.j2` of a package.
        facts: plain data, as it stands in the results files of `place`.

    Raises:
        UserError: a fact that the template needs is missing or null there.
    """
    pages = environment(package)
    pages.finalize = _known
    pages.filters |= {"number": _number, "md": lambda value: markdown(_known(value))}
    try:
        body = pages.get_template(f"{template}.md.j2").render(facts)
    except (jinja2.UndefinedError, _MissingError, TypeError) as error:
        raise UserError(f"{place}: a fact of the card is missing: {error}; make the results there anew") from None
    return f"---\n{metadata.to_yaml(line_break=chr(10)).strip()}\n---\n\n{body}"


class _MissingError(Exception):
    pass


def _known(value: Any) -> Any:
    if value is None:
        raise _MissingError("null stands where something should")
    return value


def _number(value: Any, digits: int = 1, scale: float = 1.0) -> str:
    """`scale` × value with so many decimals and a real minus sign."""
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises, and says its name
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _MissingError(f"{value!r} stands where a number should")
    return f"{scale * value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
