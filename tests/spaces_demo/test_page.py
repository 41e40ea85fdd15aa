"""The page in a real browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPORT = Path(__file__).parents[2] / "docs/results/quickstart"
TEXT = "a moving and funny film."
HOSTILE = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script> **a** {{7*7}} ${window.pwned=1} film."
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
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


def committed_verdict():
    """The first words of the report that the page shows, up to the colon before its figures."""
    report = (REPORT / "report.md").read_text()
    return re.search(r"\*\*(Overall, [^:*]+):", report)[1]


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

    go_to(page, "Belief word by word")
    visible(page, "Review").fill(HOSTILE)
    press(page, "Read")
    assert re.fullmatch(r"(neg|pos), \d+\.\d% sure", visible(page, "Verdict").input_value())
    words = page.locator("p.review span")
    assert words.count() > 10
    words.last.hover(force=True)
    page.locator(".said:visible", has_text="pos").first.wait_for()
    assert faults(page) == []

    go_to(page, "Emotion map")
    visible(page, "Sentences").fill(f"{HOSTILE}\nthe story is dull.")
    press(page, "Place on the map")
    assert page.locator("svg[aria-label='Emotion map'] circle").count() == 4
    assert faults(page) == []

    go_to(page, "Digits")
    page.wait_for_timeout(1500)  # the brush is chosen
    canvas = page.locator("canvas").locator("visible=true").first
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 3 * box["height"] / 4, steps=8)
    page.mouse.up()
    press(page, "Rebuild")
    assert "mean squared error" in visible(page, "What it kept").input_value()
    page.get_by_role("button", name="Make digits up").click()
    page.get_by_alt_text("16 digits that nobody drew").wait_for()
    assert faults(page) == []

    go_to(page, "Evidence")
    page.get_by_text(committed_verdict()).first.wait_for()
    pictures = page.locator(".plots img")
    assert pictures.count() == len(list((REPORT / "plots").glob("*.svg"))) > 0
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
