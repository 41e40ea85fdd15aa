"""Annotated texts: what is refused, and that no text is on both sides of a split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.text import normalise
from textvae.training.emotion.data import fold_rows, load_annotated, official_rows
from textvae.training.emotion.recipe import EmotionRecipe


def recipe(data, **changes):
    return EmotionRecipe(name="test", data=data, **changes)


def test_folds_never_share_a_text(write, annotated_rows):
    data = load_annotated(recipe(write(annotated_rows)))
    names = [normalise(text) for text in data.texts]
    assert len(set(names)) < len(names)  # some stand twice
    folds = fold_rows(data, recipe(""))
    assert sorted(np.concatenate([rows.test for rows in folds]).tolist()) == list(range(len(data)))
    for rows in folds:
        parts = [{names[row] for row in part} for part in (rows.train, rows.validation, rows.test)]
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
        assert len(rows.train) + len(rows.validation) + len(rows.test) == len(data)


def test_the_datas_own_split_loses_training_texts_that_are_tested(tmp_path, annotated_rows):
    folder = tmp_path / "rated"
    folder.mkdir()
    for split, rows in {
        "train": annotated_rows[:150],
        "validation": annotated_rows[150:170] + annotated_rows[:2],
        "test": [*annotated_rows[170:200], {**annotated_rows[5], "text": annotated_rows[5]["text"].upper()}],
    }.items():
        pd.DataFrame(rows).to_parquet(folder / f"{split}.parquet")
    data = load_annotated(recipe(str(folder)))
    rows = official_rows(data)
    names = [normalise(text) for text in data.texts]
    later = set(names[150:])
    assert names[5] in later
    assert names[0] in later
    assert rows.train.tolist() == [row for row in range(150) if names[row] not in later]
    assert rows.validation.tolist() == [row for row in range(150, 172) if names[row] not in set(names[172:])]
    assert rows.test.tolist() == list(range(172, len(data)))


def test_a_source_without_arousal_is_read(write, annotated_rows):
    rows = [{key: row[key] for key in ("text", "V", "stdV")} for row in annotated_rows]
    data = load_annotated(recipe(write(rows)))
    assert data.rated == [0]
    assert np.isnan(data.ratings[:, 1]).all()
    assert data.categories is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stdV": -0.1}, r"row 3 .*'stdV' is -0\.1; a standard deviation is never negative"),
        ({"V": 5.5}, r"row 3 .*'V' is 5\.5, outside 1 to 5; mend the row, or set 'lowest_rating'"),
        ({"A": 0.5}, r"row 3 .*'A' is 0\.5, outside 1 to 5"),
        ({"stdA": 9.0}, r"row 3 .*'stdA' is 9, outside 0 to 4"),
        ({"V": None}, r"row 3 .*'V' is missing"),
        ({"stdA": None}, r"row 3 .*'stdA' is missing"),
        ({"V": "high"}, r"row 3 .*'V' is 'high', not a number"),
        ({"text": ""}, r"row 3 .*'text' is empty"),
    ],
    ids=str,
)
def test_a_bad_row_is_named(write, annotated_rows, changes, message):
    rows = [dict(row) for row in annotated_rows]
    rows[2] |= changes
    with pytest.raises(UserError, match=message):
        load_annotated(recipe(write(rows)))


@pytest.mark.parametrize("column", ["text", "V", "stdV", "stdA"])
def test_a_column_that_is_missing_is_named(write, annotated_rows, column):
    rows = [{key: value for key, value in row.items() if key != column} for row in annotated_rows]
    with pytest.raises(UserError, match=f"no column '{column}'"):
        load_annotated(recipe(write(rows)))


def test_too_few_texts(write, annotated_rows):
    data = load_annotated(recipe(write(annotated_rows[:6])))
    with pytest.raises(UserError, match="6 texts are too few"):
        fold_rows(data, recipe(""))
