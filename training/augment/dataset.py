"""From a label budget to a larger dataset: candidates, checks, quotas, and the folder that is published."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Value

from textvae.modeling_textvae.augmentation import Progress, original_rows
from textvae.modeling_textvae.selection import reject_copies, undecided

from ..common.copies import find_copies
from ..common.files import atomic_folder, check_replaceable, write_json, write_text
from ..common.recipe import AugmentRecipe
from ..common.sources import LabelledTexts, Source
from .card import dataset_card
from .generators import Generator
from .generators.rules import MARKS_COUNT
from .judging import Judges
from .selection import rows_wanted, select

MARK = "candidates.parquet"  # tells a folder of ours, which may be replaced
SCORED_ROWS = 500  # whose perplexity is told though no filter asks for it


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset's `provenance.json` says beyond what its rows show."""

    title: str
    label_names: list[str]
    source: Source  # of the labelled rows
    model: str  # what generated: a Hub id or a folder
    model_revision: str  # of its weights
    settings: AugmentRecipe
    seed: int
    test_texts: int  # whose copies were dropped
    notes: tuple[str, ...] = ()  # one line each, e.g. the model's reconstruction BLEU on these rows
    generator: str = "vae"


def grow(
    generator: Generator,
    judges: Judges,
    budget: LabelledTexts,
    test_texts: list[str],
    settings: AugmentRecipe,
    seed: int,
    progress: Progress | None = None,
    *,
    target: int,
    oversample: float,
    balance: bool = False,
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """All rows, originals first, candidates with what was found out about them and whether they are kept.

    Columns: text, label (index into `budget.label_names`), method, source_row, temperature, seed,
    teacher_confidence, teacher_probabilities (of all classes; a column only where some are known), second_confidence,
    agreed (whether both teachers find the label the likeliest) and perplexity
    (null where no filter asks for them; perplexity is given of the first kept rows in any case where there is a judge
    of it), kept, reject_reason, rank (the rows with rank < n are the dataset of n rows).

    Args:
        test_texts: whose copies and near-copies are dropped.
        progress: called as progress(stage, rows done since the last call, rows in all).
        target: rows wanted, the budget's included.
        oversample: candidates a row that is wanted beside these.
        balance: generated rows make the classes equal.

    Returns:
        The table and, where *diversity* may be asked of it, the (rows, H) features of its rows.
    """
    rows = original_rows(budget.texts, budget.labels or [])
    labels = budget.labels or []
    # Candidates come in the budget's shares, so the class that lacks most says how many.
    wanted = rows_wanted(labels, target, balance)
    count = max(number * len(labels) / labels.count(label) for label, number in wanted.items())
    rows += generator.propose(budget, math.ceil(oversample * count), seed, progress)
    reject_copies(rows, MARKS_COUNT)
    candidates = undecided(rows)
    reasons = find_copies([row["text"] for row in candidates], test_texts, settings.near_copy_overlap)
    for row, reason in zip(candidates, reasons, strict=True):
        row["reject_reason"] = reason
    matrix = judges.judge(rows, budget, progress)
    frame = pd.DataFrame(rows).drop(columns=["sentences", "teacher_agrees"], errors="ignore")
    frame = frame.astype({"source_row": "Int64", "seed": "Int64", "rank": "Int64"})
    if "teacher_probabilities" in frame:
        known = frame["teacher_confidence"].notna()
        frame["teacher_probabilities"] = frame["teacher_probabilities"].astype(object).where(known, None)
    frame["agreed"] = frame["agreed"].astype("boolean") if "agreed" in frame else pd.Series(dtype="boolean")
    for column in ("temperature", "teacher_confidence", "second_confidence", "perplexity"):
        frame[column] = frame[column].astype("Float64") if column in frame else pd.Series(dtype="Float64")
    frame = select(frame, settings.filters, target, settings, matrix, balance)
    first = frame["rank"].lt(SCORED_ROWS).fillna(False)
    kept = frame.index[frame["kept"] & first & frame["perplexity"].isna()]
    if judges.perplexities and len(kept):
        found = judges.perplexities(frame.loc[kept, "text"].tolist())
        frame.loc[kept, "perplexity"] = pd.Series(found, index=kept, dtype="Float64")
    return frame, matrix


def read_features(table: Path) -> np.ndarray | None:
    """The features that were kept beside a table of candidates, float32; None where there are none."""
    path = table.with_suffix(".npy")
    return np.load(path, allow_pickle=False).astype(np.float32) if path.exists() else None


def take(rows: pd.DataFrame, size: int) -> pd.DataFrame:
    """The dataset of `size` rows: originals, then generated rows by rank; fewer where candidates ran out."""
    return rows[rows["kept"] & (rows["rank"] < size)].sort_values("rank", ignore_index=True)


def none_left(candidates: pd.DataFrame) -> str:
    """What became of candidates of which none was kept."""
    fates = candidates["reject_reason"].value_counts().sort_index()
    return f"none of {len(candidates)} candidates is left ({', '.join(f'{why} {n}' for why, n in fates.items())})"


def write_dataset(folder: str | Path, rows: pd.DataFrame, size: int, facts: DatasetFacts) -> None:
    """Write `train.parquet` (the dataset of `size` rows), `candidates.parquet` (all rows), their provenance and card.

    `datasets.load_dataset(folder)` gives the first, `load_dataset(folder, "candidates")` the second, with the
    label as a ClassLabel. The folder appears whole or not at all.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    check_replaceable(folder, MARK)
    features = Features(
        {
            "text": Value("string"),
            "label": ClassLabel(names=facts.label_names),
            "method": Value("string"),
            "source_row": Value("int64"),
            "temperature": Value("float64"),
            "teacher_confidence": Value("float64"),
            "perplexity": Value("float64"),
            "seed": Value("int64"),
            "rank": Value("int64"),
        }
    )
    others = {"second_confidence": Value("float64"), "agreed": Value("bool")}
    audit = Features({**features, **others, "kept": Value("bool"), "reject_reason": Value("string")})
    kept = take(rows, size)
    judged = rows.assign(
        kept=rows["rank"].lt(size).fillna(False),
        reject_reason=rows["reject_reason"].mask(rows["rank"].ge(size).fillna(False), "over quota"),
    )
    with atomic_folder(folder) as temporary:
        _write_parquet(temporary / "train.parquet", kept, features)
        _write_parquet(temporary / MARK, judged, audit)
        versions = {name: metadata.version(name) for name in ("textvae", "torch", "transformers")}
        write_json(temporary / "provenance.json", {"size": size, **dataclasses.asdict(facts), "versions": versions})
        write_text(temporary / "README.md", dataset_card(temporary))


def _write_parquet(path: Path, rows: pd.DataFrame, features: Features) -> None:
    # The schema carries the features, so the ClassLabel survives without a card.
    pq.write_table(pa.Table.from_pandas(rows, schema=features.arrow_schema, preserve_index=False), path)
