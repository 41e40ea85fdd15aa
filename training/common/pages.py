"""Pages made from templates."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from .drawing import standalone, stylesheet
from .files import write_text


def markdown(text: Any) -> str:
    """Text as Markdown shows it unchanged: one line without markup, HTML, link or end of a table's cell."""
    shown = "".join(character if character.isprintable() else " " for character in str(text))
    line = html.escape(" ".join(shown.split()), quote=False)
    line = re.sub(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    line = re.sub(r"(?<=\S)(://|@)|(?<=\bwww)(\.)", r"\\\g<0>", line)  # what would become a link
    # What would begin a heading, a list or a rule; +1.5 does not.
    return re.sub(r"^(\d*)([#=)]|[+.-](?!\d))", r"\1\\\2", line)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def environment(package: str, autoescape: bool = False) -> jinja2.Environment:
    """Strict templates of a package's `templates` folder, beside those that all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader(__package__)]),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": markdown, "duration": duration, "hardware": machine_in_words}
    return environment


def machine_in_words(facts: Mapping[str, Any]) -> str:
    """`AMD EPYC, 2 cores, 24.0 GB`: a machine, as `run.json` has it."""
    cores = f"{facts['cores']} core" + ("" if facts["cores"] == 1 else "s")
    return ", ".join(part for part in (facts["gpu"], facts["cpu"], cores, f"{facts['memory_gb']} GB") if part)


def write_page(package: str, template: str, path: Path, drawings: Mapping[str, str], /, **facts: Any) -> None:
    """Write a page of a package's template, which finds the drawings in `plots`, and each of them beside it.

    Plots that are no longer drawn are removed: cards and the Space show whatever stands there.
    """
    plots = {path.parent / "plots" / f"{name}.svg": drawing for name, drawing in drawings.items()}
    for old in set((path.parent / "plots").glob("*.svg")) - set(plots):
        old.unlink()
    for place, drawing in plots.items():
        write_text(place, standalone(drawing))
    inline = {name: Markup(drawing) for name, drawing in drawings.items()}
    source = environment(package, autoescape=True).get_template(template)
    page = source.render(facts, plots=inline, colours=Markup(stylesheet()))
    write_text(path, re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", page))
