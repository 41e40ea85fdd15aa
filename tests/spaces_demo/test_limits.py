"""Whatever is sent: it is used as it is, or refused in one line that repeats nothing of it."""

from __future__ import annotations

import asyncio
import math

import gradio as gr
import limits
import pytest
from hypothesis import given
from hypothesis import strategies as st

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers()),
    st.dictionaries(st.text(), st.text()),
)  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # surrogates included


def outcome(function, *arguments):
    """(what it returns, None), or (None, what it says)."""
    try:
        return function(*arguments), None
    except gr.Error as error:
        return None, error.message


@given(st.one_of(ANYTHING, ANY_TEXT, st.text(min_size=limits.SENTENCE)))
def test_a_text_is_readable_or_refused(value):
    text, said = outcome(limits.text, value, "Text", limits.SENTENCE)
    if said:
        assert said.startswith("Text")
        assert ":" in said
        assert "\n" not in said
        return
    assert text in value
    assert text == text.strip()
    assert 0 < len(text) <= limits.SENTENCE
    assert "\0" not in text
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is empty"), ("", "is empty"), (" \n\t", "is empty"), ("a" * 1_000_000, "1,000,000 characters"),
        ("a\0b", "NUL"), ("\ud800", "surrogate"), ("\u200b\u200d", "invisible"), ("\x1b[31m", "control"),
    ],
)  # fmt: skip
def test_what_a_text_is_refused_for(value, said):
    with pytest.raises(gr.Error, match=said):
        limits.text(value, "Text")


@pytest.mark.parametrize("value", ["😀", "مرحبا", "<b>x</b>", "a\nb\tc", "=1+1", "\uff11"])
def test_odd_texts_that_are_texts(value):
    assert limits.text(value, "Text") == value


@given(ANYTHING)
def test_a_number_lies_within_its_bounds_or_is_refused(value):
    number, said = outcome(limits.number, value, "Temperature", 0, 2)
    if said:
        assert said == "Temperature must be a number from 0 to 2."
        return
    assert number == value
    assert not isinstance(value, bool)
    assert 0 <= number <= 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 2.1, 10**400, False, "1", None, [1], {}])
def test_what_no_number_is(value):
    with pytest.raises(gr.Error, match="Temperature must be a number from 0 to 2"):
        limits.number(value, "Temperature", 0, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 10**400, True, "1", None, [1], 0.5, 2**31])
def test_what_no_seed_is(value):
    with pytest.raises(gr.Error, match="Seed must be a whole number from 0 to 2,147,483,647"):
        limits.seed(value)


def test_seeds_may_come_as_floats():
    assert limits.seed(3.0) == 3
    assert isinstance(limits.seed(3.0), int)
    assert limits.seed(limits.LAST_SEED) == 2**31 - 1


@pytest.mark.parametrize(
    ("method", "headers", "reached"),
    [
        ("GET", [], True),
        ("POST", [(b"content-length", b"10")], True),
        ("POST", [(b"content-length", str(limits.BODY + 1).encode())], False),
        ("POST", [(b"transfer-encoding", b"chunked")], False),
        ("POST", [(b"content-length", b"-1")], False),
    ],
)
def test_a_body_is_refused_by_its_length_before_it_is_read(method, headers, reached):
    calls, sent = [], []

    async def app(scope, receive, send):
        calls.append(scope)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": headers}
    asyncio.run(limits.BodyLimit(app)(scope, None, send))
    assert bool(calls) == reached
    assert reached or sent[0]["status"] == 413
