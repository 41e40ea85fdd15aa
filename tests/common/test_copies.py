"""Copies of test texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.common import copies
from textvae.training.common.copies import find_copies

WORDS = [f"w{number}" for number in range(14)]  # 10 different word 5-grams


def test_copies_are_found_whatever_their_spacing_case_and_marks():
    reasons = find_copies(["A good film!", "a GOOD, film", "Other", "a good filmy"], ["x", "a good film."], 0.6)
    assert reasons == ["copy of a test row", "copy of a test row", None, None]


OTHERS = [f"o{number}" for number in range(14)]


@pytest.mark.parametrize(
    ("shared", "found"), [(9, None), (10, "near-copy of a test row"), (13, "near-copy of a test row")]
)
def test_a_near_copy_shares_enough_of_its_own_ngrams_or_of_the_test_rows(shared, found):
    long = " ".join(["before", *WORDS[:shared], *OTHERS])
    assert find_copies([" ".join(WORDS)], [long], 0.6) == [found]
    assert find_copies([long], [" ".join(WORDS)], 0.6) == [found]


def test_a_text_that_holds_a_test_row_among_others_is_a_near_copy():
    test_row = "An hour of it is enough."
    held = f"{' '.join(OTHERS)}. an hour of it is enough, {' '.join(WORDS)}"
    assert find_copies([held, held.replace("enough", "plenty")], [test_row], 0.6) == ["near-copy of a test row", None]


def test_a_negation_that_a_treebank_has_cut_off_is_the_same_word():
    held = "It will come as no surprise that it isn't scary. But here's the real damn."
    assert find_copies([held], ["no surprise that it is n't scary"], 0.6) == ["near-copy of a test row"]


def test_ngrams_of_several_test_rows_do_not_add_up():
    parts = [" ".join([*WORDS[:9], *OTHERS]), " ".join([*OTHERS, *WORDS[6:]])]
    assert find_copies([" ".join(WORDS)], parts, 0.6) == [None]
    assert find_copies([" ".join(WORDS)], [" ".join([*OTHERS, *WORDS[4:]])], 0.6) == ["near-copy of a test row"]


def test_long_lists_are_looked_at_in_blocks(monkeypatch):
    texts = [f"{number} {' '.join(WORDS)}" if number % 3 else f"film {number}" for number in range(20)]
    whole = find_copies(texts, ["film 9", " ".join(WORDS)], 0.6)
    assert whole[9] == "copy of a test row"
    assert set(whole[1:3]) == {"near-copy of a test row"}
    monkeypatch.setattr(copies, "BLOCK", 7)
    assert find_copies(texts, ["film 9", " ".join(WORDS)], 0.6) == whole


@given(st.lists(st.text(max_size=40), max_size=6), st.lists(st.text(max_size=40), max_size=6))
def test_any_text_is_judged_and_its_own_copy_found(texts, tests):
    assert len(find_copies(texts, tests, 0.6)) == len(texts)
    assert all(find_copies(texts, texts, 0.6)) or not texts


@pytest.mark.parametrize(
    ("test_row", "near"),
    [
        ("这部电影非常好看我很喜欢它的故事", "这部电影非常好看我很喜欢它的音乐"),
        ("หนังเรื่องนี้สนุกมากฉันชอบ", "หนังเรื่องนี้สนุกมากฉันรัก"),
        ("यह फिल्म बहुत अच्छी है और मुझे पसंद आई", "यह फिल्म बहुत अच्छी है और मुझे पसंद थी"),
    ],
)
def test_near_copies_are_found_in_scripts_of_other_kinds(test_row, near):
    assert find_copies([near, test_row[::-1]], [test_row], 0.6) == ["near-copy of a test row", None]


def test_a_letter_with_its_accent_is_the_same_in_both_spellings():
    assert find_copies(["cafe\u0301 film"], ["caf\u00e9, film"], 0.6) == ["copy of a test row"]
