from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.common.text import clean, normalise, role, split_share


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Good.<br /><br />Bad.", "Good. Bad."),
        ("Good.<BR> <br/>Bad.", "Good. Bad."),
        ("wait\x85 \x93what\x94", "wait… “what”"),
        ("Good.<br />\x85or not", "Good. …or not"),
        ("caf\x81é", "café"),
        (" \t two\n lines\u00a0here ", "two lines here"),
        ("a < b and b > a", "a < b and b > a"),
        ("it -LRB- all of it -rrb- -LSB-sic-RSB-", "it ( all of it ) [sic]"),
    ],
)
def test_clean(raw, cleaned):
    assert clean(raw) == cleaned


@given(st.text())
def test_clean_leaves_no_stray_whitespace_or_controls(text):
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert not any("\x80" <= character <= "\x9f" for character in cleaned)


@given(st.text())
def test_normalise_keeps_letters_and_digits_only(text):
    assert all(character.isalnum() for character in normalise(text))


def test_same_text_has_one_identity():
    assert normalise("It's  GREAT, isn\u2019t it?") == normalise("its great isn't IT") == "itsgreatisntit"
    assert split_share("It's great!<br />") == split_share("its great")


@given(st.text())
def test_share_lies_in_the_unit_interval(text):
    assert 0 <= split_share(text) < 1


def test_roles_never_change():
    """Values of the first release: a changed hash would mix study and training texts of older runs."""
    assert [role(f"review number {n}") for n in range(6)] == [
        "unlabelled",
        "study",
        "study",
        "unlabelled",
        "development",
        "study",
    ]
    assert split_share("a good film") == 0.3983536007722104


def test_role_shares():
    counts = Counter(role(f"text {n}") for n in range(20_000))
    assert counts["study"] / 20_000 == pytest.approx(0.45, abs=0.015)
    assert counts["development"] / 20_000 == pytest.approx(0.10, abs=0.01)
    assert counts["unlabelled"] / 20_000 == pytest.approx(0.45, abs=0.015)
