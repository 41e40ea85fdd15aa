"""Words replaced by a masked language model."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from textvae.training.augment.generators.masked_lm import MaskedLanguageModel
from textvae.training.common.errors import UserError
from textvae.training.common.sources import LabelledTexts, Source

BUDGET = LabelledTexts(
    ["A moving and funny film. The cast is Good!", "The story is dull and the cast is bad.", "Ünknown wörds ☃ only"],
    [1, 0, 0],
    ["neg", "pos"],
    Source("mine.csv", "path", "mine.csv", "sha256:0"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_tokenizer):
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("masked")
    config = BertConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(place)
    tiny_tokenizer.save_pretrained(place)
    return str(place)


def test_a_share_of_the_words_is_replaced_and_nothing_else(folder):
    rows = MaskedLanguageModel(folder, 0.3).propose(BUDGET, 30, seed=0)
    changed = set()
    for row in rows:
        before, after = BUDGET.texts[row["source_row"]].split(), row["text"].split()
        assert len(before) == len(after)
        different = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        assert len(different) <= max(1, int(0.3 * len(before)))
        for old, new in different:
            assert old.strip(".!")[0].isupper() == new.strip(".!")[0].isupper()
            assert old[-1:].isalpha() == new[-1:].isalpha()  # marks stay
            changed.add(new)
        assert row["label"] == BUDGET.labels[row["source_row"]]
        assert row["method"] == "masked_lm"
    assert len(changed) > 5
    assert rows[2]["text"] == BUDGET.texts[2]  # no word of it is a token of its own


def test_the_seed_decides_and_a_larger_count_changes_no_candidate(folder):
    generator = MaskedLanguageModel(folder, 0.3)
    rows = generator.propose(BUDGET, 12, seed=1)
    assert generator.propose(BUDGET, 7, seed=1) == rows[:7]
    assert generator.propose(BUDGET, 12, seed=2) != rows


def test_a_body_without_a_head_is_refused(tiny_encoder):
    with pytest.raises(UserError, match="has no head that predicts words; name another model"):
        MaskedLanguageModel(str(tiny_encoder), 0.1).propose(BUDGET, 2, seed=0)
