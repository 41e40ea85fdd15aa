"""Labelled rows: read from what people upload or paste, written as files that are safe to open."""

from __future__ import annotations

import csv
import io
import tempfile
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import limits
import pandas as pd
from gradio.utils import get_upload_folder

TEXT_NAMES = ("text", "sentence", "review", "content", "message", "document", "comment")
LABEL_NAMES = ("label", "class", "category", "sentiment", "target", "intent", "topic")
DELIMITERS = ",;\t"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are wide forms
SIGNATURES = {b"PK": "a zip archive or workbook", b"\x1f\x8b": "a gzip archive", b"PAR1": "a parquet file"}


class Table(NamedTuple):
    """Rows as wide as their header."""

    header: list[str]
    rows: list[list[str]]


def read_file(path: str | Path) -> Table:
    """The table in an uploaded CSV file."""
    with open(path, "rb") as file:
        content = file.read(limits.FILE + 1)
    if len(content) > limits.FILE:
        raise limits.refuse(f"The file is larger than {limits.FILE:,} bytes: upload fewer rows.")
    for signature, kind in SIGNATURES.items():
        if content.startswith(signature):
            raise limits.refuse(f"The file is {kind}, whatever its name says: save the rows as CSV.")
    try:
        return read_text(content.decode("utf-8-sig"), "The file")
    except UnicodeDecodeError as error:
        raise limits.refuse("The file is not UTF-8 text: save the rows as CSV, encoding UTF-8.") from error


def read_text(content: Any, name: str = "Pasted rows") -> Table:
    """The table in CSV text; comma, semicolon or tab, whichever its first line has most, tells columns apart."""
    if not isinstance(content, str) or not content.strip():
        raise limits.refuse(f"{name}: nothing there. Give a first line with column names, then a row a line.")
    if len(content) > limits.FILE:
        raise limits.refuse(f"{name}: more than {limits.FILE:,} characters. Give fewer rows.")
    content = limits.plain(content.strip("\r\n"), name)
    first_line = content.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first_line.count)
    if first_line.count(delimiter) >= limits.COLUMNS:
        raise limits.refuse(f"{name}: more than {limits.COLUMNS} columns. Keep the text and the label.")
    rows = []
    try:
        for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True):
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
            if len(rows) > limits.ROWS + 1:
                raise limits.refuse(f"{name}: more than {limits.ROWS} rows. Give fewer, or grow them on your machine.")
    except csv.Error as error:
        raise limits.refuse(f"{name}: not CSV (a quotation mark is open, or a cell too long). Mend it.") from error
    header, *rows = rows or [[]]
    if len(set(header)) < len(header) or not all(header) or len(header) < 2:
        raise limits.refuse(f"{name}: the first line must name two or more columns, each once.")
    for place, row in enumerate(rows, start=1):
        if len(row) != len(header):
            message = f"row {place} has {len(row)} cells, the first line {len(header)}. Quote texts with commas."
            raise limits.refuse(f"{name}: {message}")
    if not rows:
        raise limits.refuse(f"{name}: a header and no rows. Add some, of two classes or more.")
    return Table(header, rows)


def guess_columns(table: Table) -> tuple[str, str]:
    """Names of the text and the label column: by their names, else the longest cells and the fewest values."""
    columns = dict(zip(table.header, zip(*table.rows, strict=True), strict=True))
    lower = {name.lower(): name for name in reversed(table.header)}
    text = next((lower[name] for name in TEXT_NAMES if name in lower), None)
    text = text or max(columns, key=lambda name: fmean(map(len, columns[name])))
    rest = [name for name in columns if name != text]
    label = next((lower[name] for name in LABEL_NAMES if lower.get(name) in rest), None)
    several = [name for name in rest if len(set(columns[name])) > 1] or rest
    return text, label or min(several, key=lambda name: len(set(columns[name])))


def labelled(table: Table, text_column: Any, label_column: Any) -> tuple[list[str], list[str]]:
    """Texts and labels of a table's columns, all of them filled in and of two classes or more."""
    for name, column in (("Text column", text_column), ("Label column", label_column)):
        if column not in table.header:
            raise limits.refuse(f"{name}: the rows have no such column. Choose one from the list.")
    if text_column == label_column:
        raise limits.refuse("Text column and Label column are the same: choose two.")
    places = table.header.index(text_column), table.header.index(label_column)
    texts, labels = ([row[place] for row in table.rows] for place in places)
    for place, (text, label) in enumerate(zip(texts, labels, strict=True), start=1):
        limits.text(text, f"The text of row {place}")
        limits.text(label, f"The label of row {place}", limit=100)
    if sum(map(len, texts)) > limits.ROW_TEXTS:
        message = f"The texts have {sum(map(len, texts)):,} characters together: cut them to {limits.ROW_TEXTS:,}."
        raise limits.refuse(message)
    if not 2 <= len(set(labels)) <= limits.CLASSES:
        raise limits.refuse(f"Label column: {len(set(labels))} classes. Have from 2 to {limits.CLASSES}.")
    return texts, labels


def write_files(frame: pd.DataFrame) -> tuple[str, str]:
    """Parquet and CSV of a frame, in a new folder whose name nobody can guess; Gradio deletes its files in time."""
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    for folder in cache.glob("grown-*"):
        with suppress(OSError):
            folder.rmdir()  # which Gradio leaves when it has deleted what was in it
    folder = Path(tempfile.mkdtemp(prefix="grown-", dir=cache))
    frame.to_parquet(folder / "grown.parquet", index=False)
    frame.map(disarm).to_csv(folder / "grown.csv", index=False)
    return str(folder / "grown.parquet"), str(folder / "grown.csv")


def disarm(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA) else cell
