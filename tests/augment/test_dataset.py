"""From budget to dataset folder."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from datasets import ClassLabel, Dataset, load_dataset

from textvae.modeling_textvae import augmentation
from textvae.training.augment.dataset import DatasetFacts, grow, take, write_dataset
from textvae.training.augment.generators.vae import Vae
from textvae.training.augment.judging import Judges, teacher_body
from textvae.training.augment.selection import select
from textvae.training.common.errors import UserError
from textvae.training.common.recipe import AugmentRecipe
from textvae.training.common.sources import LabelledTexts, Source

SOURCE = Source("mine.csv", "path", "mine.csv", "sha256:0", licence="CC BY 4.0")
SETTINGS = AugmentRecipe(sizes=(8, 12), perplexity_model=None)
NAMES = ["<b>bad</b> | `x`", "good: 'yes'\n# [a](http://b.c)"]
BUDGET = LabelledTexts(
    ["A moving film. The cast is good.", "A dull film.", "I loved the story! 😀", "The story is bad."],
    [1, 0, 1, 0],
    NAMES,
    SOURCE,
)
FACTS = DatasetFacts(
    title='my "data": --- # | <script>alert(1)</script>',
    label_names=NAMES,
    source=SOURCE,
    model="runs/<x>/vae",
    model_revision="sha256:0",
    settings=SETTINGS,
    seed=0,
    test_texts=77,
    notes=("Reconstruction BLEU: 7.",),
)


@pytest.fixture
def speaking(monkeypatch):
    """An untrained decoder says the same of everything; this one spells the latent out in words."""

    def decode_latents(model, latents, tokenizer, class_ids=None):
        return [" ".join("abcdefghij"[int(digit)] for digit in str(int(abs(z[0]) * 1e6))) for z in latents]

    monkeypatch.setattr(augmentation, "decode_latents", decode_latents)


def grown(model, tokenizer, tests=(), settings=SETTINGS, seed=0, scorer=None):
    judges = Judges(teacher_body(settings, model, tokenizer), scorer, settings.filters)
    generator = Vae(model, tokenizer, settings)
    return grow(generator, judges, BUDGET, list(tests), settings, seed, target=12, oversample=4)[0]


@pytest.fixture
def rows(tiny_model, tiny_tokenizer, speaking):
    return grown(tiny_model, tiny_tokenizer)


def test_growing_keeps_the_budget_and_fills_every_size(rows):
    assert len(rows) == 4 + 4 * 8
    for size in (4, 8, 12):
        kept = take(rows, size)
        assert len(kept) == size
        assert kept["rank"].tolist() == list(range(size))
        assert kept["text"].tolist()[:4] == BUDGET.texts
        assert kept["label"].value_counts().to_dict() == {0: size // 2, 1: size // 2}
    assert rows["perplexity"].isna().all()
    assert set(rows["reject_reason"].dropna()) == {"confidence"}


def test_the_seed_decides(tiny_model, tiny_tokenizer, rows):
    again = grown(tiny_model, tiny_tokenizer)
    pd.testing.assert_frame_equal(rows, again)
    other = grown(tiny_model, tiny_tokenizer, seed=1)
    assert rows["text"].tolist() != other["text"].tolist()


def test_rows_that_copy_a_test_text_are_replaced_by_others(tiny_model, tiny_tokenizer, rows):
    generated = take(rows, 12)["text"].tolist()[4:]
    tests = [generated[0].upper(), f"some {generated[1]} words"]
    again = grown(tiny_model, tiny_tokenizer, tests)
    reasons = again.set_index("text")["reject_reason"]
    assert reasons[generated[0]] == "copy of a test row"
    assert reasons[generated[1]] == "near-copy of a test row"
    assert len(take(again, 12)) == 12
    assert not set(generated[:2]) & set(take(again, 12)["text"])


def test_kept_rows_are_given_their_perplexity(tiny_model, tiny_tokenizer, speaking):
    def lengths(texts):
        return [float(len(text)) for text in texts[:-1]] + [None]

    rows = grown(tiny_model, tiny_tokenizer, scorer=lengths)
    scored = rows[rows["perplexity"].notna()]
    assert len(scored) == 12 - 1
    assert scored["kept"].all()
    assert (scored["perplexity"] == scored["text"].str.len()).all()


def test_the_folder_loads_with_typed_columns(rows, tmp_path):
    write_dataset(tmp_path / "out", rows, 8, FACTS)
    assert sorted(item.name for item in tmp_path.rglob("*")) == [
        "README.md", "candidates.parquet", "out", "provenance.json", "train.parquet"
    ]  # fmt: skip
    train = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert train.features["label"] == ClassLabel(names=NAMES)
    assert train["text"][:] == take(rows, 8)["text"].tolist()
    assert train["label"][:] == take(rows, 8)["label"].tolist()
    assert train["seed"][0] is None
    assert train["temperature"][0] is None
    everything = load_dataset(str(tmp_path / "out"), "candidates", cache_dir=str(tmp_path / "cache"))["train"]
    assert len(everything) == len(rows)
    assert sum(everything["kept"]) == 8
    assert everything.features["label"].names == NAMES
    for row in everything:
        assert row["kept"] == (row["reject_reason"] is None)


def test_published_candidates_can_be_chosen_from_anew(rows, tmp_path):
    rows["agreed"] = pd.Series([number % 3 > 0 for number in range(len(rows))], dtype="boolean")
    write_dataset(tmp_path / "out", rows, 12, FACTS)
    published = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    again, before = (select(table, ("agreement",), 12, SETTINGS, None) for table in (published, rows))
    assert take(again, 12)["text"].tolist() == take(before, 12)["text"].tolist() != take(rows, 12)["text"].tolist()
    assert again["reject_reason"].tolist().count("teachers disagree") > 3


def test_the_card_shows_anybodys_texts_as_they_are(rows, tmp_path):
    rows.loc[rows["kept"], "text"] = "<img src=x> | [a](b) `c`\n---\n# d"
    write_dataset(tmp_path / "out", rows, 12, FACTS)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == FACTS.title
    assert [config["config_name"] for config in yaml.safe_load(front)["configs"]] == ["default", "candidates"]
    assert "<" not in body
    assert "\n# d" not in body
    assert "](" not in body.replace("\\]", "")
    for line in body.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (3, 4)
    facts = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert facts["source"]["licence"] == "CC BY 4.0"
    assert facts["settings"]["near_copy_overlap"] == SETTINGS.near_copy_overlap
    for fact in (
        "temperature 0.5",
        "seed 0",
        "BLEU: 7.",
        "one of 77 test texts",
        "CC BY 4.0",
        "confidence",
        "torch ",
    ):
        assert fact in body


def test_a_dataset_is_replaced_whole(rows, tmp_path):
    write_dataset(tmp_path / "out", rows, 12, FACTS)
    write_dataset(tmp_path / "out", rows, 8, FACTS)
    assert len(Dataset.from_parquet(str(tmp_path / "out" / "train.parquet"), cache_dir=str(tmp_path / "cache"))) == 8


def test_nothing_is_half_written(rows, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("textvae.training.augment.dataset.dataset_card", full)
    with pytest.raises(UserError, match="disk is full"):
        write_dataset(tmp_path / "out", rows, 8, FACTS)
    assert list(tmp_path.iterdir()) == []
