"""Texts that are anybody's, on pages that are ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.common.pages import duration, markdown


@given(st.text(max_size=60))
def test_markdown_keeps_to_its_line(text):
    shown = markdown(text)
    assert len(shown.splitlines()) <= 1
    assert "<" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*[|`*\[\]]", shown)
    assert not re.match(r"[#=]|[+-](?!\d)|\d+\)|\d+\.(?!\d)", shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. one", r"1\. one"),
        ("- one", r"\- one"),
        ("-1.5 (+2.0)", "-1.5 (+2.0)"),
        ("1.5 points", "1.5 points"),
        ("--- x-y", r"\--- x-y"),
        ("![a](http://b)", r"!\[a\](http\://b)"),
        ("a\n# <b> | &", r"a # &lt;b&gt; \| &amp;"),
        ("a\x00b\u202ec", "a b c"),
    ],
)
def test_markup_is_shown_not_obeyed(text, shown):
    assert markdown(text) == shown


def test_durations():
    assert [duration(seconds) for seconds in (0.31, 9.96, 59.2, 61, 3600)] == [
        "0.3 s",
        "10.0 s",
        "59 s",
        "1 min 1 s",
        "60 min 0 s",
    ]
