"""Sentences of a causal language model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from textvae.training.augment.generators import language_model
from textvae.training.augment.generators.language_model import LanguageModel
from textvae.training.common.sources import LabelledTexts, Source

BUDGET = LabelledTexts(
    ["A moving film. The cast is good.", "A dull film.", "I loved the story.", "The story is bad. It is dull."],
    [1, 0, 1, 0],
    ["neg", "pos"],
    Source("mine.csv", "path", "mine.csv", "sha256:0"),
)


@pytest.fixture
def generator(tiny_causal, tiny_tokenizer, monkeypatch):
    """Its lines end with the word "is", as a tokenizer of words knows no line breaks."""
    ends = torch.zeros(len(tiny_tokenizer), dtype=torch.bool)
    ends[tiny_tokenizer("is", add_special_tokens=False)["input_ids"][0]] = True
    monkeypatch.setattr(language_model._Writer, "_line_ends", lambda self: ends)
    return LanguageModel(tiny_causal[1], sentences=96, steps=2, top_p=0.95, max_tokens=30)


def test_rows_have_the_labels_and_lengths_of_the_budgets(generator):
    rows = generator.propose(BUDGET, 24, seed=0)
    assert [row["source_row"] for row in rows] == [0, 1, 2, 3] * 6
    assert [row["label"] for row in rows] == [1, 0, 1, 0] * 6
    assert {row["method"] for row in rows} == {"prompted", "continuation", "tuned"}
    assert all(row["text"] for row in rows)
    assert all(row["teacher_confidence"] is None for row in rows)
    starts = {" ".join(text.split()[:3]) for text in BUDGET.texts} | {"The cast is", "It is dull."}
    for row in rows:
        if row["method"] == "continuation":
            assert any(row["text"].startswith(start) for start in starts), row["text"]
    assert not any(row["method"] == "tuned" for row in LanguageModel(
        generator.model_id, 32, 0, 0.95
    ).propose(BUDGET, 8, seed=0))  # fmt: skip


def test_the_seed_decides_and_a_larger_count_changes_no_candidate(generator):
    rows = generator.propose(BUDGET, 24, seed=3)
    assert generator.propose(BUDGET, 12, seed=3) == rows[:12]
    assert generator.propose(BUDGET, 24, seed=4) != rows


def test_no_more_is_written_than_the_candidates_need(generator):
    told = []
    plenty = replace(generator, sentences=10_000)
    plenty.propose(BUDGET, 12, seed=0, progress=lambda *said: told.append(said))  # 18 sentences in rows of 1.5
    blocks = 2 * 3  # one a class and method
    assert [done for _, done, _ in told] == [language_model.BLOCK] * blocks
    assert {whole for *_, whole in told} == {language_model.BLOCK * blocks}


def test_a_block_is_what_the_whole_model_says(tmp_path, tiny_tokenizer, monkeypatch):
    """Prompts of unlike length are read together, their keys and values shared, and ended rows leave the batch: the
    words must be those of reading each prompt alone and anew."""
    torch.manual_seed(0)
    # GPT-2 has absolute positions: it says other words where padding is counted. Weights this large show it.
    config = GPT2Config(
        vocab_size=len(tiny_tokenizer), n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5
    )
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    greedy = LanguageModel(str(tmp_path), 64, 0, top_p=1e-9, max_tokens=12)
    writer = language_model._Writer(greedy)
    prompts = ["pos: a moving film\npos:", "neg:", "neg: dull\nneg: a dull story\nneg:", "pos:"]
    drawn = []
    for prompt in prompts:
        ids = tiny_tokenizer(prompt, return_tensors="pt")["input_ids"]
        for _ in range(12):
            with torch.no_grad():
                ids = torch.cat([ids, model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
        drawn.append(ids[0, -12:].tolist())
    # Some prompts end with the token that the first one's text has last, others go on.
    writer.ends = torch.zeros(len(tiny_tokenizer), dtype=torch.bool)
    end = next(token for token in drawn[0] if any(token not in row for row in drawn))
    writer.ends[end] = True
    expected = [row[: row.index(end)] if end in row else row for row in drawn]
    found: list[list[int]] = []
    decode = writer.tokenizer.batch_decode
    monkeypatch.setattr(writer.tokenizer, "batch_decode", lambda rows, **k: found.extend(rows) or decode(rows, **k))
    texts = writer.write(prompts, 0)
    each = language_model.BLOCK // len(prompts)
    assert found == [row for row in expected for _ in range(each)]
    assert [not text for text in texts] == [end not in row or row[0] == end for row in drawn for _ in range(each)]


@pytest.mark.parametrize("half", [False, True])
def test_tuning_makes_the_budgets_lines_likelier(generator, half, monkeypatch):
    """Also in half precision inside the autocast that a growing budget is in."""
    monkeypatch.setattr(language_model, "TUNING_RATE", 0.05)  # the model is tiny
    generator = replace(generator, dtype=torch.bfloat16 if half else torch.float32)
    lines = [("a dull film", 0), ("a moving film", 1)]
    writer = language_model._Writer(generator)

    def loss():
        ids = torch.tensor([writer.tokenizer("neg: a dull film\n")["input_ids"]])
        with torch.no_grad():
            return float(writer.model(input_ids=ids, labels=ids).loss)

    before = loss()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        writer.tune(lines, ["neg", "pos"], 40, seed=0)
    assert loss() < before - 0.1


def test_the_nucleus_leaves_out_the_tail():
    logits = torch.tensor([[5.0, 4.0, 0.0, -1.0]]).repeat(500, 1)
    draw = torch.Generator().manual_seed(0)
    assert set(language_model._nucleus(logits, 0.9, draw).tolist()) == {0, 1}
    assert set(language_model._nucleus(logits, 0.5, draw).tolist()) == {0}
    assert set(language_model._nucleus(logits, 1.0, draw).tolist()) >= {0, 1, 2}
