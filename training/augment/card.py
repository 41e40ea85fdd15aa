"""The card of a grown dataset, from the files beside it alone: its rows, and `provenance.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import DatasetCardData

from ..common.cards import render_card
from ..common.files import read_json
from ..common.sources import Source

SAMPLES = 3
SAMPLE_CHARACTERS = 300


def dataset_card(folder: Path, repo_id: str | None = None, revision: str | None = None) -> str:
    """The README.md of a dataset folder, told to be loaded as `repo_id` at `revision`, or else from its own place.

    Raises:
        UserError: a fact is missing in `provenance.json`.
    """
    facts = read_json(folder / "provenance.json")
    rows = pd.read_parquet(folder / "candidates.parquet")
    kept = rows[rows["kept"]].sort_values("rank")
    generated = kept[kept["method"] != "original"]
    candidates = rows[rows["method"] != "original"]
    metadata = DatasetCardData(
        pretty_name=facts["title"],
        license="unknown",
        task_categories=["text-classification"],
        tags=["synthetic", "data-augmentation", "textvae"],
        configs=[
            {"config_name": "default", "default": True, "data_files": [_split("train.parquet")]},
            {"config_name": "candidates", "data_files": [_split("candidates.parquet")]},
        ],
    )
    names, source = facts["label_names"], Source(**facts["source"])
    found = {
        "kept": len(kept),
        "real": len(kept) - len(generated),
        "generated": len(generated),
        "by_label": _by_label(kept, names),
        "fates": candidates["reject_reason"].where(~candidates["kept"], "kept").value_counts().to_dict(),
        "source": source,
        "put_together": facts["generator"] == "language_model"
        or (facts["generator"] == "vae" and facts["settings"]["vae_latents"] == "prior"),
        "samples": _samples(generated, names),
        "repo_id": repo_id,
        "revision": revision,
    }
    return render_card(__package__, "dataset", metadata, facts | found, folder)


def _split(file: str) -> dict[str, str]:
    return {"split": "train", "path": file}


def _by_label(kept: pd.DataFrame, names: list[str]) -> list[tuple[Any, ...]]:
    table = pd.crosstab(kept["label"], kept["method"].ne("original")).reindex(
        index=range(len(names)), columns=[False, True], fill_value=0
    )
    return [(name, *counts) for name, counts in zip(names, table.to_numpy().tolist(), strict=True)]


def _samples(generated: pd.DataFrame, names: list[str]) -> list[tuple[str, str, str]]:
    step = max(len(generated) // SAMPLES, 1)
    return [
        (names[row.label], row.method, row.text[:SAMPLE_CHARACTERS] + "…" * (len(row.text) > SAMPLE_CHARACTERS))
        for row in generated.iloc[::step].head(SAMPLES).itertuples()
    ]
