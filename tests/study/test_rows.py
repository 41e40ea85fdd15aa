"""What a cell is trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from textvae.training.common.recipe import ClassifierRecipe, Recipe, StudyRecipe
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study.plan import Cell, Draw
from textvae.training.study.rows import training_rows, write_rows

SHARES = (0.75, 0.25)
RECIPE = Recipe(
    name="tiny",
    study=StudyRecipe(budget=8, class_shares=SHARES),
    classifiers={"lstm": ClassifierRecipe(model="org/body", steps={}, arms={})},
)


@pytest.fixture
def folder(tmp_path):
    """A budget of six rows of class 0 and two of class 1."""
    data = LabelledTexts(
        [f"review {i}" for i in range(12)], [0, 0, 0, 1] * 3, ["neg", "pos"], Source("org/d", "path", "d", "1")
    )
    write_rows(tmp_path, data, data, [Draw(tuple(range(12)))], [0])
    return tmp_path


def cell(arm: str, size: int) -> Cell:
    return Cell("lstm", arm, size, 8, 0, 0)


def test_rows_of_the_rarest_class_are_repeated_until_classes_are_equal(folder):
    data, targets = training_rows(folder, cell("duplicate", 14), RECIPE)
    assert targets is None
    assert data.texts[:8] == [f"review {i}" for i in range(8)]
    assert data.texts[8:] == ["review 3", "review 7", "review 3", "review 7", "review 0", "review 3"]
    plain = replace(RECIPE, study=replace(RECIPE.study, class_shares=None))
    data, _ = training_rows(folder, cell("duplicate", 14), plain)
    assert data.texts[8:] == [f"review {i}" for i in range(6)]


def test_class_weights_make_classes_count_the_same(folder):
    data, targets = training_rows(folder, cell("weighted", 8), RECIPE)
    assert data.texts == [f"review {i}" for i in range(8)]
    mass = targets.mass(data.labels, 2)
    assert mass.sum(0).tolist() == pytest.approx([4.0, 4.0])
    assert mass.sum() == pytest.approx(8.0)
    assert set(mass[3]) == {0.0, 2.0}
