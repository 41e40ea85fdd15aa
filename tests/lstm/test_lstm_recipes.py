"""Recipes of the LSTM family: sizes that their names tell, and searches."""

from __future__ import annotations

import re

import pytest
import torch
import yaml

from textvae.training.common.errors import UserError
from textvae.training.common.recipe_files import shipped_recipes
from textvae.training.lstm.recipe import ComparisonRecipe, LstmRecipe, Search, draw_trials, load_lstm_recipe
from textvae.training.lstm.train import build_lstm

RECIPES = {name: load_lstm_recipe(name) for name in shipped_recipes("lstm")}


class Vocabulary:
    """What a recipe's tokenizer tells of itself: that of BERT has 30,522 entries."""

    pad_token_id = 0

    def __len__(self):
        return 30522

    def get_vocab(self):
        return {}


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if isinstance(recipe, LstmRecipe)])
def test_parameters_are_what_the_name_says(name):
    with torch.device("meta"):
        model = build_lstm(RECIPES[name], Vocabulary(), ["neg", "pos"])
    millions = int(re.search(r"_(\d+)m", name)[1])
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(millions * 1e6, rel=0.05)
    recurrent = sum(parameter.numel() for parameter in model.layers.parameters())
    # Where two cores are to train it; five layers of the original's widths are for a GPU.
    assert recurrent <= 20e6 or name in ("lstm_45m_original", "lstm_148m_original")


@pytest.mark.parametrize(("width", "millions", "recurrent"), [(256, 15, 7), (512, 45, 29), (1024, 148, 117)])
def test_five_layers_fit_what_the_original_says_of_its_sizes(width, millions, recurrent):
    """Why `lstm` repeats only the smallest, as it says."""
    recipe = RECIPES[f"lstm_{millions}m_original"]
    assert recipe.embedding_size == recipe.hidden_size == width
    with torch.device("meta"):
        model = build_lstm(recipe, Vocabulary(), ["neg", "pos"])
    counts = [sum(one.numel() for one in part.parameters()) / 1e6 for part in (model, model.layers)]
    assert counts == pytest.approx([millions, recurrent], abs=0.9)


def test_all_three_sizes_are_there_with_and_without_remedies_and_as_the_original():
    assert {f"lstm_{size}{kind}" for size in ("15m", "45m", "148m") for kind in ("", "_plain", "_original")} <= set(
        RECIPES
    )


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if isinstance(recipe, ComparisonRecipe)])
def test_comparisons_name_recipes_that_are_there(name):
    assert len(RECIPES[name].recipes()) >= 2


def test_a_search_draws_within_its_ranges_and_goes_on_where_a_shorter_one_ends():
    search = Search(trials=40, learning_rate=(1e-4, 1e-2), embedding_dropout=(0.2, 0.6))
    trials = draw_trials(search, seed=3)
    assert all(set(trial) == {"learning_rate", "embedding_dropout"} for trial in trials)
    assert all(1e-4 <= trial["learning_rate"] <= 1e-2 for trial in trials)
    assert all(0.2 <= trial["embedding_dropout"] <= 0.6 for trial in trials)
    below = sum(trial["learning_rate"] < 1e-3 for trial in trials)
    assert 12 <= below <= 28  # half of them, were it not by chance
    assert draw_trials(Search(trials=5, learning_rate=(1e-4, 1e-2), embedding_dropout=(0.2, 0.6)), 3) == trials[:5]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": {}}, "members"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "search": {"learning_rate": [0.1, 0.01]}}, "learning_rate"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "search": {"embedding_dropout": [0.2]}}, "embedding_dropout"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "search": {"word_dropout": [0.3, 0.1]}}, "word_dropout"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "search": {"weight_decay": [0.0, 0.1]}}, "weight_decay.*above 0"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "search": {}, "test": True}, "search.*test"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "rivals": True}, "rivals.*test"),
        ({"members": {"a": {"recipe": "lstm_15m"}}, "reported": {"b": {"accuracy": 86.25}}}, "reported.b.*loss"),
        ({"members": {"a": {"recipe": "lstm_15m", "changes": {"hiden_size": 3}}}}, "hiden_size.*hidden_size"),
        ({"members": {"a": {"recipe": "lstm_16m"}}}, "lstm_16m"),
        (
            {"members": {"a": {"recipe": "lstm_15m"}, "b": {"recipe": "lstm_15m", "changes": {"dataset": "org/x"}}}},
            "several datasets .a stanfordnlp/imdb, b org/x",
        ),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_mistakes_are_named(tmp_path, fields, message):
    path = tmp_path / "lstm_x.yaml"
    path.write_text(yaml.safe_dump(fields))
    with pytest.raises(UserError, match=message):
        load_lstm_recipe(path).recipes()
