"""The page in a real browser, and the server behind it under bad and under much input."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
import time
import uuid

import httpx
import psutil
import pytest

pytestmark = pytest.mark.slow

TEXT = "a moving and funny film."
HOSTILE = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script> **a** {{7*7}} ${window.pwned=1} film."
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
ROWS = "text,label\na moving film.,good\na funny film.,good\na dull film.,bad\na bad film.,bad\n"
GOOD = {
    "reconstruct": [TEXT, 1.0, 0],
    "interpolate": [TEXT, "a dull film.", 4, "linear"],
    "generate": ["augment", "any", 2, 1.0, 0.9, 0],
    "latent_map": [TEXT],
    "grow": [None, ROWS, "text", "label", 2, 0.5, 0],
}
RESULT = "To get this again"
POINTS = "svg[aria-label='Latent map'] circle"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("no browser: install Chromium (Debian: apt-get install chromium) or Google Chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """Opens the app at a width; afterwards no page may have complained, or have asked another host for anything."""
    contexts, complaints = [], []

    def note(kind, message):
        complaints.append(f"{kind}: {message}")

    def allowed(url):
        return url.startswith((server.url, "data:", "blob:"))

    def opened(width, address=""):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: message.type == "error" and note("console", message.text))
        page.on("pageerror", lambda error: note("error", error))
        page.on("request", lambda request: allowed(request.url) or note("request", request.url))
        page.on("websocket", lambda socket: note("websocket", socket.url))
        page.goto(server.url + address)
        page.get_by_role("button", name="Reconstruct", exact=True).wait_for()
        return page

    yield opened
    assert not any(context.pages[0].evaluate("window.pwned") for context in contexts)
    for context in contexts:
        context.close()
    assert complaints == []


def go_to(page, tab):
    if not page.get_by_role("tab", name=tab).is_visible():
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=tab).click()
    else:
        page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(200)


def visible(page, label):
    return page.get_by_label(label, exact=True).locator("visible=true")


def press(page, button, old=""):
    """Click a button; the record of its result, once it is another than `old`."""
    page.get_by_role("button", name=button, exact=True).click()
    record = visible(page, RESULT)
    page.wait_for_function(
        "old => [...document.querySelectorAll('label')].some(label => label.offsetParent"
        f" && label.innerText.includes('{RESULT}')"
        " && ![old, ''].includes(label.querySelector('textarea, input').value))",
        arg=old,
    )
    return record.input_value()


def wait_for_value(page, value):
    """Until some control of the open tab holds a value."""
    page.wait_for_function(
        "value => [...document.querySelectorAll('input')].some(e => e.offsetParent && e.value === value)", arg=value
    )


def faults(page):
    """Controls of the open tab that a screen reader could not name, and what sticks out and cannot be scrolled to."""
    return page.evaluate(
        """() => {
            const shown = what => [...document.querySelectorAll(what)].filter(e => e.offsetParent);
            const scrolls = e => e && (['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
                && e !== document.body && e !== document.documentElement || scrolls(e.parentElement));
            const named = e => (e.ariaLabel || e.title || e.innerText || e.getAttribute('aria-labelledby')
                || [...(e.labels || [])].map(label => label.innerText).join('')).trim();
            return [
                ...shown('input:not([type=hidden]), textarea, select, button').filter(e => !named(e)),
                ...shown('.tabitem *').filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e)),
            ].map(e => e.outerHTML.slice(0, 200));
        }"""
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_every_tab_is_used_by_hand(open_page, width, tmp_path):
    page = open_page(width, "?seed=7")

    visible(page, "Text").fill(TEXT)
    first = press(page, "Reconstruct")
    assert first.endswith("seed 7 · and the same text")
    assert "of 1 sentences active" in visible(page, "Posterior").input_value()
    visible(page, "Text").fill(HOSTILE)
    page.get_by_role("button", name="Reconstruct", exact=True).click()
    page.get_by_text("<img src=x").locator("visible=true").first.wait_for()
    slider = page.get_by_role("slider", name=re.compile("Temperature")).locator("visible=true")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    page.wait_for_function(
        "() => [...document.querySelectorAll('textarea')].some(e => e.value.includes('temperature 0.7 · seed 7'))"
    )
    assert faults(page) == []

    go_to(page, "Interpolate")
    visible(page, "From").fill(TEXT)
    visible(page, "To").fill("a dull film.")
    page.get_by_label("spherical").check()
    assert "path spherical · steps 8" in press(page, "Interpolate")
    page.get_by_text("43 %").first.wait_for()
    assert faults(page) == []

    go_to(page, "Generate")
    visible(page, "Label").click()
    page.get_by_role("option", name="pos").click()
    record = press(page, "Generate")
    assert "label pos · sentences 5" in record
    assert record.endswith("seed 7")
    page.get_by_label("generate", exact=True).check()
    wait_for_value(page, "any")
    visible(page, "Seed").fill("11")
    assert press(page, "Generate", record).endswith("seed 11")
    page.wait_for_url("**seed=11")
    assert faults(page) == []

    go_to(page, "Latent map")
    page.locator(POINTS).first.wait_for()
    count = page.locator(POINTS).count()
    page.locator(POINTS).first.focus()
    page.wait_for_function("() => document.querySelector('.said').innerText === 'pos: a moving and funny film.'")
    visible(page, "Your text").fill(HOSTILE)
    page.get_by_role("button", name="Put on the map").click()
    page.locator(f"{POINTS}.yours").first.wait_for()
    assert page.locator(POINTS).count() > count
    page.locator(f"{POINTS}.yours").first.hover(force=True)
    page.wait_for_function("() => document.querySelector('.said').innerText.startsWith('your text: <img')")
    assert faults(page) == []

    go_to(page, "Grow a dataset")
    page.get_by_text("Eight film reviews").click()
    wait_for_value(page, "label")
    assert "rows added 20" in press(page, "Grow")
    assert visible(page, "What became of them").input_value().startswith("8 rows were given and ")
    for kind in ("parquet", "CSV"):
        with page.expect_download() as download:
            page.get_by_text(f"Download as {kind}").click()
        download.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).stat().st_size > 100
    (tmp_path / "own.csv").write_text(f'words,mood\n"{HOSTILE}",=good\na dull film.,bad\n')
    page.get_by_label("File upload").first.set_input_files(tmp_path / "own.csv")
    assert faults(page) == []

    go_to(page, "Evidence")
    page.get_by_text("Overall, generated rows helped").wait_for()
    pictures = page.locator(".plots img")
    assert pictures.count() == 8
    assert page.evaluate("() => [...document.querySelectorAll('.plots img')].every(e => e.naturalWidth && e.alt)")
    assert faults(page) == []


def test_a_bad_input_is_answered_on_the_page_and_the_next_one_works(open_page):
    page = open_page(1280)
    for bad in ("", "\u200b\u200b", "A film. " * 30):
        visible(page, "Text").fill(bad)
        page.get_by_role("button", name="Reconstruct", exact=True).click()
        page.get_by_test_id("toast-body").first.wait_for()
        assert re.search("empty|invisible|sentences", page.get_by_test_id("toast-body").first.inner_text())
        page.get_by_test_id("toast-close").first.click()
        page.get_by_test_id("toast-body").first.wait_for(state="detached")
    visible(page, "Text").fill(TEXT)
    assert "seed 0" in press(page, "Reconstruct")


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
    """200 calls that no page makes, or that a page makes of what people type: name, data."""
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
    calls += [("generate", ["augment", label, 2, 1, 0.9, 0]) for label in (None, "happy", HOSTILE, ["pos"], 0)]
    calls += [(name, data) for name in GOOD for data in ([], None, "x", [None] * 30)]
    return calls


def test_bad_inputs_are_refused_with_a_message_and_the_app_lives(server):
    calls = bad_inputs()
    assert len(calls) >= 200
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


def test_sixteen_people_for_a_minute(server):
    """No error; nobody sees another's; the server's memory ends where it was after a warm-up."""
    process = psutil.Process(server.process.pid)
    stop, problems, done = time.monotonic() + 60, [], []
    start = threading.Barrier(16)

    def one(number):
        draw = random.Random(number)
        session = uuid.uuid4().hex
        start.wait()
        while time.monotonic() < stop and not problems:
            try:
                seed = draw.randrange(10**6) * 16 + number
                kind = draw.choice(["reconstruct", "interpolate", "generate", "latent_map", "grow"])
                data = list(GOOD[kind])
                mine = f"{number:02d}{seed}"
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
                done.append(kind)
            except Exception as error:
                problems.append(f"{kind}: {error!r}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(15)
    warm = process.memory_info().rss
    for thread in threads:
        thread.join()
    grown = (process.memory_info().rss - warm) / 2**20
    assert problems == []
    assert len(done) > 50
    assert grown < 40, f"{grown:.0f} MiB more after {len(done)} requests"
