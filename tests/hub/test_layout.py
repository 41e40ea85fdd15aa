"""What a card's metadata may claim of what was read."""

from __future__ import annotations

import pytest

from textvae.hub_cards.layout import hub_datasets, hub_model, measured_on
from textvae.training.common.sources import Source

RT = "cornell-movie-review-data/rotten_tomatoes"


def source(name, origin="hub", stand_in=None):
    return Source(name, origin, "somewhere", "0" * 40, stand_in)


@pytest.mark.parametrize(
    ("read", "claimed"),
    [
        (source(RT), RT),
        (source(RT, "registry", "VADER film snippets"), None),
        (source("stanfordnlp/imdb", "registry"), "stanfordnlp/imdb"),
        (source("JULIELab/EmoBank", "mirror"), None),  # the Hub has no such id
        (source("sklearn/digits", "registry"), None),
        (source("me/mine", "mirror"), "me/mine"),
        (source("mine.csv", "path"), None),
    ],
)
def test_a_dataset_is_claimed_where_it_was_read_and_the_hub_has_it(read, claimed):
    assert hub_datasets(read) == ([claimed] if claimed else None)
    said = measured_on(read, "test")
    assert said["dataset_split"] == "test"
    assert said["dataset_type"] == (claimed or "other")
    assert said["dataset_name"] == (claimed or read.stand_in or read.id)


def test_a_base_model_is_claimed_where_it_was_read():
    assert hub_model(source("a/b")) == hub_model(source("a/b", "registry", "the same model, 4-bit weights")) == "a/b"
    assert hub_model(source("a/b", "registry", "another")) is None
    assert hub_model(source("b", "path")) is None
