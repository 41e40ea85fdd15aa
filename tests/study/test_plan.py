"""Cells and draws: balanced, disjoint, and the same whatever else a recipe asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.recipe import AugmentRecipe, ClassifierRecipe, Recipe, StudyRecipe, VariantRecipe
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.common.text import role
from textvae.training.study.plan import (
    READ_BY,
    cost,
    draw_budgets,
    draw_test,
    filters_asked,
    keeps_model,
    own_settings,
    plan,
    seed_of,
    subsets,
)

SOURCE = Source(id="org/reviews", origin="path", location="reviews", revision="1")
NAMES = ["bad", "fair", "good"]


def texts(count: int, word: str = "train") -> LabelledTexts:
    return LabelledTexts(
        [f"{word} review number {i}" for i in range(count)], [i % 3 for i in range(count)], NAMES, SOURCE
    )


def recipe(budget: int = 10, number: int = 3, oracle: int = 24, **study) -> Recipe:
    settings = ClassifierRecipe(
        model="org/body",
        steps={budget: 5, oracle: 20},
        arms={"real": (budget,), "oracle": (oracle,), "vae": (oracle,)},
        subsets=number,
        test_rows=20,
    )
    return Recipe(
        name="tiny",
        study=StudyRecipe(budget=budget, **study),
        classifiers={"lstm": settings, "bert": replace(settings, subsets=1)},
    )


def test_budgets_are_balanced_disjoint_and_of_the_study_role():
    train = texts(600)
    draws = draw_budgets(train, recipe())
    assert len(draws) == 3
    every = [row for draw in draws for row in draw]
    assert len(every) == len(set(every)) == 3 * 24
    assert {role(train.texts[row]) for row in every} == {"study"}
    for draw in draws:
        labels = [row % 3 for row in draw[:10]]
        assert sorted(labels.count(c) for c in range(3)) == [3, 3, 4]
        assert draw[:24][:10] == draw[:10]
        assert [sum(row % 3 == c for row in draw[:24]) for c in range(3)] == [8, 8, 8]


def test_more_subsets_or_a_larger_oracle_leave_the_budgets_alone():
    train = texts(900)
    budgets = [draw[:10] for draw in draw_budgets(train, recipe())]
    assert [draw[:10] for draw in draw_budgets(train, recipe(number=5))][:3] == budgets
    assert [draw[:10] for draw in draw_budgets(train, recipe(oracle=60))] == budgets
    assert [draw[:10] for draw in draw_budgets(train, replace(recipe(), seed=1))] != budgets


def test_draws_do_not_depend_on_the_order_of_the_file_and_take_a_text_once():
    train = texts(600)
    turned = train.take(range(599, -1, -1))
    twice = LabelledTexts(train.texts + train.texts, train.labels + train.labels, NAMES, SOURCE)

    def drawn(data: LabelledTexts) -> list[list[str]]:
        return [[data.texts[row] for row in draw] for draw in draw_budgets(data, recipe())]

    assert drawn(turned) == drawn(twice) == drawn(train)


def test_too_few_rows_is_an_error_that_names_class_and_remedy():
    with pytest.raises(UserError, match=r"org/reviews: class 'bad' has \d+ study rows, fewer than .*lower the budget"):
        draw_budgets(texts(60), recipe())
    with pytest.raises(UserError, match=r"class 'bad' has 3 test rows .*fewer than the 7 asked for; lower 'test_rows'"):
        draw_test(texts(9, "test"), texts(60), recipe())
    with pytest.raises(UserError, match="it has no labels"):
        draw_budgets(LabelledTexts(["a"], None, NAMES, SOURCE), recipe())


def test_test_rows_are_balanced_and_never_training_texts():
    train, test = texts(300), texts(90, "test")
    leaked = LabelledTexts(
        [f"TRAIN: review number {i}!" for i in range(30)] + test.texts,
        [i % 3 for i in range(30)] + test.labels,
        NAMES,
        SOURCE,
    )
    order = draw_test(leaked, train, recipe())
    assert len(order) == 20
    assert min(order) >= 30
    assert [leaked.labels[row] for row in order] == [i % 3 for i in range(20)]


def test_a_development_recipe_never_looks_at_study_or_test_rows():
    train, wanted = texts(2400), recipe(role="development")
    drawn = {row for draw in draw_budgets(train, wanted) for row in draw}
    tests = set(draw_test(train, train, wanted))
    assert not drawn & tests
    assert {role(train.texts[row]) for row in drawn | tests} == {"development"}


def test_every_cell_is_planned_once_whole_subsets_and_long_ones_first():
    wanted = replace(recipe(), study=StudyRecipe(budget=10, seeds=2))
    cells = plan(wanted)
    assert len(cells) == len({cell.key for cell in cells}) == 3 * (3 + 1) * 2
    places = [(cell.subset, -cost(cell, wanted.classifiers[cell.classifier])) for cell in cells]
    assert places == sorted(places)
    assert cells[0].classifier == "bert"
    assert subsets(wanted) == 3
    kept = [cell for cell in cells if keeps_model(cell, wanted)]
    assert sorted(cell.key for cell in kept) == ["bert-vae-24-of10-subset0-seed0", "lstm-vae-24-of10-subset0-seed0"]


def test_seeds_differ_by_purpose_and_stay():
    assert seed_of(0, "train", 1, 0) == seed_of(0, "train", 1, 0)
    assert len({seed_of(0, "train", k, r) for k in range(10) for r in range(3)} | {seed_of(0, "augment", 1)}) == 31


def test_unequal_classes_take_turns_by_subset_and_the_oracle_makes_them_equal():
    train = texts(900)
    draws = draw_budgets(train, recipe(budget=10, oracle=24, class_shares=(0.6, 0.2, 0.2)))
    every = [row for draw in draws for row in draw]
    assert len(every) == len(set(every)) == 3 * 24

    def counts(rows) -> list[int]:
        return [sum(row % 3 == c for row in rows) for c in range(3)]

    assert [counts(draw[:10]) for draw in draws] == [[6, 2, 2], [2, 2, 6], [2, 6, 2]]
    assert [counts(draw[:24]) for draw in draws] == [[8, 8, 8]] * 3
    with pytest.raises(UserError, match=r"it has 3 classes, 'study.class_shares' 2"):
        draw_budgets(train, recipe(class_shares=(0.5, 0.5)))
    with pytest.raises(UserError, match="a budget of 10 has no row of class 'bad'; raise the budget"):
        draw_budgets(train, recipe(budget=10, class_shares=(0.94, 0.03, 0.03)))


def test_an_arm_of_a_generators_name_may_have_filters_of_its_own():
    """Those that no arm of a generator asks for need not be found out about its rows."""
    arms = dict.fromkeys(("vae", "rules", "plain", "both"), (24,))
    settings = ClassifierRecipe(model="org/body", arms=arms)
    made = replace(recipe(), classifiers={"probe": settings}, augment=AugmentRecipe(filters=("confidence",)), variants={
        "rules": VariantRecipe(("rules",), filters=()),
        "plain": VariantRecipe(("vae",), filters=("novelty",)),
        "both": VariantRecipe(("vae", "language_model")),
    })  # fmt: skip
    assert [made.filters(arm) for arm in ("vae", "rules", "plain")] == [("confidence",), (), ("novelty",)]
    assert filters_asked(made, "rules") == set()
    assert filters_asked(made, "vae") == {"confidence", "novelty"}
    assert filters_asked(made, "language_model") == {"confidence"}
    assert made.arms().count("rules") == 1
    assert made.without("rules").variants.keys() == {"plain", "both"}


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({"bank_share": 0.7}, {"vae", "self_training"}),
        ({"temperature": 0.9}, {"vae"}),
        ({"rule_share": 0.3}, {"rules", "masked_lm"}),
        ({"language_model_top_p": 0.5}, {"language_model"}),
        ({"masked_lm": "org/other"}, {"masked_lm"}),
        ({"confident_share": 0.5}, set(READ_BY)),
        ({"sizes": (200,)}, set()),
        ({"oversample_by_generator": {"rules": 9.0}}, {"rules"}),
    ],
)
def test_a_setting_grows_anew_those_whose_rows_it_reaches(changes, reached):
    plain, changed = AugmentRecipe(), AugmentRecipe(**changes)
    assert {name for name in READ_BY if own_settings(plain, name) != own_settings(changed, name)} == reached
