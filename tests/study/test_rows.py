"""What a cell is trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.recipe import ClassifierRecipe, Recipe, StudyRecipe, VariantRecipe
from textvae.training.common.run_folder import RunFolder
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study import cells, plan
from textvae.training.study.growing import _say_where_short
from textvae.training.study.plan import Cell, Growth
from textvae.training.study.rows import candidates_file, training_rows, write_rows
from textvae.training.study.run import _cell_fingerprints

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
    write_rows(tmp_path, data, data, [list(range(12))], [0], data.texts)
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
    assert targets.sum(0).tolist() == pytest.approx([4.0, 4.0])
    assert targets.sum() == pytest.approx(8.0)
    assert set(targets[3]) == {0.0, 2.0}


def candidates(folder, reject=()):
    """A table of a budget of eight rows, and of 40 candidates of which the later ones are the more confident."""
    rows = [{"text": f"review {i}", "label": i % 2, "method": "original", "kept": True, "rank": i} for i in range(8)]
    for i in range(40):
        reason = "copy of a test row" if i in reject else "over quota"
        rows.append({"text": f"made {i}", "label": i % 2, "method": "vae", "kept": False, "reject_reason": reason})
        rows[-1]["teacher_confidence"] = sure = 0.5 + i / 100
        rows[-1]["teacher_probabilities"] = [1 - sure, sure] if i % 2 else [sure, 1 - sure]
    for place in range(8, 24):
        if place - 8 not in reject:
            rows[place] |= {"kept": True, "reject_reason": None, "rank": place}
    frame = pd.DataFrame(rows).astype({"rank": "Int64", "teacher_confidence": "Float64"})
    path = candidates_file(folder, Growth("vae", 8, 0))
    path.parent.mkdir(parents=True)
    frame.to_parquet(path)


def variant_recipe(vae_sizes):
    settings = ClassifierRecipe(
        model="org/body", steps=dict.fromkeys((12, *vae_sizes), 1), arms={"vae": vae_sizes, "sure": (12,)}, subsets=1
    )
    return Recipe(
        name="tiny",
        study=StudyRecipe(budget=8),
        augment=replace(RECIPE.augment, filters=(), confident_share=0.05),
        variants={"sure": VariantRecipe(generators=("vae",), filters=("confidence",))},
        classifiers={"lstm": settings},
    )


@pytest.mark.parametrize("vae_sizes", [(12,), (12, 24)])
def test_filters_are_as_strict_as_their_own_arm_asks_whatever_other_arms_there_are(folder, vae_sizes):
    candidates(folder)
    data, _ = training_rows(folder, cell("sure", 12), variant_recipe(vae_sizes))
    assert data.texts[8:] == ["made 36", "made 37", "made 38", "made 39"]  # the four surest, of two classes


def test_confidence_and_weight_are_of_generated_rows_alone(folder):
    candidates(folder)
    recipe = variant_recipe((12,))
    soft = replace(recipe.variants["sure"], soft_labels=True, synthetic_weight=0.25)
    _, targets = training_rows(folder, cell("sure", 12), replace(recipe, variants={"sure": soft}))
    assert targets[:8].tolist() == np.eye(2)[[row % 2 for row in range(8)]].tolist()
    np.testing.assert_allclose(targets[8:, 1], [0.25 * sure for sure in (0.14, 0.87, 0.12, 0.89)], atol=1e-6)
    np.testing.assert_allclose(targets[8:].sum(1), 0.25, atol=1e-6)
    assert training_rows(folder, cell("sure", 12), recipe)[1] is None


@pytest.mark.parametrize(("size", "halves"), [(16, (4, 4)), (17, (4, 5))])
def test_an_arm_of_two_generators_has_half_of_its_rows_from_each(folder, size, halves):
    candidates(folder)
    other = candidates_file(folder, Growth("rules", 8, 0))
    table = pd.read_parquet(candidates_file(folder, Growth("vae", 8, 0)))
    table.assign(text="ruled " + table["text"]).to_parquet(other)
    recipe = variant_recipe((12,))
    both = VariantRecipe(generators=("vae", "rules"))
    data, _ = training_rows(folder, cell("sure", size), replace(recipe, variants={"sure": both}))
    assert len(data) == size
    assert data.texts[:8] == [f"review {i}" for i in range(8)]
    assert sum(text.startswith("made") for text in data.texts) == halves[0]
    assert sum(text.startswith("ruled made") for text in data.texts) == halves[1]


def test_another_share_of_the_most_confident_is_chosen_without_generating_again(folder):
    candidates(folder)
    recipe = variant_recipe((12,))
    half = replace(recipe.variants["sure"], confident_share=0.5)
    data, _ = training_rows(folder, cell("sure", 12), replace(recipe, variants={"sure": half}))
    assert data.texts[8:] == ["made 20", "made 21", "made 22", "made 23"]  # the first of the surer half


def test_a_variant_of_which_nothing_is_left_says_what_took_its_rows(folder):
    candidates(folder, reject=range(40))
    with pytest.raises(
        UserError,
        match=r"arm 'sure', budget 8, subset 0: none of 40 candidates is left \(copy of a test row 40\); take",
    ):
        training_rows(folder, cell("sure", 12), variant_recipe((12,)))


def test_real_rows_of_an_oracle_count_as_what_they_are(folder, monkeypatch):
    counted = []

    class Outcome:
        probabilities, metrics, steps, weights, seconds = np.full((1, 2), 0.5, dtype=np.float32), {}, 0, "w", 1.0

    def train(*_, **options):
        counted.append(options["counted"])
        return Outcome

    monkeypatch.setattr(cells, "train_classifier", train)
    recipe = replace(RECIPE, classifiers={"probe": ClassifierRecipe(model="org/body", subsets=1, test_rows=1)})
    for arm in ("duplicate", "oracle"):
        cells.train_cell(folder, recipe, replace(cell(arm, 12), classifier="probe"), "float32")
    assert counted == [8, 12]


def test_arms_of_a_subset_and_seed_differ_in_their_rows_alone(tmp_path, monkeypatch):
    data = LabelledTexts(
        [f"review {i}" for i in range(12)], [0, 1] * 6, ["neg", "pos"], Source("org/d", "path", "d", "1")
    )
    write_rows(tmp_path, data, data, [list(range(12)), list(range(12))[::-1]], [0, 1, 2, 3], data.texts)
    asked = {}

    class Outcome:
        probabilities, metrics, steps, weights, seconds = np.full((3, 2), 0.5, dtype=np.float32), {}, 0, "w", 1.0

    def train(name, settings, train, test, **options):
        asked[one] = (options["seed"], options["steps"], test.texts)
        return Outcome

    monkeypatch.setattr(cells, "train_classifier", train)
    settings = ClassifierRecipe(model="org/body", steps={8: 3, 12: 5}, subsets=2, seeds=2, test_rows=3)
    recipe = replace(RECIPE, study=StudyRecipe(budget=8), classifiers={"lstm": settings})
    places = [(subset, seed) for subset in (0, 1) for seed in (0, 1)]
    for one in [Cell("lstm", arm, 12, 8, *place) for arm in ("duplicate", "oracle") for place in places]:
        cells.train_cell(tmp_path, recipe, one, "float32")
    seeds = [seed for seed, _, _ in asked.values()]
    assert seeds[:4] == seeds[4:]
    assert len(set(seeds)) == 4
    assert {(steps, tuple(texts)) for _, steps, texts in asked.values()} == {(5, ("review 0", "review 1", "review 2"))}


def test_a_revised_classifier_is_trained_anew_and_no_other(folder, monkeypatch):
    settings = {"model": "org/body", "arms": {"real": (8,)}, "subsets": 1, "test_rows": 1}
    lstm, probe = ClassifierRecipe(**settings, steps={8: 1}), ClassifierRecipe(**settings)
    recipe = replace(RECIPE, classifiers={"lstm": lstm, "probe": probe})
    run = RunFolder(folder, recipe)
    run.update(sources=[{"asked": "org/body", "revision": "1"}])

    def fingerprints() -> dict[str, str]:
        return _cell_fingerprints(run, recipe, plan.plan(recipe), "float32")

    before = fingerprints()
    monkeypatch.setitem(plan.REVISIONS, "probe", 99)
    after = fingerprints()
    assert [key for key in before if before[key] != after[key]] == [key for key in before if key.startswith("probe")]


def test_who_generates_too_few_rows_is_named(capsys):
    facts = {"generator": "rules", "budget": 8, "subset": 1, "kept": 10}
    _say_where_short(facts, 18)
    assert capsys.readouterr().err == ""
    _say_where_short(facts, 20)
    assert "rules, budget 8, subset 1: 10 of 12 rows, so that arms of it are smaller" in capsys.readouterr().err
