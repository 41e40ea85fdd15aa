"""The card of a grown dataset: facts and samples, escaped, because texts and labels are anybody's."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pandas as pd
import yaml

from ..common.recipe import AugmentRecipe
from ..common.sources import Source

SAMPLES = 3
SAMPLE_CHARACTERS = 300


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset's card says beyond what its rows show."""

    title: str
    label_names: list[str]
    source: Source  # of the labelled rows
    model: str  # what generated: a Hub id or a folder
    settings: AugmentRecipe
    seed: int
    notes: tuple[str, ...] = ()  # one line each, e.g. the model's reconstruction BLEU on these rows


def write_card(path: Path, rows: pd.DataFrame, size: int, facts: DatasetFacts) -> None:
    """Write the README.md of a dataset of `size` rows; `rows` are all, judged for that size."""
    kept = rows[rows["kept"]].sort_values("rank")
    generated = kept[kept["method"] != "original"]
    short = len(kept) < size
    front = {
        "pretty_name": facts.title,
        "task_categories": ["text-classification"],
        "tags": ["synthetic", "data-augmentation", "textvae"],
        "configs": [
            {"config_name": "default", "default": True, "data_files": [_split("train.parquet")]},
            {"config_name": "candidates", "data_files": [_split("candidates.parquet")]},
        ],
    }
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {escape(facts.title)}",
        "",
        f"{len(kept)} rows: {len(kept) - len(generated)} real labelled ones and {len(generated)} that a text "
        "variational autoencoder made from them. A generated row is decoded from the disturbed latents of "
        "its source's sentences and **inherits its source's label; no person has checked it**. Train on it; "
        "do not test on it.",
        "",
        *([f"{size} rows were asked for: too few candidates passed the checks.", ""] if short else []),
        "## Rows",
        "",
        *_table(["label", "real", "generated"], _by_label(kept, facts.label_names)),
        "",
        *_table(["fate of a candidate", "rows"], _fates(rows)),
        "",
        "`default` holds the kept rows, in the order in which smaller datasets contain them; `candidates` "
        "every row with the reason of its rejection. Columns: `text`, `label`, `method`, `source_row` (which "
        "real row), `temperature` (posterior standard deviations of noise), `teacher_confidence` (p(label) "
        "by a logistic regression fitted on the real rows alone), `perplexity` (null: not scored), `seed`, "
        "`rank`; and in `candidates` `kept`, `reject_reason`.",
        "",
        "## How it was made",
        "",
        *(f"- {line}" for line in _facts(facts)),
        "",
        "## Samples",
        "",
        "Generated rows, evenly spaced over the ranks, not picked.",
        "",
        *_table(["label", "method", "text"], _samples(generated, facts.label_names)),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def escape(text: str, limit: int | None = None) -> str:
    """Text that Markdown and HTML show as it is: one line, no markup, no table cell's end, cut at `limit`."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if limit and len(text) > limit:
        text = text[:limit] + "…"
    text = re.sub(r"([\\`*_\[\]#|~:@$])", r"\\\1", html.escape(text, quote=False))
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)  # would begin a list or underline a heading


def _split(file: str) -> dict[str, str]:
    return {"split": "train", "path": file}


def _table(header: list[str], rows: list[tuple[object, ...]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{' --- |' * len(header)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]


def _by_label(kept: pd.DataFrame, names: list[str]) -> list[tuple[object, ...]]:
    table = pd.crosstab(kept["label"], kept["method"].ne("original")).reindex(
        index=range(len(names)), columns=[False, True], fill_value=0
    )
    return [(escape(name), *counts) for name, counts in zip(names, table.to_numpy().tolist(), strict=True)]


def _fates(rows: pd.DataFrame) -> list[tuple[object, ...]]:
    candidates = rows[rows["method"] != "original"]
    counts = candidates["reject_reason"].where(~candidates["kept"], "kept").value_counts()
    return [(fate, int(count)) for fate, count in counts.items()]


def _facts(facts: DatasetFacts) -> list[str]:
    settings = facts.settings
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("textvae", "torch", "transformers"))
    licence = facts.source.licence or "not stated; ask whoever made the source"
    return [
        f"Real rows: {escape(facts.source.sentence())}. Licence of the source: {escape(licence)}.",
        f"Generator: {escape(facts.model)}.",
        f"Settings: temperature {settings.temperature:g}, {settings.interpolation_share:.0%} interpolations "
        f"within a class, {settings.oversample:g} candidates a wanted row, seed {facts.seed}.",
        "Kept: the most confident candidates a class, in the real rows' class shares. Dropped: repetitions, "
        "copies of a test text that was given, "
        f"rows with {settings.near_copy_overlap:.0%} of their word 5-grams in one.",
        *map(escape, facts.notes),
        f"Versions: {versions}.",
    ]


def _samples(generated: pd.DataFrame, names: list[str]) -> list[tuple[object, ...]]:
    step = max(len(generated) // SAMPLES, 1)
    return [
        (escape(names[row.label]), row.method, escape(row.text, SAMPLE_CHARACTERS))
        for row in generated.iloc[::step].head(SAMPLES).itertuples()
    ]
