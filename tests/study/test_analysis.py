"""What kept predictions say: intervals over test rows, and lifts by kinds of test rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from textvae.training.common.files import write_json
from textvae.training.common.recipe import AugmentRecipe, ClassifierRecipe, Recipe, StudyRecipe
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


def test_all_are_compared_on_the_rows_that_the_shortest_list_has(folder, make_row, monkeypatch):
    monkeypatch.setattr(analysis, "growths", lambda recipe: {})
    rows = [make_row("lstm", "duplicate", 8, k, 0) | {"budget": 4, "test_rows": 2 if k else 40} for k in range(3)]
    found = analysis.analyse(folder, RECIPE, rows, "float32")
    assert found["shared_rows"] == 2
    (one,) = found["shared"]
    assert one["accuracies"] == {"0": 50.0, "1": 50.0, "2": 50.0}  # of the first two rows one has a negation
    monkeypatch.setattr(analysis, "MOST_SHARED", 1)
    assert analysis.analyse(folder, RECIPE, rows, "float32")["shared_rows"] == 1


def test_the_teacher_is_who_chooses(folder, monkeypatch):
    """Of a bank: both teachers, by the sentences of a row; otherwise the one that knows whole rows."""
    said = {True: torch.tensor([[0.9, 0.1]]), False: torch.tensor([[0.2, 0.8]])}
    teachers = [Saying(lambda text: said["not" in text]), Saying(lambda text: said["film" not in text])]
    monkeypatch.setattr(analysis, "both_teachers", lambda budget, embed: teachers)
    monkeypatch.setattr(analysis, "sentences_of", lambda data: [text.split(" that ") for text in data.texts])
    vae = ClassifierRecipe(model="org/body", arms={"vae": (8,)}, subsets=1, steps={8: 1})
    recipe = Recipe(name="tiny", study=StudyRecipe(budget=4), classifiers={"lstm": vae})

    def accuracy(latents: str) -> float:
        one = replace(recipe, augment=AugmentRecipe(vae_latents=latents, bank_sentences=10))
        (found,) = analysis.teacher_accuracies(folder, one, list, 3, "float32")
        assert (found["budget"], found["subset"]) == (4, 0)
        return found["accuracy"]

    # Of the first class: "a film" .2 + .2, "is not good" .9 + .9; "a good film but long" .2 + .2; "good" .2 + .9.
    assert accuracy("prior") == 100.0
    assert accuracy("posterior") == 66.667  # "good" alone .2


class Saying:
    def __init__(self, say):
        self.say = say

    def probabilities(self, texts):
        return torch.cat([self.say(text) for text in texts])
