"""What kept predictions say: intervals over test rows, and lifts by kinds of test rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from textvae.training.common.files import write_json
from textvae.training.common.recipe import ClassifierRecipe, Recipe, StudyRecipe
from textvae.training.study import analysis
from textvae.training.study.plan import Cell
from textvae.training.study.rows import held_out_file, predictions_file, subset_file

TEXTS = ["a film that is not good", "a good film but long", "good", "the plot of it is very long and odd indeed"] * 10
LABELS = [0, 1] * 20
SOURCE = {"id": "org/reviews", "origin": "path", "location": "r", "revision": "1", "stand_in": None, "licence": None}
RECIPE = Recipe(name="tiny", study=StudyRecipe(budget=4), classifiers={"lstm": ClassifierRecipe(model="org/body")})


@pytest.fixture
def folder(tmp_path):
    """Three subsets: `duplicate` is wrong on rows with a negation, `vae` on none but the last row."""
    held_out_file(tmp_path, 0).parent.mkdir()
    write_json(tmp_path / "rows" / "dataset.json", {"label_names": ["neg", "pos"], "source": SOURCE})
    frame = pd.DataFrame({"row": range(40), "text": TEXTS, "label": LABELS})
    frame.to_parquet(held_out_file(tmp_path, 0))
    for subset in range(3):
        frame.iloc[subset : subset + 4].to_parquet(subset_file(tmp_path, subset))
        for arm in ("duplicate", "vae"):
            wrong = ["not" in text for text in TEXTS] if arm == "duplicate" else [place == 39 for place in range(40)]
            guesses = np.where(wrong, 1 - np.array(LABELS), LABELS)
            path = predictions_file(tmp_path, Cell("lstm", arm, 8, 4, subset, 0))
            path.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(
                {"row": range(40), "label": LABELS, "p_neg": 1.0 - guesses, "p_pos": guesses.astype(float)}
            ).to_parquet(path)
    return tmp_path


def test_lifts_are_found_where_they_are(folder, make_row, monkeypatch):
    monkeypatch.setattr(analysis, "growths", lambda recipe: {})
    rows = [make_row("lstm", arm, 8, k, 0) | {"budget": 4} for arm in ("duplicate", "vae") for k in range(3)]
    found = analysis.analyse(folder, RECIPE, rows, "float32")
    (interval,) = found["bootstrap"]
    assert interval["low"] < 25 - 2.5 < interval["high"]
    assert interval["high"] - interval["low"] > 10  # all subsets say the same; the test rows differ
    lifts = {one["slice"]: one for one in found["slices"]}
    assert lifts["with a negation"]["lift"] == 100.0
    assert lifts["with a negation"]["rows"] == 10
    assert lifts["with a contrast"]["lift"] == 0.0
    quarters = [one["lift"] for name, one in lifts.items() if name.startswith("words known")]
    assert len(quarters) == 4
    assert sum(quarters) / 4 == pytest.approx(22.5)
    assert sum(one["rows"] for name, one in lifts.items() if "half" in name) == 40
