"""Which sentences are read, and in which order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.recipe import VaeRecipe
from textvae.training.common.text import normalise, role
from textvae.training.vae.data import Tokens, load_sentences, plan_steps


def write_split(folder, split, texts):
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"text": texts, "label": [i % 2 for i in range(len(texts))]}).to_parquet(folder / f"{split}.parquet")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    main = tmp_path / "datasets/org/sentences"
    write_split(main, "train", ["A fine film.", "A dull film!", "Held out  sentence", "a FINE film"])
    write_split(main, "validation", ["Held out: sentence."])
    write_split(main, "test", ["Never seen in training."])
    reviews = [
        f"Review number {i} is about something. It was good or bad, who knows. Held out sentence." for i in range(60)
    ]
    write_split(tmp_path / "datasets/org/reviews", "train", reviews)
    monkeypatch.setenv("TEXTVAE_MIRROR", str(tmp_path))
    return reviews


def recipe(**changes):
    return VaeRecipe(**{"texts": "org/sentences", "unlabelled": "org/reviews", "unlabelled_sentences": 10, **changes})


def test_held_out_sentences_and_copies_are_not_trained_on(mirror):
    sentences = load_sentences(recipe(), seed=0)
    assert sentences.train[:2] == ["A fine film.", "A dull film!"]
    assert sentences.num_main == 2
    identities = [normalise(text) for text in sentences.train]
    assert len(set(identities)) == len(identities) == 12
    assert normalise("Held out sentence") not in identities
    assert sentences.validation == ["Held out: sentence."]


def test_sentences_of_an_excluded_dataset_are_not_trained_on(mirror, tmp_path):
    other = tmp_path / "datasets/org/other"
    write_split(other, "train", ["A dull film!"])  # may stay
    write_split(other, "validation", ["a fine film"])
    write_split(other, "test", ["It was good or bad, who knows!"])
    sentences = load_sentences(recipe(exclude=("org/other",)), seed=0)
    assert sentences.train[0] == "A dull film!"
    assert sentences.num_main == 1
    assert normalise("It was good or bad, who knows") not in {normalise(text) for text in sentences.train}
    assert "org/other" in {source.id for source in sentences.sources}


def test_lines_that_hold_an_excluded_sentence_or_most_of_it_are_not_trained_on(mirror, tmp_path):
    lines = [
        "A hat is worn . The plot ( such as it is ) sinks like a stone .",  # holds it, its brackets written otherwise
        "The plot such as it is sinks like a stone , slowly .",  # shares most 5-grams
        "The plot of this one swims like a stone .",
    ]
    write_split(tmp_path / "datasets/org/sentences", "train", lines)
    other = tmp_path / "datasets/org/other"
    write_split(other, "test", ["the plot -lrb- such as it is -rrb- sinks like a stone ."])
    kept = load_sentences(recipe(exclude=("org/other",)), seed=0)
    assert kept.train[: kept.num_main] == lines[2:]
    assert load_sentences(recipe(), seed=0).num_main == 3


def test_a_conditional_recipe_has_the_labels_of_its_texts_and_an_unknown_class(mirror, tmp_path):
    sentences = load_sentences(recipe(conditional=True), seed=0)
    assert sentences.num_classes == 2
    assert sentences.class_ids == [0, 1] + [2] * 10
    assert load_sentences(recipe(), seed=0).class_ids is None
    bare = tmp_path / "bare.csv"
    bare.write_text("text\nA fine film.\n")
    with pytest.raises(UserError, match=r"vae\.conditional: .*bare\.csv has no labels"):
        load_sentences(recipe(texts=str(bare), unlabelled=None, conditional=True), seed=0)


def test_a_file_alone_has_no_texts_that_are_not_held_out(mirror, tmp_path):
    file = tmp_path / "sentences.csv"
    file.write_text("text\nA fine film.\nA dull film.\n")
    with pytest.raises(UserError, match=r"vae\.texts: every text of .*sentences\.csv stands in its validation"):
        load_sentences(recipe(texts=str(file)), seed=0)


def test_unlabelled_sentences_come_from_reviews_of_that_role_alone(mirror):
    drawn = set(load_sentences(recipe(), seed=0).train[2:])
    for review in mirror:
        if role(review) != "unlabelled":
            assert not any(review.startswith(text) for text in drawn)
    assert drawn != set(load_sentences(recipe(), seed=1).train[2:])


def test_more_sentences_than_there_are_is_an_error(mirror):
    with pytest.raises(UserError, match=r"vae.unlabelled_sentences: 10000 .* ask for fewer"):
        load_sentences(recipe(unlabelled_sentences=10000), seed=0)


def test_batches_are_padded_on_the_right(tiny_tokenizer):
    tokens = Tokens(tiny_tokenizer, ["a dull film", "the story is dull and bad"], max_length=6)
    ids, mask = tokens.batch(np.array([1, 0]))
    assert ids.shape == (2, 6)  # the longer one is cut
    assert mask.tolist() == [[1] * 6, [1] * 5 + [0]]
    assert tiny_tokenizer.decode(ids[1], skip_special_tokens=True) == "a dull film"


def test_an_epoch_reads_every_row_as_often_as_its_weight_says():
    lengths = np.random.default_rng(0).integers(4, 30, 500)
    plan = plan_steps(lengths, 100, VaeRecipe(steps=200, tokens_per_step=300, text_weight=3), seed=1, split=2)
    assert len(plan) == 200
    first = [step for step in plan if step.epoch == 0]
    counts = Counter(np.concatenate([step.rows for step in first]).tolist())
    assert {counts[row] for row in range(100)} == {3}
    assert {counts[row] for row in range(100, 500)} == {1}
    for step in first:
        assert len(step.rows) >= 2
        assert lengths[step.rows].max() * len(step.rows) <= 300 or len(step.rows) <= 4


def test_no_row_is_ever_read_twice_with_the_same_noise():
    lengths = np.full(40, 10)
    plan = plan_steps(lengths, 20, VaeRecipe(steps=60, tokens_per_step=100, text_weight=4), seed=0, split=1)
    pairs = [pair for step in plan for pair in zip(step.rows.tolist(), step.visits.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert max(visit for _, visit in pairs) == max(Counter(row for row, _ in pairs).values()) - 1


def test_the_last_steps_read_the_recipe_s_texts_alone():
    lengths = np.full(200, 10)
    settings = VaeRecipe(steps=40, tokens_per_step=100, final_text_share=0.25)
    plan = plan_steps(lengths, 50, settings, seed=0, split=1)
    assert all((step.rows < 50).all() for step in plan[30:])
    assert any((step.rows >= 50).any() for step in plan[20:30])


def test_too_few_sentences_to_split_is_an_error():
    with pytest.raises(UserError, match="cannot be cut into 8 micro-batches"):
        plan_steps(np.full(5, 10), 5, VaeRecipe(steps=2), seed=0, split=8)
