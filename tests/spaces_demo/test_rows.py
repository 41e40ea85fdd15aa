"""Rows in: a table or one line of what is wrong. Rows out: exact as parquet, harmless as CSV."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from pathlib import Path

import gradio as gr
import limits
import pandas as pd
import pytest
import rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import composite

GOOD = "text,label\na fine film.,pos\na dull film.,neg\n"
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=20)


def outcome(function, *arguments):
    """(what it returns, None), or (None, what it says)."""
    try:
        return function(*arguments), None
    except gr.Error as error:
        return None, error.message


@composite
def tables(draw):
    header = draw(st.lists(CELLS, min_size=2, max_size=5, unique=True))
    return header, draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), min_size=1, max_size=6))


@given(tables(), st.sampled_from([",", ";", "\t"]))
def test_a_table_comes_back_as_it_was_written(table, delimiter):
    header, body = table
    # A first line that holds more of another delimiter than of its own is not told apart, by people neither.
    if any(sum(cell.count(other) for cell in header) for other in rows.DELIMITERS):
        return
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([header, *body])
    read = rows.read_text(out.getvalue().replace("\ufeff", "x"))
    assert len(read.rows) == len(body)
    if "\ufeff" not in out.getvalue():
        assert read == (header, body)


@given(st.one_of(st.text(st.characters(exclude_categories=())), st.text("ab\"',;\t\n\r\0=", max_size=60)))
def test_any_pasted_text_is_a_table_or_refused(content):
    table, said = outcome(rows.read_text, content)
    if said:
        assert said.startswith("Pasted rows")
        assert "\n" not in said
        return
    assert 2 <= len(table.header) <= limits.COLUMNS
    assert 1 <= len(table.rows) <= limits.ROWS
    assert {len(row) for row in table.rows} == {len(table.header)}
    text, label = rows.guess_columns(table)
    assert text != label
    assert {text, label} <= set(table.header)


@given(content=st.binary(max_size=300))
def test_any_file_is_a_table_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("upload") / "x.csv"
    path.write_bytes(content)
    table, said = outcome(rows.read_file, path)
    assert table or said.startswith("The file")


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("rows.csv", GOOD)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped(), "zip archive"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"PAR1" + bytes(20), "parquet"),
        (bytes(range(128, 256)), "not UTF-8"),
        (GOOD.encode("utf-16"), "not UTF-8"),
        (b"text,label\na\0b,pos\n", "NUL"),
        (b"", "nothing there"),
        (b"text,label\n", "no rows"),
        (b"text\nonly one column\n", "two or more columns"),
        (b"text,text\na,b\n", "two or more columns"),
        (b"text,label\na,b,c\n", "row 1 has 3 cells"),
        (b'text,label\n"open,pos\n', "quotation mark"),
        (b"a," * 400_000, "more than 50 columns"),
        (b"x" * 1_000_001, "larger than"),
        (b"text,label\n" + b"a,b\n" * 101, "more than 100 rows"),
    ],
)
def test_what_a_file_is_refused_for(tmp_path, content, said):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    begun = time.monotonic()
    with pytest.raises(gr.Error, match=said):
        rows.read_file(path)
    assert time.monotonic() - begun < 2


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "rows.csv").write_bytes(GOOD.encode("utf-8-sig"))
    assert rows.read_file(tmp_path / "rows.csv").header == ["text", "label"]


@pytest.mark.parametrize(
    ("header", "row", "guess"),
    [
        (["id", "Review", "Sentiment"], ["17", "a", "pos"], ("Review", "Sentiment")),
        (["label", "text"], ["pos", "a"], ("text", "label")),
        (["a", "b"], ["pos", "a rather long cell"], ("b", "a")),
        (["label", "category"], ["a rather long cell", "pos"], ("label", "category")),
    ],
)
def test_columns_are_found_by_name_else_by_what_they_hold(header, row, guess):
    assert rows.guess_columns(rows.Table(header, [row, row])) == guess


def test_of_the_other_columns_the_one_of_fewest_values_is_the_label():
    body = [["1", "a long text", "x", "same"], ["2", "another text", "y", "same"], ["3", "a third text", "x", "same"]]
    assert rows.guess_columns(rows.Table(["id", "what", "kind", "source"], body)) == ("what", "kind")


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        (GOOD, ("text", "nothing"), "no such column"),
        (GOOD, ("text", ["label"]), "no such column"),
        (GOOD, ("text", "text"), "are the same"),
        ("text,label\na,pos\nb,pos\n", ("text", "label"), "1 classes"),
        ("text,label\na,pos\n,neg\n", ("text", "label"), "text of row 2 is empty"),
        ("text,label\na,pos\nb,\n", ("text", "label"), "label of row 2 is empty"),
        ("text,label\n" + "".join(f"a,{n}\n" for n in range(30)), ("text", "label"), "30 classes"),
        ("text,label\n" + f"{'a' * 1999},x\nb,y\n" * 20, ("text", "label"), "characters together"),
    ],
)
def test_what_rows_are_refused_for(table, columns, said):
    with pytest.raises(gr.Error, match=said):
        rows.labelled(rows.read_text(table), *columns)


FORMULAS = st.tuples(st.sampled_from(["", " "]), st.sampled_from(rows.FORMULA), st.text()).map("".join)


@given(st.one_of(st.text(), FORMULAS))
def test_no_cell_of_a_csv_begins_like_a_formula(cell):
    safe = rows.disarm(cell)
    assert not safe.lstrip(" ").startswith(rows.FORMULA)
    assert safe in (cell, f"'{cell}")
    assert (safe == cell) != cell.lstrip(" ").startswith(rows.FORMULA)


def test_files_hold_the_rows_each_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    frame = pd.DataFrame({"text": ["=1+1", "plain", "-x"], "rank": pd.array([0, None, 2], "Int64")})
    first, second = rows.write_files(frame), rows.write_files(frame)
    pd.testing.assert_frame_equal(pd.read_parquet(first[0]), frame, check_dtype=False)
    assert list(pd.read_csv(first[1])["text"]) == ["'=1+1", "plain", "'-x"]
    folders = {Path(path).parent for path in (*first, *second)}
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {tmp_path / "cache"}
    for path in first:
        Path(path).unlink()
    third = rows.write_files(frame)
    assert set((tmp_path / "cache").iterdir()) == {Path(path).parent for path in (*second, *third)}
