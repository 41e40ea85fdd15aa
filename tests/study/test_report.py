"""The report: every figure from the rows, nothing from outside, texts shown as they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from textvae import cli
from textvae.training.common.errors import UserError
from textvae.training.study.report import write_report


class Page(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def page(run_folder):
    write_report(run_folder)
    return (run_folder / "report.html").read_text(encoding="utf-8")


def test_the_files_of_a_report(run_folder, capsys):
    assert cli.main(["report", str(run_folder)]) == 0
    assert capsys.readouterr().out == f"{run_folder / 'report.html'}\n"
    (run_folder / "plots" / "older.svg").write_text("<svg/>")
    summary = (run_folder / "summary.json").read_text()
    assert json.loads(summary) == write_report(run_folder)
    assert (run_folder / "summary.json").read_text() == summary
    plots = sorted(path.stem for path in (run_folder / "plots").iterdir())
    assert plots == sorted(
        [
            "lifts-lstm",
            "lifts-bert",
            "learning-curve-lstm",
            "learning-curve-bert",
            "learning-curve-gpt2_lora",
            "vae-nll",
            "vae-kl",
            "vae-beta",
        ]
    )
    report = (run_folder / "report.md").read_text(encoding="utf-8")
    for name in plots:
        assert f"(plots/{name}.svg)" in report
    assert (run_folder / "report.html").stat().st_size < 2_000_000


def test_both_reports_say_the_same_figures(run_folder, page):
    report = (run_folder / "report.md").read_text(encoding="utf-8")
    assert "31\N{NO-BREAK SPACE}%" in page  # a line never begins with the sign
    for text in (page.replace("\N{NO-BREAK SPACE}", " "), report):
        assert "generated rows helped: 40 of them beside 10 real ones gave +3.1 points" in text
        assert "65.1 (62.4 to 67.8)" in text  # vae 50 of lstm: 64, 65.1, 66.2
        assert "31 %" in text  # oracle fraction
        assert "1 min 40 s" in text  # vae
        assert "5 min 0 s" in text  # total, setup included
        assert "4.25" in text
        assert "a smaller body" in text
        assert "too few subsets (n = 2)" in text


def test_other_rows_give_another_sentence(run_folder):
    results = run_folder / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    results.write_text(
        "".join(json.dumps(r | {"accuracy": 0.5 if r["arm"] == "vae" else r["accuracy"]}) + "\n" for r in rows)
    )
    write_report(run_folder)
    for name in ("report.md", "report.html"):
        text = (run_folder / name).read_text(encoding="utf-8")
        assert "Overall, generated rows did not help" in text
        assert "generated rows helped" not in text


def test_what_was_found_out_about_other_rows_is_left_out(rows, info, on_shared, write_run, capsys):
    question = "Should one augment at all?"
    info["analysis"] = on_shared(rows) | {"teachers": [{"budget": 10, "subset": k, "accuracy": 81.5} for k in range(3)]}
    folder = write_run(rows, info)
    write_report(folder)
    assert question in (folder / "report.md").read_text(encoding="utf-8")
    assert "left out" not in capsys.readouterr().err

    changed = "".join(json.dumps(row | {"accuracy": 0.5}) + "\n" for row in rows)
    (folder / "results.jsonl").write_text(changed, encoding="utf-8")
    figures = write_report(folder)
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert question not in report
    assert "81.5" not in report
    assert figures["teacher_accuracy"] is None
    assert "analysed before results.jsonl changed; what follows from them is left out" in capsys.readouterr().err


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    tags = Page(page).tags
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attributes.get(name, "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\((?!#)", page)


def test_texts_are_escaped(run_folder, page):
    assert "&lt;script&gt;alert" in page
    report = (run_folder / "report.md").read_text(encoding="utf-8")
    assert "<script" not in report
    assert r"\*never\*" in report
    assert r"\[its\](http\://evil.example)" in report


def test_whatever_comes_from_outside_is_escaped(run_folder, info):
    """Names, labels and tables as well as texts; a cell stays one cell."""
    hostile = "*a* `b` | <b>c</b>"
    info["study"] |= {"dataset": hostile, "label_names": [hostile, hostile]}
    info["recipe"]["name"] = info["stages"]["classify"]["command"] = info["vae"]["prior_samples"][0] = hostile
    info["sources"][0] |= {"id": hostile, "licence": hostile}
    info["stages"]["vae"]["note"] = hostile
    info["absent"] = [hostile]
    (run_folder / "run.json").write_text(json.dumps(info))
    write_report(run_folder)
    report, page = ((run_folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    assert "<b>" not in page
    assert page.count("*a* `b` | &lt;b&gt;c&lt;/b&gt;") > 8
    assert report.count(r"\*a\* \`b\` \| &lt;b&gt;c&lt;/b&gt;") > 8
    assert report.replace(r"\*a\*", "").count("*a*") == report.count("`*a* 'b' | <b>c</b>`") == 1  # the command
    for table in re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_page_can_be_read_by_anyone(page):
    tags = Page(page).tags
    drawings = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(drawings) == 8
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set(drawing["aria-labelledby"].split()) <= set(ids)
    for _, attributes in tags:
        target = attributes.get("href") or attributes.get("xlink:href") or ""
        assert not target.startswith("#") or target[1:] in ids
    assert [tag for tag, _ in tags if tag == "h1"] == ["h1"]
    assert page.count("<table>") == page.count("<caption>") == page.count('class="scroll"')
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"(fill|stroke): ?#", "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL)))


def test_a_stand_in_is_named_where_its_figures_stand(page):
    (bert,) = re.findall(r"<caption><span><strong>bert</strong>.*?</caption>", page)
    (lstm,) = re.findall(r"<caption><span><strong>lstm</strong>.*?</caption>", page)
    assert "stand-in&nbsp;1" in bert
    assert "stand-in" not in lstm


def test_the_report_is_the_same_every_time(run_folder, page):
    write_report(run_folder)
    assert (run_folder / "report.html").read_text(encoding="utf-8") == page


def test_a_folder_without_results(tmp_path):
    with pytest.raises(UserError, match=r"holds no results\.jsonl"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
