"""Recipes of digits: those that are shipped, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.recipe_files import load_sister_recipe, shipped_recipes
from textvae.training.digits.recipe import DigitsRecipe


def test_shipped_recipes_are_read():
    names = shipped_recipes("digits")
    assert names[0] == "digits"
    for name in names:
        recipe = load_sister_recipe(DigitsRecipe, name)
        assert (recipe.name, recipe.batch_size, recipe.epochs, recipe.learning_rate) == (name, 32, 10, 0.001)


def test_mnist_has_every_figure_that_is_asked_of_it():
    models = load_sister_recipe(DigitsRecipe, "digits_mnist").models.values()
    assert {model.latent_size for model in models if not model.variational and not model.noise} >= {2, 16, 32}
    assert 20 in {model.latent_size for model in models if model.variational}


def test_the_originals_constant_rate_differs_from_mnists_recipe_in_that_alone():
    """As far as an autoencoder's training goes: its mixture, and who judges it, come after it."""
    constant, falling = (load_sister_recipe(DigitsRecipe, name) for name in ("digits_mnist_constant", "digits_mnist"))
    assert constant.final_learning_rate_share == 1
    shared = ("dataset", "validation_images", "epochs", "batch_size", "learning_rate", "seed")
    assert [getattr(constant, name) for name in shared] == [getattr(falling, name) for name in shared]
    plain = {name: one for name, one in falling.models.items() if not one.variational and not one.noise}
    assert {one.latent_size for one in plain.values()} == {2, 16, 32}
    without_mixture = [
        {name: dataclasses.replace(one, prior_components=0) for name, one in models.items()}
        for models in (constant.models, plain)
    ]
    assert without_mixture[0] == without_mixture[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": "0"}, "'epochs' must be at least 1, not 0"),
        ({"batch_size": "1"}, "'batch_size' must be at least 2"),
        ({"learning_rate": "3"}, "'learning_rate' must lie between 0 and 1, not 3"),
        ({"final_learning_rate_share": "2"}, "'final_learning_rate_share' must lie in"),
        ({"subsets": "2"}, "'subsets' must be at least 3"),
        ({"few_labels": "1"}, "'few_labels' must be at least 2, not 1"),
        ({"main": "other"}, "'main' must be one of points, flat, vae, denoising, not 'other'"),
        ({"main": "flat"}, "set its 'prior_components'"),
        ({"epoch": "3"}, "unknown key 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_a_wrong_field_is_named(recipe_file, changes, told):
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        load_sister_recipe(DigitsRecipe, recipe_file(**changes))


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ("{}", "'models' is empty"),
        ("{points: {prior_components: 3}, judge: {}}", "'models' key 'judge'"),
        ("{points: {prior_components: 3}, ../up: {}}", "'models' key '../up'"),
        ("{points: {prior_components: 3}, other: {}}", "would have the same figures"),
        ("{points: {prior_components: 3, noise: 2}}", r"'models.points.noise' must lie in \[0, 1\], not 2"),
    ],
)
def test_wrong_models_are_named(tmp_path, models, told):
    path = tmp_path / "tiny.yaml"
    path.write_text(f"main: points\nmodels: {models}\n")
    with pytest.raises(UserError, match=told):
        load_sister_recipe(DigitsRecipe, path)
