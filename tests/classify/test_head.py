"""The fitted head: before any step, a causal model already says what its frozen states tell."""

from __future__ import annotations

import pytest
import torch
from peft import TaskType
from transformers import GPT2Config, GPT2ForSequenceClassification

from textvae.training.classify import head
from textvae.training.classify.head import fit_head
from textvae.training.common.lora import add_lora


def model_of(num_labels):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=30, n_embd=32, n_layer=1, n_head=2, n_positions=16, pad_token_id=0, num_labels=num_labels,
        bos_token_id=1, eos_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    return add_lora(GPT2ForSequenceClassification(config), TaskType.SEQ_CLS)


def rows_of(num_labels, count=24):
    """The last token alone tells the class."""
    return [
        {"input_ids": [5 + index % 7, 20 + index % num_labels], "labels": index % num_labels} for index in range(count)
    ]


def predictions(model, rows):
    with torch.no_grad():
        return model.eval()(torch.tensor([row["input_ids"] for row in rows])).logits.argmax(1).tolist()


@pytest.mark.parametrize("num_labels", [2, 3])
def test_rows_are_told_apart_before_any_step(num_labels):
    model, rows = model_of(num_labels), rows_of(num_labels)
    labels = [row["labels"] for row in rows]
    fit_head(model, rows, torch.float32, seed=0)
    assert predictions(model, rows) == labels
    assert any(p.requires_grad and "score" in name for name, p in model.named_parameters())


def test_the_same_seed_gives_the_same_bits():
    heads = []
    for _ in range(2):
        model = model_of(2)
        fit_head(model, rows_of(2), torch.float32, seed=0)
        heads.append([p.clone() for name, p in model.named_parameters() if "score" in name])
    for first, second in zip(*heads, strict=True):
        assert torch.equal(first, second)


def test_a_class_without_rows_is_neither_liked_nor_disliked():
    model, rows = model_of(3), rows_of(2)
    fit_head(model, rows, torch.float32, seed=0)
    logits = model.eval()(torch.tensor([row["input_ids"] for row in rows])).logits
    assert (logits[:, 2] == 0).all()
    assert logits[:, :2].argmax(1).tolist() == [row["labels"] for row in rows]


def test_few_different_rows_are_read_the_classes_in_turns(monkeypatch):
    read = []
    original = head._last_state

    def recorded(body, input_ids, dtype):
        read.append(tuple(input_ids))
        return original(body, input_ids, dtype)

    monkeypatch.setattr(head, "_last_state", recorded)
    monkeypatch.setattr(head, "HEAD_ROWS", 6)
    many = [{"input_ids": [index, 21], "labels": 1} for index in range(2, 30)]
    few = [{"input_ids": [index, 20], "labels": 0} for index in range(2, 6)]
    fit_head(model_of(2), [*many, *many, *few], torch.float32, seed=0)
    assert len(read) == len(set(read)) == 6
    assert sum(ids[1] == 20 for ids in read) == 3
