"""Rows put together from sentences that a teacher finds clear."""

from __future__ import annotations

import torch

from textvae.training.augment.generators.bank import Bank
from textvae.training.common.sources import LabelledTexts, Source

BUDGET = LabelledTexts(
    ["A good film. I liked it. A good cast.", "A bad film. It is bad.", "It is good.", "A bad cast. So bad. Bad."],
    [1, 0, 1, 0], ["neg", "pos"], Source("mine.csv", "path", "mine.csv", "sha256:0"),
)  # fmt: skip
GOOD = [f"It is good {number}." for number in range(5)]
BAD = [f"It is bad {number}." for number in range(5)]
PLAIN = [f"It is a film {number}." for number in range(30)]


def embed(texts):
    """What a body would see: how good and how bad, and a lean to the good that no label is behind."""
    rows = [[text.count("good"), text.count("bad"), 1 + len(text) / 1000] for text in texts]
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)


def bank(share=0.25):
    sentences = PLAIN[:15] + GOOD + PLAIN[15:] + BAD
    return Bank("self_training", sentences, embed(sentences), embed, share)


def test_rows_are_made_of_clear_sentences_of_their_class():
    rows = bank().propose(BUDGET, 40, seed=0)
    assert [row["source_row"] for row in rows] == [0, 1, 2, 3] * 10
    for row in rows:
        assert row["label"] == BUDGET.labels[row["source_row"]]
        assert row["text"].count(".") == BUDGET.texts[row["source_row"]].count(".")
        sentences = [f"{part}." for part in row["text"].removesuffix(".").split(". ")]
        assert set(sentences) <= set(GOOD if row["label"] else BAD)
        assert len(set(sentences)) == len(sentences)
        assert row["method"] == "self_training"
    assert len({row["text"] for row in rows if row["source_row"] == 0}) > 5


def test_a_larger_share_lets_less_clear_sentences_in():
    texts = " ".join(row["text"] for row in bank(share=1.0).propose(BUDGET, 40, seed=0))
    assert any(sentence in texts for sentence in PLAIN)


def test_a_candidate_follows_from_the_seed_and_its_index_alone():
    rows = bank().propose(BUDGET, 40, seed=1)
    assert bank().propose(BUDGET, 12, seed=1) == rows[:12]
    assert bank().propose(BUDGET, 40, seed=2) != rows


def test_labels_of_the_bank_are_never_asked_for_and_those_of_the_budget_decide():
    turned = LabelledTexts(BUDGET.texts, [1 - label for label in BUDGET.labels], BUDGET.label_names, BUDGET.source)
    for row in bank().propose(turned, 20, seed=0):
        assert ("bad" in row["text"]) == (row["label"] == 1)


def test_a_pool_that_is_smaller_than_a_row_gives_what_it_has():
    rows = bank(share=0.05).propose(BUDGET, 4, seed=0)
    assert [row["text"].count(".") for row in rows] == [1, 1, 1, 1]


def test_what_was_written_without_capitals_gets_those_of_the_row():
    sentences = [text.lower() for text in GOOD + BAD]
    rows = Bank("vae", sentences, embed(sentences), embed, 1.0).propose(BUDGET, 4, seed=0)
    for row in rows:
        parts = row["text"].removesuffix(".").split(". ")
        assert all(part[0].isupper() for part in parts), row["text"]
