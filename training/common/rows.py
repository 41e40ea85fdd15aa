"""Rows of a stranger's file or dataset, read strictly: an error names file, row and remedy."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import UserError
from .text import clean

MAX_TEXT_BYTES = 1_000_000
FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, where they came from, and the names of classes that a column declares."""

    place: str  # as the user named it
    columns: dict[str, list[Any]]
    lines: list[int] | None = None  # first line of each row in a text file, 1-based
    class_names: dict[str, list[str]] = field(default_factory=dict)

    def column(self, name: str) -> list[Any]:
        if name not in self.columns:
            raise UserError(f"{self.place}: no column '{name}'; it has {', '.join(map(repr, self.columns))}")
        return self.columns[name]

    def where(self, index: int) -> str:
        """Names a row in an error: 1-based, with its line where there is one."""
        line = f" (line {self.lines[index]})" if self.lines else ""
        return f"{self.place}: row {index + 1}{line}"


def read_rows(path: Path) -> Rows:
    """Read a CSV, TSV, JSONL or parquet file.

    Raises:
        UserError: missing, a folder, empty, unknown format, binary, not UTF-8, unclosed quote, ragged row.
    """
    place = str(path)
    if path.is_dir():
        raise UserError(f"{place}: is a folder; give a CSV, JSONL or parquet file in it")
    if not path.exists():
        raise UserError(f"{place}: no such file; give a CSV, JSONL or parquet file")
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{place}: unknown kind of file; its name must end in {', '.join(FORMATS)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{place}: cannot be read: {error.strerror}; check its permissions") from None
    if not data:
        raise UserError(f"{place}: is empty; give a file with a header and rows")
    if path.suffix.lower() == ".parquet":
        rows = _read_parquet(place, data)
    else:
        text = _decode(place, data)
        rows = _read_jsonl(place, text) if path.suffix.lower() == ".jsonl" else _read_csv(path, text)
    if not rows.columns or not next(iter(rows.columns.values())):
        raise UserError(f"{place}: has no rows; give a file with at least one row a class")
    return rows


def texts_of(rows: Rows, column: str) -> list[str]:
    """The cleaned texts of a column.

    Raises:
        UserError: no such column; a text is missing, empty, no text at all, or too long.
    """
    texts = []
    for index, value in enumerate(rows.column(column)):
        where = f"{rows.where(index)}: '{column}'"
        if _missing(value):
            raise UserError(f"{where} is missing; fill it in or delete the row")
        if not isinstance(value, str):
            raise UserError(f"{where} is {_kind(value)}, not a text; put it in quotes or choose another column")
        if len(value.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
            raise UserError(f"{where} is longer than {MAX_TEXT_BYTES // 1_000_000} MB; cut it or delete the row")
        text = clean(value)
        if not text:
            raise UserError(f"{where} is empty; fill it in or delete the row")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError(f"{where} holds half of a surrogate pair, which is no character; mend or delete the row")
        texts.append(text)
    return texts


def labels_of(rows: Rows, column: str) -> tuple[list[int], list[str]]:
    """Labels as indices, and the classes' names: those that the file declares, else sorted, numbers by value.

    Raises:
        UserError: no such column; a label is missing, or neither a name nor a whole number.
    """
    declared = rows.class_names.get(column)
    indices, names = [], []
    for index, value in enumerate(rows.column(column)):
        where = f"{rows.where(index)}: '{column}'"
        if _missing(value) or (isinstance(value, str) and not value.strip()) or (declared and value == -1):
            raise UserError(f"{where} is missing; fill it in or delete the row")
        if isinstance(value, float) and value.is_integer():  # what a whole number becomes beside a gap
            value = int(value)
        if not isinstance(value, (str, int)):
            raise UserError(f"{where} is {_kind(value)}; a label is a name or a whole number")
        if not declared:
            names.append(str(value).strip())
        elif isinstance(value, int) and 0 <= value < len(declared):
            indices.append(value)
        else:
            raise UserError(f"{where} is {value!r}, outside the label set 0 to {len(declared) - 1}")
    if declared:
        return indices, declared
    classes = sorted(set(names))
    if all(re.fullmatch(r"-?\d+", name) for name in classes):
        classes.sort(key=int)
    position = {name: index for index, name in enumerate(classes)}
    return [position[name] for name in names], classes


def read_parquet(path: Path) -> Rows:
    """Read a parquet file of our own or of a snapshot of the Hub; ClassLabel names are kept."""
    return _read_parquet(str(path), path.read_bytes())


def _read_parquet(place: str, data: bytes) -> Rows:
    try:
        # Without threads: pyarrow 26 now and then aborts a process that ends while its pool still starts one.
        table = pq.read_table(pa.BufferReader(data), use_threads=False, pre_buffer=False)
    except (pa.ArrowException, OSError):
        raise UserError(f"{place}: not a parquet file, or damaged; write it again") from None
    declared = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = declared.get("info", {}).get("features", {})
    names = {key: feature["names"] for key, feature in features.items() if "names" in feature}
    return Rows(place, {name: table[name].to_pylist() for name in table.column_names}, class_names=names)


def _decode(place: str, data: bytes) -> str:
    if b"\0" in data:
        raise UserError(f"{place}: is binary, not text; give a CSV, JSONL or parquet file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{place}: line {line} is not UTF-8; save the file as UTF-8") from None


def _read_csv(path: Path, text: str) -> Rows:
    # A field may be as long as the longest text; what is longer is most likely an unclosed quote.
    csv.field_size_limit(MAX_TEXT_BYTES)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    records, lines, start = [], [], 1
    try:
        for record in reader:
            if record:
                records.append(record)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        if "limit" in str(error):
            raise UserError(
                f"{path}: line {start}: a text is longer than {MAX_TEXT_BYTES // 1_000_000} MB, "
                "or its quote is not closed; cut it or close the quote"
            ) from None
        raise UserError(
            f"{path}: line {start}: a quote is not closed or stands astray; double quotes inside a text"
        ) from None
    if not records:
        return Rows(str(path), {})
    header, *body = records
    if len(set(header)) < len(header):
        raise UserError(f"{path}: line {lines[0]}: a column name stands twice; rename one")
    for index, record in enumerate(body):
        if len(record) != len(header):
            raise UserError(
                f"{path}: row {index + 1} (line {lines[index + 1]}) has {len(record)} fields, the header "
                f"{len(header)}; quote texts that hold a separator"
            )
    columns = {name: [record[i] for record in body] for i, name in enumerate(header)}
    return Rows(str(path), columns, lines[1:])


def _read_jsonl(place: str, text: str) -> Rows:
    records, lines = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            raise UserError(f"{place}: line {number} is not JSON; write one object a line") from None
        if not isinstance(record, dict):
            raise UserError(f"{place}: line {number} is {_kind(record)}, not an object; write one object a line")
        records.append(record)
        lines.append(number)
    names = dict.fromkeys(key for record in records for key in record)
    return Rows(place, {name: [record.get(name) for record in records] for name in names}, lines)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")
