"""A user's table: a CSV, TSV, JSONL or parquet file, or a dataset of the Hub."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import UserError
from .rows import FORMATS, Rows, labels_of, read_rows, texts_of
from .sources import LabelledTexts, Source, content_revision, load_rows


def read_input(input: str, split: str = "train") -> tuple[Rows, Source]:
    """Rows of what a command line names, and where they are from; rows keep their order.

    Args:
        input: a file, or a dataset id `org/name`, `org/name:split`.
        split: of a dataset that is named without one.

    Raises:
        UserError: no such file, dataset or split, or whatever is wrong with the file.
    """
    path = Path(input)
    dataset = re.fullmatch(r"([\w.-]+/[\w.-]+(?:@[\w.-]+)?)(?::(\w+))?", input)
    if dataset and not path.exists() and path.suffix.lower() not in FORMATS:
        return load_rows(dataset[1], dataset[2] or split)
    return read_rows(path), Source(path.name, "path", input, content_revision([path]))


def read_texts(input: str, column: str, split: str = "train") -> list[str]:
    """The cleaned texts of a column; arguments and errors as for `read_input` and `texts_of`."""
    return texts_of(read_input(input, split)[0], column)


def read_table(input: str, text_column: str, label_column: str, split: str = "train") -> LabelledTexts:
    """Texts and labels of any number of classes; arguments as for `read_input`, and duplicates stay.

    Raises:
        UserError: whatever is wrong with the file, naming row, column and remedy; fewer than two classes.
    """
    rows, source = read_input(input, split)
    texts = texts_of(rows, text_column)
    labels, names = labels_of(rows, label_column)
    if len(set(labels)) < 2:
        raise UserError(f"{input}: '{label_column}' has one class only ('{names[labels[0]]}'); at least two are needed")
    return LabelledTexts(texts, labels, names, source)


def check_classes(data: LabelledTexts) -> None:
    """Refuse a declared class that no row has: nothing can be learned, or generated, of it.

    Raises:
        UserError: there is one.
    """
    used = set(data.labels or [])
    for label, name in enumerate(data.label_names):
        if label not in used:
            raise UserError(
                f"{data.source.location}: the class '{name}' is declared, and no row has it; add rows of it, or write "
                "the file with the classes that it has"
            )
