"""Advice on somebody's own file."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from datasets import load_dataset

from textvae import cli
from textvae.training.common import intervals
from textvae.training.common.errors import UserError
from textvae.training.common.known import WORDNET
from textvae.training.common.model_folders import save_model
from textvae.training.common.registry import READING
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study import advice
from textvae.training.study import advise as advising

SOURCE = Source("mine.csv", "path", "mine.csv", "sha256:0")


def verdict(make_row, lifts, real=55.0):
    """Of `lstm`, five folds: the arm `vae` gains so many points over `duplicate`; `probe` without generated rows."""
    rows = [make_row("probe", "real", 10, fold, real) for fold in range(5)]
    for fold, gain in enumerate(lifts):
        rows += [make_row("lstm", "real", 10, fold, 50), make_row("lstm", "duplicate", 50, fold, 50 + fold)]
        rows.append(make_row("lstm", "vae", 50, fold, 50 + fold + gain))
    return advice.verdict(advice.findings(rows, test_share=0.25), rows, 10, test_share=0.25)


def test_the_interval_is_wider_than_of_independent_folds():
    values = [1.0, 2.0, 3.0, 2.0, 2.0]
    plain = intervals.paired_interval(values)
    wide, p = intervals.resampled_interval(values, 0.25)
    # (1/5 + 1/4) instead of 1/5.
    assert (wide.high - wide.mean) / (plain.high - plain.mean) == pytest.approx((0.45 / 0.2) ** 0.5)
    assert intervals.p_value(values) < p < 0.05
    assert intervals.resampled_interval([1.0, 1.0], 0.25)[0].low is None


def test_verdicts_follow_the_figures(make_row):
    use, sentence, finding = verdict(make_row, [10, 11, 12, 11, 10])
    assert use
    assert sentence.startswith("use vae at 4×: expected lift +10.8 (+")
    assert finding.arm == "vae"
    use, sentence, _ = verdict(make_row, [1, -9, 12, 3, -4])
    assert not use
    assert "may be chance" in sentence
    for real, ahead in ((90.0, "−27.2 ("), (62.5, "+0.3 (")):  # less than what needs none has, or not more for sure
        use, sentence, _ = verdict(make_row, [10, 11, 12, 11, 10], real=real)
        assert not use
        assert f"is not shown to beat probe without generated rows (62.8 % against {real} %: " in sentence
        assert ahead in sentence
    use, sentence, _ = verdict(make_row, [-10, -11, -12, -11, -10])
    assert not use
    assert "a clear loss" in sentence


def test_the_best_of_many_arms_has_to_be_better_than_chance_alone_makes_one(make_row):
    def answer(others):
        rows = [make_row("probe", "real", 10, fold, 50.0) for fold in range(5)]
        for fold, (gain, none) in enumerate(zip([10, 4, 12, 5, 11], [1, -1, 2, -2, 0], strict=True)):
            for arm, size, points in [("vae", 50, gain), *(("rules", 51 + place, none) for place in range(others))]:
                rows += [make_row("lstm", "duplicate", size, fold, 50), make_row("lstm", arm, size, fold, 50 + points)]
        return advice.verdict(advice.findings(rows, 0.25), rows, 10, 0.25)[:2]

    assert answer(others=0)[0]  # p is .026
    use, sentence = answer(others=1)
    assert not use
    assert "which may be chance" in sentence


def test_folds_are_stratified_cover_the_file_and_name_a_class_that_is_too_small():
    labels = [0] * 30 + [1] * 15 + [2] * 6
    data = LabelledTexts([f"text {k}" for k in range(51)], labels, ["a", "b", "c"], SOURCE)
    folds = advising.draw_folds(data, seed=0)
    assert len(folds) == advising.FOLDS * advising.REPEATS
    for train, test in folds:
        assert not set(train) & set(test)
        assert {labels[row] for row in test} == {0, 1, 2}
    assert len({len(train) for train, _ in folds}) == len({len(test) for _, test in folds}) == 1
    assert len({row for _, test in folds[:5] for row in test}) >= 50
    few = LabelledTexts(data.texts[:48], labels[:48], data.label_names, SOURCE)
    with pytest.raises(UserError, match="class 'c' has 3 rows, fewer than the 5 folds; label more of it"):
        advising.draw_folds(few, seed=0)


def test_a_text_is_read_once(capsys):
    data = LabelledTexts(
        ["Win now", "win  NOW", "hello", "win now!", "won now"], [0, 0, 1, 0, 0], ["spam", "ham"], SOURCE
    )
    once = advising._each_text_once(data)
    assert (once.texts, once.labels) == (["Win now", "hello", "won now"], [0, 1, 0])
    assert "mine.csv: 2 rows repeat a text before them and are left out" in capsys.readouterr().err


def test_what_bert_was_trained_on_before_counts_only_where_it_is_still_looked_at(make_row):
    found = [make_row("bert", "rules", 20, 0, 60)]
    recipe = advising.quick_recipe("mine", 10, 5, 5, False, 0)
    assert advising._chosen_before(found, recipe) == ("rules", 20)
    assert advising._chosen_before(found, advising.quick_recipe("mine", 12, 5, 5, False, 0)) is None
    assert advising._chosen_before(found, recipe.without("rules")) is None


@pytest.fixture
def small(tmp_path, tiny_encoder, smoke_mirror, monkeypatch):
    """Few folds, tiny bodies, a small dictionary."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(advising, "BODY", str(tiny_encoder))
    monkeypatch.setattr(advising, "LANGUAGE_MODEL", str(smoke_mirror / "models/hf-internal-testing/tiny-random-gpt2"))
    monkeypatch.setattr(advising, "BANK_SENTENCES", 2_000)
    monkeypatch.setattr(advising, "FOLDS", 2)
    monkeypatch.setattr(advising, "REPEATS", 1)
    monkeypatch.setattr(advising, "RATIOS", (1,))
    folder = tmp_path / "cache" / f"{WORDNET.name}-{WORDNET.version}-reading{READING}"
    folder.mkdir(parents=True)
    pd.DataFrame([("film", ["movie"])], columns=["word", "synonyms"]).to_parquet(folder / "synonyms.parquet")


def test_a_file_is_answered_and_grown(small, tmp_path, tiny_model, tiny_tokenizer, monkeypatch, capsys):
    save_model(tiny_model, tiny_tokenizer, tmp_path / "vae")
    texts = [f"a {word} film number {k}" for k in range(8) for word in ("good", "bad", "long")]
    pd.DataFrame({"line": texts, "kind": ["pos", "neg", "so-so"] * 8}).to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.setattr(advising, "verdict", lambda found, *_: (True, "use rules", next(
        one for one in found if one.arm == "rules" and one.classifier == "probe"
    )))  # fmt: skip
    command = [
        "advise", "--input", str(tmp_path / "mine.csv"), "--text-column", "line", "--label-column", "kind",
        "--model", str(tmp_path / "vae"), "--output", str(tmp_path / "work"), "--thorough",
    ]  # fmt: skip
    assert cli.main(command) == 0
    printed, said = capsys.readouterr()
    assert "mine.csv: reconstruction BLEU" in said  # random weights know no such texts
    written = (tmp_path / "work" / "advice.json").read_text()
    found = json.loads(written)
    assert {one["classifier"] for one in found["findings"]} == {"lstm", "probe", "bert"}
    assert {(one["arm"], one["size"]) for one in found["findings"] if one["classifier"] == "lstm"} == {
        ("real", 12), ("duplicate", 24), ("rules", 24), ("vae", 24), ("language_model", 24)
    }  # fmt: skip
    costs = re.search(r"CPU seconds to make the rows of a budget: (.*)", printed)[1]
    assert re.fullmatch(r"language_model \d+, rules \d+, vae \d+", costs)
    assert "use rules" in printed
    assert str(tmp_path / "work" / "dataset") in printed
    grown = load_dataset(found["dataset"], cache_dir=str(tmp_path / "datasets"))["train"]
    assert grown["text"][:24] == texts
    assert 24 < len(grown) <= 48
    assert found["use"] is True
    before = (tmp_path / "work" / "results.jsonl").read_bytes()
    assert cli.main(command) == 0
    assert capsys.readouterr().out == printed
    assert (tmp_path / "work" / "advice.json").read_text() == written
    assert (tmp_path / "work" / "results.jsonl").read_bytes() == before


def test_without_wordnet_the_rules_are_left_out(small, tmp_path, tiny_model, tiny_tokenizer, monkeypatch, capsys):
    def missing():
        raise UserError("npm is not installed; install Node.js")

    save_model(tiny_model, tiny_tokenizer, tmp_path / "vae")
    texts = [f"a {word} film number {k}" for k in range(8) for word in ("good", "bad")]
    pd.DataFrame({"text": texts, "label": ["pos", "neg"] * 8}).to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.setattr(advising, "wordnet", missing)
    found = advising.advise(tmp_path / "mine.csv", str(tmp_path / "vae"), tmp_path / "work")
    assert {one.arm for one in found.findings} == {"real", "duplicate", "vae"}
    assert "npm is not installed; install Node.js; the arm 'rules' is left out" in capsys.readouterr().err
