"""What of the Hub needs no Hub."""

from __future__ import annotations

import hashlib
import tracemalloc

import datasets
import pytest
from datasets.arrow_dataset import Column

from textvae.training.common import hub


def test_files_are_hashed_as_the_hub_and_git_do(tmp_path):
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello\n")
    git = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert hub.hashes(path) == {hashlib.sha256(b"hello\n").hexdigest(), git}


def test_a_large_file_is_hashed_piece_by_piece(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(bytes(20_000_000))
    tracemalloc.start()
    try:
        hub.hashes(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_columns_that_nobody_asks_for_are_not_read(monkeypatch):
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1], "picture": ["large", "large"]})
    monkeypatch.setattr(hub, "problem", lambda: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: data)
    monkeypatch.setattr(Column, "__getitem__", lambda *_: pytest.fail("all of a column was read"))
    rows, commit = hub.dataset("org/name", "0" * 40, "train")
    assert (list(rows.columns), commit) == (["text", "label", "picture"], "0" * 40)
    assert list(rows.column("text")) == ["a", "b"]
