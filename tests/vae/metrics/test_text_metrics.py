"""Variety of texts, and what of them stands in the training text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.vae.metrics.text import (
    cut_to,
    distinct,
    memorised_share,
    tokenise,
    unique_share,
    unseen_word_share,
)

TEXTS = st.lists(st.text(alphabet="aB '’.!7é", max_size=12), max_size=6)


def test_tokens_are_words_with_their_apostrophes_and_single_marks():
    assert " ".join(tokenise("It's NOT 'good'.. 5/10, Zoë’s!")) == "it's not ' good ' . . 5 / 10 , zoë’s !"


def test_distinct_counts_ngrams_within_texts():
    texts = ["a b a b", "A b"]
    assert distinct(texts, 1) == pytest.approx(2 / 6)  # a, b among a b a b a b
    assert distinct(texts, 2) == pytest.approx(2 / 4)  # ab, ba among ab ba ab | ab; none reaches over the end
    assert distinct(texts, 5) is None


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        (0, []),
        (2, ["Good,"]),
        (3, ["Good, it's"]),
        (4, ["Good, it's  here"]),
        (5, ["Good, it's  here", "two"]),
        (6, ["Good, it's  here", "two words"]),
    ],
)
def test_texts_are_cut_at_a_token(tokens, kept):
    assert cut_to(["Good, it's  here", "two words"], tokens) == kept


def test_too_short_a_set_is_not_passed_off_as_long_enough():
    with pytest.raises(ValueError, match="3 tokens, fewer than the 4"):
        cut_to(["a b", "c"], 4)


@given(st.lists(st.text(max_size=20), max_size=5), st.data())
def test_a_cut_has_as_many_tokens_as_asked_and_they_are_the_first(texts, data):
    every = [token for text in texts for token in tokenise(text)]
    tokens = data.draw(st.integers(0, len(every)))
    assert [token for text in cut_to(texts, tokens) for token in tokenise(text)] == every[:tokens]


def test_texts_that_differ_in_marks_are_one_text():
    assert unique_share(["A film.", "a FILM!", "another", "a film"]) == 2 / 4
    assert unique_share([]) is None


def test_memorised_ngrams_are_counted_as_often_as_they_occur():
    # 4-grams: abcd, bcde; abcd; wxyz. Training holds abcd alone; bcde would reach over the end of a text.
    texts, training = ["a b c d e", "A B C D", "w x y z"], ["z a b c d", "e f g h", "w x y"]
    assert memorised_share(texts, training) == 2 / 4
    assert memorised_share(texts, training, n=3) == 5 / 7  # abc bcd cde | abc bcd | wxy xyz: all but cde, xyz
    assert memorised_share(["a b c"], training) is None


def test_words_that_no_training_text_has_are_unseen():
    # Words: the, film, isn't, film, flim; 7, ok2 and the marks are none.
    texts, training = ["The film isn't 7 ok2!", "film: flim?"], iter(["the film", "is n't"])
    assert unseen_word_share(texts, training) == pytest.approx(2 / 5)  # isn't, flim
    assert unseen_word_share(["7 !"], ["a"]) is None


@given(TEXTS, TEXTS, st.randoms())
def test_shares_are_shares_and_know_no_order(texts, training, random):
    def shares():
        return [
            distinct(texts, 2),
            unique_share(texts),
            memorised_share(texts, training, n=2),
            unseen_word_share(texts, training),
        ]

    before = shares()
    assert all(share is None or 0 <= share <= 1 for share in before)
    random.shuffle(texts)
    random.shuffle(training)
    assert shares() == before


@given(TEXTS)
def test_of_its_own_text_everything_is_known(texts):
    assert memorised_share(texts, texts, n=2) in (1, None)
    assert unseen_word_share(texts, texts) in (0, None)
