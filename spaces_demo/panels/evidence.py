"""What a run found out: its report's answer and tables, and its plots."""

from __future__ import annotations

import base64
import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import gradio as gr
from loading import Pin, PinError

PLOTS_BEGIN = "\n## Plots"


def report(folder: Path) -> str:
    """The report's Markdown as far as its tables: what follows holds texts of models."""
    content = (folder / "report.md").read_text(encoding="utf-8")
    return content.partition(PLOTS_BEGIN)[0] if PLOTS_BEGIN in content else content.split("\n\n", 1)[0]


def plots(folder: Path) -> str:
    """The plots as pictures, in which no script runs, each with its title and description in words."""
    figures = []
    for path in sorted((folder / "plots").glob("*.svg")):
        drawing = path.read_text(encoding="utf-8")
        title, description = (_words(drawing, tag) for tag in ("title", "desc"))
        data = base64.b64encode(drawing.encode()).decode()
        picture = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(f"{title}. {description}", quote=True)}">'
        figures.append(f"<figure>{picture}<figcaption>{escape(title or path.stem)}</figcaption></figure>")
    return f'<div class="plots">{"".join(figures)}</div>'


def samples(folder: Path) -> list[list[Any]]:
    """Generated rows that the run drew blindly for its report."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    names = facts.get("study", {}).get("label_names", [])
    own = [row for row in facts.get("synthetic", []) if row["generator"] == "vae"]
    return [[names[row["label"]], row["text"]] for row in own]


def _words(drawing: str, tag: str) -> str:
    found = re.search(rf"<{tag}\b[^>]*>([^<]*)</{tag}>", drawing)
    return unescape(found[1]) if found else ""


def find(pin: Pin) -> Path:
    """The folder of a run's report: the pinned one, or `evidence` in it.

    Raises:
        PinError: there is no such folder, or no report in it.
    """
    folder = pin.folder("datasets", "*")
    for place in (folder / "evidence", folder):
        if (place / "report.md").is_file():
            return place
    raise PinError(f"{pin.id}: holds no report.md; pin a run's folder, or a dataset with its evidence")


def build(folder: Path) -> None:
    """The tab, of a folder that `find` found."""
    gr.Markdown(report(folder), elem_classes="report")
    gr.HTML(plots(folder))
    if (folder / "run.json").is_file():
        gr.Dataframe(
            samples(folder), headers=["Label", "Generated row, not picked"], label="Generated rows, not picked",
            interactive=False, wrap=True, column_widths=["20%", "80%"], buttons=[],
        )  # fmt: skip
