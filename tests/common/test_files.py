from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textvae.training.common.errors import UserError
from textvae.training.common.files import (
    append_jsonl,
    atomic_folder,
    atomic_path,
    check_replaceable,
    fingerprint,
    read_json,
    read_jsonl,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_writes_and_makes_parents(tmp_path):
    with atomic_path(tmp_path / "a" / "b.txt") as temporary:
        assert temporary.parent == tmp_path / "a"
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert (tmp_path / "a" / "b.txt").read_text() == "new"
    assert names(tmp_path / "a") == ["b.txt"]


def test_atomic_path_keeps_the_old_file_when_the_body_fails(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_atomic_folder_replaces_all_files_or_none(tmp_path):
    folder = tmp_path / "model"
    for round_ in ("one", "two"):
        with atomic_folder(folder) as temporary:
            (temporary / round_).write_text(round_)
    assert names(folder) == ["two"]
    with pytest.raises(ZeroDivisionError), atomic_folder(folder) as temporary:
        (temporary / "three").write_text(f"half {1 / 0}")
    assert names(folder) == ["two"]
    assert names(tmp_path) == ["model"]


def test_folders_that_a_command_did_not_write_are_not_replaced(tmp_path):
    check_replaceable(tmp_path, "mark.json")  # empty
    check_replaceable(tmp_path / "new" / "deep", "mark.json")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files that this command did not write; choose"):
        check_replaceable(tmp_path, "mark.json")
    with pytest.raises(UserError, match=r"notes\.txt: is a file"):
        check_replaceable(tmp_path / "notes.txt" / "deep" / "out", "mark.json")
    (tmp_path / "mark.json").touch()
    check_replaceable(tmp_path, "mark.json")


def test_output_under_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.txt", tmp_path / "file" / "deeper" / "a.txt"):
        with pytest.raises(UserError, match=r"a\.txt: cannot be written: a part of this path is a file") as caught:
            write_text(path, "x")
        assert "\n" not in str(caught.value)
        with pytest.raises(UserError, match="a part of this path is a file"):
            append_jsonl(path, {})


def test_an_error_about_another_file_passes_through(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path.parent / "absent" / "input.txt").read_text()


@pytest.mark.parametrize(
    "write",
    [
        "write_text('a.txt', 'x' * 100_000)",
        "[append_jsonl('a.txt', {'x': 'y' * 3000}) for _ in range(9)]",
        "\nfrom safetensors.numpy import save_file; import numpy\n"
        "with atomic_path('a.txt') as path: save_file({'x': numpy.zeros(100_000)}, path)",
    ],
)
def test_disk_full_leaves_nothing_half_written(tmp_path, write):
    code = f"""
import resource
from textvae.training.common.files import append_jsonl, atomic_path, write_text
from textvae.training.common.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    {write.replace(chr(10), chr(10) + "    ")}
except UserError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stdout.startswith("a.txt: cannot be written: the disk is full")
    assert [row["x"][0] for row in read_jsonl(tmp_path / "a.txt")] in ([], ["y"] * 3)
    assert names(tmp_path) in ([], ["a.txt"])


def test_json_round_trip_and_errors(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"ä": [1, None]})
    assert read_json(path) == {"ä": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert read_json(path) == {"ä": [1, None]}
    path.write_text('{"torn": ')
    with pytest.raises(UserError, match=r"a\.json: not a JSON file"):
        read_json(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path / "absent.json")


def test_jsonl_drops_a_torn_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert read_jsonl(path) == []
    append_jsonl(path, {"n": 1})
    with open(path, "a") as file:
        file.write('{"n": 2, "tor')
    assert read_jsonl(path) == [{"n": 1}]
    append_jsonl(path, {"n": 3})
    assert read_jsonl(path) == [{"n": 1}, {"n": 3}]
    path.write_text('{"n": 1}\nnonsense\n{"n": 3}\n')
    with pytest.raises(UserError, match="line 2 is not JSON"):
        read_jsonl(path)


@settings(max_examples=30)  # it syncs to the disk
@given(rows=st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers() | st.booleans())))
def test_jsonl_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    for row in rows:
        append_jsonl(path, row)
    assert read_jsonl(path) == rows


@given(
    st.recursive(
        st.integers() | st.text() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_fingerprint_is_of_the_content(data):
    shuffled = dict(reversed(data.items())) if isinstance(data, dict) else data
    assert fingerprint(data) == fingerprint(shuffled)
    assert len(fingerprint(data)) == 16
    assert fingerprint(data) != fingerprint(data, 1)


def test_fingerprint_of_files_and_dataclasses(tmp_path):
    @dataclass
    class Settings:
        steps: int

    @dataclass
    class LaterSettings:
        steps: int
        new: float = 0.5

    (tmp_path / "a").write_text("same")
    (tmp_path / "b").write_text("same")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    whole = fingerprint(tmp_path)
    (tmp_path / "b").write_text("other")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")
    assert fingerprint(tmp_path) != whole
    assert fingerprint(Settings(1)) != fingerprint(Settings(2))
    assert fingerprint(Settings(1)) == fingerprint(LaterSettings(1)) == fingerprint(LaterSettings(1, 0.5))
    assert fingerprint(LaterSettings(1)) != fingerprint(LaterSettings(1, 0.6))
    assert fingerprint(tmp_path / "absent") == fingerprint(None)
    with pytest.raises(TypeError):
        fingerprint(object())
