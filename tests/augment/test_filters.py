"""Copies of test rows, and perplexity."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textvae.training.augment import filters
from textvae.training.augment.filters import find_copies, perplexities

WORDS = [f"w{number}" for number in range(14)]  # 10 different word 5-grams


def test_copies_are_found_whatever_their_spacing_case_and_marks():
    reasons = find_copies(["A good film!", "a GOOD, film", "Other", "a good filmy"], ["x", "a good film."], 0.6)
    assert reasons == ["copy of a test row", "copy of a test row", None, None]


@pytest.mark.parametrize(
    ("shared", "found"), [(9, None), (10, "near-copy of a test row"), (13, "near-copy of a test row")]
)
def test_a_near_copy_shares_enough_of_its_own_ngrams(shared, found):
    test_row = " ".join(["before", *WORDS[:shared], "after"])
    assert find_copies([" ".join(WORDS)], [test_row], 0.6) == [found]


def test_ngrams_of_several_test_rows_do_not_add_up():
    assert find_copies([" ".join(WORDS)], [" ".join(WORDS[:9]), " ".join(WORDS[4:])], 0.6) == [
        "near-copy of a test row"
    ]
    assert find_copies([" ".join(WORDS)], [" ".join(WORDS[:9]), " ".join(WORDS[6:])], 0.6) == [None]


@given(st.lists(st.text(max_size=40), max_size=6), st.lists(st.text(max_size=40), max_size=6))
def test_any_text_is_judged_and_its_own_copy_found(texts, tests):
    assert len(find_copies(texts, tests, 0.6)) == len(texts)
    assert all(find_copies(texts, texts, 0.6)) or not texts


@pytest.fixture
def tiny_causal(tmp_path, tiny_tokenizer):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "causal")
    tiny_tokenizer.save_pretrained(tmp_path / "causal")
    return model, str(tmp_path / "causal")


def test_perplexity_is_that_of_each_text_alone(tiny_causal, tiny_tokenizer, monkeypatch, sentences):
    monkeypatch.setattr(filters, "BATCH", 3)
    model, folder = tiny_causal
    scores = perplexities(sentences, folder, 64)
    for text, score in zip(sentences, scores, strict=True):
        ids = torch.tensor([tiny_tokenizer(text)["input_ids"]])
        with torch.no_grad():
            loss = model(input_ids=ids, labels=ids).loss
        assert score == pytest.approx(math.exp(loss), rel=1e-4)


def test_perplexity_reads_no_further_than_asked(tiny_causal):
    near, far = perplexities(["a moving film", "a moving film is dull and bad"], tiny_causal[1], 4)
    assert near == pytest.approx(far, rel=1e-4)
