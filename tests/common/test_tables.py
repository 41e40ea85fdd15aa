from __future__ import annotations

import json

import datasets
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textvae.training.common import tables
from textvae.training.common.errors import UserError
from textvae.training.common.rows import Rows
from textvae.training.common.sources import LabelledTexts
from textvae.training.common.tables import check_classes, read_table, read_texts
from textvae.training.common.text import clean


def table(tmp_path, content, name="data.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_csv_of_three_classes(tmp_path):
    text = 'id,label,text\n1,tea,"hot, ""strong""\ncup"\n2,milk,cold\n3,soup,warm\n4,tea,hot\n4,tea,hot\n'
    read = read_table(table(tmp_path, "\ufeff" + text), "text", "label")
    assert read.texts == ['hot, "strong" cup', "cold", "warm", "hot", "hot"]
    assert read.label_names == ["milk", "soup", "tea"]
    assert read.labels == [2, 0, 1, 2, 2]
    assert read.source.origin == "path"
    assert read.take([2, 0]).labels == [1, 2]


def test_numbers_are_sorted_by_value(tmp_path):
    read = read_table(table(tmp_path, "text,label\na,10\nb,9\nc,-1\n"), "text", "label")
    assert read.label_names == ["-1", "9", "10"]
    assert read.labels == [2, 1, 0]


def test_jsonl_and_parquet_agree(tmp_path):
    rows = [{"text": "a", "label": 1}, {"text": "b\u2028c", "label": 0}]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "data.parquet")
    one = read_table(table(tmp_path, lines, "data.jsonl"), "text", "label")
    other = read_table(str(tmp_path / "data.parquet"), "text", "label")
    assert (one.texts, one.labels, one.label_names) == (other.texts, other.labels, other.label_names)
    assert (one.texts, one.labels, one.label_names) == (["a", "b c"], [1, 0], ["0", "1"])


def test_class_names_of_a_dataset_are_kept(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "a"])})
    data = datasets.Dataset.from_dict({"text": ["x", "y"], "label": [0, 1]}, features=features)
    data.to_parquet(tmp_path / "data.parquet")
    read = read_table(str(tmp_path / "data.parquet"), "text", "label")
    assert (read.labels, read.label_names) == ([0, 1], ["z", "a"])


BAD_FILES = [
    ("empty.csv", b"", "is empty"),
    ("header.csv", b"text,label\n", "has no rows"),
    ("blank.jsonl", b"\n\n", "has no rows"),
    ("binary.csv", b"text,label\n\0\1\2,a\n", "is binary"),
    ("not-utf8.csv", "text,label\ngood,a\nschön,b\n".encode("latin-1"), "line 3 is not UTF-8"),
    ("quote.csv", b'text,label\ngood,a\n"bad,b\nfine,a\n', "line 3: a quote is not closed"),
    ("astray.csv", b'text,label\n"so "good",a\nbad,b\n', "line 2: a quote .* stands astray"),
    ("ragged.csv", b"text,label\ngood, very,a\nbad,b\n", r"row 1 \(line 2\) has 3 fields, the header 2"),
    ("twice.csv", b"text,text\na,b\n", "column name stands twice"),
    ("column.csv", b"body,label\ngood,a\nbad,b\n", "no column 'text'; it has 'body', 'label'"),
    ("class.csv", b"body,text\ngood,a\nbad,b\n", "no column 'label'; it has 'body', 'text'"),
    ("blank.csv", b"text,label\ngood,a\n\n <br /> ,b\n", r"row 2 \(line 4\): 'text' is empty"),
    ("label.csv", b"text,label\ngood,a\nbad, \n", r"row 2 \(line 3\): 'label' is missing"),
    ("one.csv", b"text,label\ngood,a\nbad,a\n", r"'label' has one class only \('a'\)"),
    ("long.csv", b"text,label\ngood,a\n" + b"x" * 1_000_001 + b",b\n", "line 3: a text is longer than 1 MB"),
    (
        "long.jsonl",
        json.dumps({"text": "ä" * 500_001, "label": 1}).encode(),
        r"row 1 \(line 1\): 'text' is longer",
    ),
    ("null.jsonl", b'{"text": null, "label": 1}\n', "'text' is missing"),
    ("nan.jsonl", b'{"text": NaN, "label": 1}\n', "'text' is missing"),
    (
        "number.jsonl",
        b'{"text": "a", "label": 1}\n{"text": 5, "label": 0}\n',
        r"row 2 \(line 2\): 'text' is a number",
    ),
    ("absent.jsonl", b'{"text": "a", "label": 1}\n{"label": 0}\n', "row 2 .*'text' is missing"),
    (
        "share.jsonl",
        b'{"text": "a", "label": 0.5}\n',
        "'label' is a number; a label is a name or a whole number",
    ),
    ("list.jsonl", b'{"text": "a", "label": ["x"]}\n', "'label' is a list"),
    ("surrogate.jsonl", b'{"text": "a\\ud800", "label": 1}\n', "half of a surrogate pair"),
    ("broken.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', "line 2 is not JSON"),
    ("array.jsonl", b"[1, 2]\n", "line 1 is a list, not an object"),
    ("fake.parquet", b"text,label\ngood,a\n", "not a parquet file"),
    ("sheet.xlsx", b"PK", "unknown kind of file"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES, ids=[name for name, *_ in BAD_FILES])
def test_bad_files_are_named_in_one_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read_table(table(tmp_path, content, name), "text", "label")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_places(tmp_path):
    with pytest.raises(UserError, match="is a folder; give a CSV"):
        read_table(str(tmp_path), "text", "label")
    with pytest.raises(UserError, match=r"reviews\.csv: no such file"):
        read_table("data/reviews.csv", "text", "label")


def test_gaps_in_parquet(tmp_path):
    path = tmp_path / "data.parquet"
    pd.DataFrame({"text": ["a", "b", None], "label": [1, None, 2]}).to_parquet(path)
    with pytest.raises(UserError, match="row 3: 'text' is missing"):
        read_table(str(path), "text", "label")
    pd.DataFrame({"text": ["a", "b", "c"], "label": [1, None, 2]}).to_parquet(path)
    with pytest.raises(UserError, match="row 2: 'label' is missing"):
        read_table(str(path), "text", "label")
    pd.DataFrame({"text": ["a", "b"], "label": [1.0, 2.0]}).to_parquet(path)
    assert read_table(str(path), "text", "label").label_names == ["1", "2"]


# pandas leaves a lone carriage return unquoted, which no CSV reader can tell from the end of a row.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(clean)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(TEXTS, st.sampled_from(["a", "b"]))))
def test_what_pandas_writes_is_read(tmp_path, rows):
    rows = [*rows, ("x", "a"), ("y", "b")]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "data.csv", index=False)
    read = read_table(str(tmp_path / "data.csv"), "text", "label")
    assert read.texts == [clean(text) for text, _ in rows]
    assert [read.label_names[label] for label in read.labels] == [label for _, label in rows]


def test_a_class_that_is_declared_and_has_no_row_is_named(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["one", "two"], "label": [0, 2]}, features=features)
    rows.to_parquet(tmp_path / "mine.parquet")
    table = read_table(str(tmp_path / "mine.parquet"), "text", "label")
    assert table.labels == [0, 2]
    with pytest.raises(UserError, match=r"mine.parquet: the class 'b' is declared, and no row has it"):
        check_classes(table)
    check_classes(LabelledTexts(["x", "y"], [0, 1], ["a", "b"], table.source))


@pytest.mark.parametrize(("named", "asked"), [("org/name", "test"), ("org/name@v2", "test"), ("org/name:dev", "dev")])
def test_a_dataset_without_a_split_has_the_one_that_is_wanted(monkeypatch, named, asked):
    rows = Rows("somewhere", {"text": ["a", "b"], "label": ["x", "y"]})
    found = []
    monkeypatch.setattr(tables, "load_rows", lambda *place: found.append(place) or (rows, None))
    assert read_table(named, "text", "label", "test").texts == read_texts(named, "text", "test") == ["a", "b"]
    assert found == [(named.partition(":")[0], asked)] * 2
    read_table("org/name", "text", "label")
    assert found[-1] == ("org/name", "train")
