"""The server behind the page: bad calls of its API, and many at once."""

from __future__ import annotations

import json
import random
import re
import threading
import uuid

import httpx
import psutil
import pytest

EACH = 2  # calls of each kind that each of the sixteen makes in either half
TEXT = "a moving and funny film."
ROWS = "text,label\na moving film.,good\na funny film.,good\na dull film.,bad\na bad film.,bad\n"
GOOD = {
    "reconstruct": [TEXT, 1.0, 0],
    "interpolate": [TEXT, "a dull film.", 4, "linear"],
    "generate": ["augment", "any", 2, 1.0, 0.9, 0],
    "latent_map": [TEXT],
    "grow": [None, ROWS, "text", "label", 2, 0.5, 0],
}


class Refused(Exception):
    """What the server answers to a request that it does not work on."""


def call(server, name, data, session=None):
    """The outputs of an API call, as a page's own calls go; Refused with what was said, else."""
    session = session or uuid.uuid4().hex
    content = json.dumps({"data": data, "session_hash": session}).encode("utf-8", "surrogatepass")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        joined = client.post(f"/gradio_api/call/{name}", content=content, headers={"content-type": "application/json"})
        if joined.status_code != 200:
            raise Refused(f"{joined.status_code}: {joined.text}")
        answer = client.get(f"/gradio_api/call/{name}/{joined.json()['event_id']}").text
    event, _, last = answer.strip().rpartition("\ndata: ")
    if not event.endswith("event: complete"):
        raise Refused(last)
    return json.loads(last)


def bad_inputs():
    """Over 200 calls that no page makes, or that a page makes of what people type: name, data."""
    texts = [
        None, "", " ", "\n\n", "\0", "a\0b", "\ud800", "x\udfff", "\u200b\ufeff", "a" * 2001, "b " * 500_000,
        "\x1b[2J", "\x07", "A film. " * 40, "é\x85\x9f",
    ]  # fmt: skip
    numbers = [-1, -0.5, 1e308, -1e308, 10**30, float("nan"), float("inf"), float("-inf"), "1; drop", [], {}, True]
    tables = [
        None, "", "text", "text,label", "text,label\n", "a,a\n1,2\n", "text,label\na,b,c\n", 'text,label\n"a,b\n',
        "text,label\na\0,b\n", "," * 1_000_000, "text,label\n" + "a,b\n" * 5000, "text,label\nx,one\ny,one\n",
        "text,label\n,a\nb,c\n", "\ud800,label\na,b\n", "text,label\n" + "a" * 999_000 + ",b\n", "PK\x03\x04",
        "text,label\n" + "".join(f"a,{n}\n" for n in range(60)), "<b>,<i>\nx,\n",
    ]  # fmt: skip
    calls = []
    for text in texts:
        calls += [(name, [text, *GOOD[name][1:]]) for name in ("reconstruct", "interpolate", "latent_map")]
        calls.append(("interpolate", [TEXT, text, 4, "linear"]))
    places_of_numbers = {"reconstruct": (1, 2), "interpolate": (2,), "generate": (2, 3, 4, 5), "grow": (4, 5, 6)}
    for name, places in places_of_numbers.items():
        for place in places:
            for number in numbers:
                data = list(GOOD[name])
                data[place] = number
                calls.append((name, data))
    calls += [("grow", [None, table, "text", "label", 2, 0.5, 0]) for table in tables]
    calls += [("grow", [None, ROWS, column, "label", 2, 0.5, 0]) for column in ("label", "none", 3, ["text"], {"a": 1})]
    calls += [("grow", [{"path": path, "meta": {"_type": "gradio.FileData"}}, "", None, None, 2, 0.5, 0]) for path in (
        "/etc/passwd", "../../etc/passwd", "app.py", "", "http://127.0.0.1:1/x.csv")]  # fmt: skip
    calls += [("interpolate", [TEXT, TEXT, 4, path]) for path in (None, "", "straight", 7)]
    calls += [("generate", [profile, "any", 2, 1, 0.9, 0]) for profile in (None, "other", "<b>", [])]
    calls += [("generate", ["augment", label, 2, 1, 0.9, 0]) for label in (None, "happy", "<script>", ["pos"], 0)]
    calls += [(name, data) for name in GOOD for data in ([], None, "x", [None] * 30)]
    return calls


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_bad_inputs_are_refused_with_a_message_and_the_app_lives(server, every):
    calls = bad_inputs()[::every]
    assert len(calls) >= 200 / every
    said = []
    for name, data in calls:
        with pytest.raises(Refused) as refused:
            pytest.fail(f"{name}({str(data)[:200]}) gave {call(server, name, data)}")
        said.append(str(refused.value))
        assert server.process.poll() is None
    assert [message for message in said if len(message) < 10] == []
    for name, data in GOOD.items():
        assert call(server, name, data)


def upload(server, content, name="x.csv"):
    answer = httpx.post(f"{server.url}/gradio_api/upload", files={"files": (name, content)}, timeout=60)
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}} if answer.status_code == 200 else None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(range(256)) * 100, "not UTF-8"), (b"PK\x03\x04" + bytes(1000), "zip archive"),
        (b"a," * 400_000, "more than 50 columns"), (b"", "nothing there"), (b"text,label\na\0b,c\n", "NUL"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_with_what_is_wrong(server, content, said):
    with pytest.raises(Refused, match=said):
        call(server, "grow", [upload(server, content), "", None, None, 2, 0.5, 0])


def test_large_requests_are_refused_unread(server):
    assert upload(server, b"x" * 1_500_000) is None
    answer = httpx.post(f"{server.url}/gradio_api/call/generate", content=b"x" * 3_000_000, timeout=60)
    assert answer.status_code == 413


@pytest.mark.slow
def test_sixteen_people_at_once(server):
    """No error; nobody sees another's; the second half of the requests leaves the server no larger than the first."""
    process, problems, done, sizes = psutil.Process(server.process.pid), [], [], []
    turns = threading.Barrier(16, action=lambda: sizes.append(process.memory_info().rss / 2**20))

    def one(number):
        draw = random.Random(number)
        session = uuid.uuid4().hex
        kinds = [kind for kind in GOOD for _ in range(EACH)]
        for half in range(2):
            turns.wait()
            for kind in draw.sample(kinds, len(kinds)):
                try:
                    ask(server, kind, f"{number:02d}{half}{draw.randrange(10**6)}", session)
                    done.append(kind)
                except Exception as error:
                    problems.append(f"{kind}: {error!r}")
        turns.wait()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(done) == 16 * 2 * EACH * len(GOOD)
    _, warm, end = sizes
    assert end - warm < 40, f"{end - warm:.0f} MiB more after {len(done)} requests"


def ask(server, kind, mine, session):
    """A call that nobody else makes, and that its answer is of it."""
    data, seed = list(GOOD[kind]), int(mine)
    if kind == "reconstruct":
        data[0], data[2] = f"film {mine}", seed
        found = call(server, kind, data, session)
        assert found[2]["data"][0][0] == f"film {mine}"
        assert f"seed {seed} " in found[4]
    elif kind == "generate":
        data[5] = seed
        assert call(server, kind, data, session)[1].endswith(f"seed {seed}")
    elif kind == "latent_map":
        found = call(server, kind, [f"film {mine}"], session)
        assert re.findall(r"your text: ([^<]*)<", found[0]) == [f"film {mine}"]
    elif kind == "grow":
        data[1], data[6] = ROWS.replace("good", f"good{mine}"), seed
        found = call(server, kind, data, session)
        assert {row[1] for row in found[1]["data"]} <= {f"good{mine}", "bad"}
        path = found[3]["value"]["path"] if "value" in found[3] else found[3]["path"]
        text = httpx.get(f"{server.url}/gradio_api/file={path}", timeout=60).text
        assert set(re.findall(r"good\d+", text)) == {f"good{mine}"}
    else:
        assert call(server, kind, data, session)
