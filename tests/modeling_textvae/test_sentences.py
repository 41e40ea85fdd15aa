"""Splitting prose into sentences, cutting long ones, giving capitals back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textvae.modeling_textvae.sentences import MAX_SENTENCES, fit_sentences, match_case, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Mr. Smith vs. Dr. J. R. Jones went to the U.S. Army.", "He liked it... a lot."],
        ['"Really?" he said.', '"Yes!"', "She left."],
        ["i loved this.", "it was great!", "really... quite good.", "approx. five stars"],
        ["Is it I?", "I saw No. 5 for $2.50.", "No."],
        ["1. Story: bad.", "2. Acting: worse. 3/10."],
        ["(This is it.)", "And more."],
        ["Wow!!!", "*** 😀 Good.", "Bad. 10/10. 😀"],
        ["这是好电影。", "我喜欢\uff01", "真的吗\uff1f"],
        ["Это хорошо.", "Мне нравится!"],
        ["A first paragraph without a stop\n\n", "and a second"],
        ["..."],
        [],
    ],
)
def test_ordinary_prose_is_split_as_a_reader_would(sentences):
    text = " ".join(sentences)
    assert split_sentences(text) == [sentence.strip() for sentence in sentences]


def test_a_missing_space_is_forgiven():
    assert split_sentences("A great film.The end is bad!I left.") == [
        "A great film.",
        "The end is bad!I left.",
    ]
    assert split_sentences("See www.imdb.com or ASP.Net now.") == ["See www.imdb.com or ASP.Net now."]


PROSE = st.text(st.sampled_from("aB .!?…\"'”)(\n1,。\uff01é中😀-*") | st.characters(exclude_categories=["Cs"]))


@given(PROSE)
def test_nothing_is_lost_and_nothing_changes_place(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in sentences)


def test_long_runs_of_marks_take_linear_time():
    for text in ("." * 300_000, '."' * 150_000, " " * 300_000, "1. " * 100_000, "\n \n" * 100_000):
        split_sentences(text)  # a quadratic pattern would take hours


@settings(max_examples=30)
@given(texts=st.lists(PROSE, min_size=1, max_size=3))
@example(texts=["0 0000000"])  # its one space is far from the middle
def test_parts_fit_the_model_and_keep_their_order(texts, tiny_tokenizer):
    rows = fit_sentences(texts, tiny_tokenizer, 8)
    for text, row in zip(texts, rows, strict=True):
        assert len(row) <= MAX_SENTENCES
        assert "".join(text.split()).startswith("".join("".join(row).split()))
        for part in row:
            assert len(tiny_tokenizer(part)["input_ids"]) <= 8 or " " not in part


def test_a_long_sentence_is_cut_between_clauses(tiny_tokenizer):
    text = "the story is dull, the cast is bad and i loved every moment; it isn't good"
    assert fit_sentences([text], tiny_tokenizer, 10) == [
        ["the story is dull,", "the cast is bad", "and i loved every moment;", "it isn't good"]
    ]


def test_sentences_beyond_the_limit_of_a_row_are_left_out(tiny_tokenizer):
    (row,) = fit_sentences(["A film. " * (MAX_SENTENCES + 5)], tiny_tokenizer, 8)
    assert row == ["A film."] * MAX_SENTENCES


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("a film by hitchcock.", "The man is Hitchcock!", "A film by Hitchcock."),
        ("i think i like tv", "I like it, but TV is bad.", "I think I like TV"),
        ("the film", "He saw The Matrix.", "The film"),
        ("a star in the sky", "Star Wars: a star is in the Sky Tower", "A star in the sky"),
        ("'tis bad", "Bad it is.", "'Tis bad"),
        ("a Film by hitchcock", "By Hitchcock.", "a Film by hitchcock"),
        ("a film", "a Film", "a Film"),
        ("", "A film.", ""),
        ("...", "A film.", "..."),
        ("a film", "???", "a film"),
    ],
)
def test_capitals_follow_the_source(text, source, expected):
    assert match_case(text, source) == expected


@given(PROSE, PROSE)
def test_capitals_change_nothing_else(text, source):
    assert match_case(text, source).lower() == text.lower()
