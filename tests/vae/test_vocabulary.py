"""The decoder's vocabulary spells everything that the tokenizer can say."""

from __future__ import annotations

import torch

from textvae.modeling_textvae.decoder import BEGIN, PAD
from textvae.training.vae.vocabulary import build_vocabulary, find_joins


def spell(vocabulary, tokenizer, token):
    row = vocabulary.respelling[tokenizer.convert_tokens_to_ids(token)]
    return tokenizer.convert_ids_to_tokens(vocabulary.kept_ids[row[row >= 0].long()].tolist())


def test_frequent_tokens_are_kept_and_the_rest_is_spelled(tiny_tokenizer):
    rows = [tiny_tokenizer(text)["input_ids"] for text in ["the film", "the film is the story", "the film"]]
    vocabulary = build_vocabulary(tiny_tokenizer, rows, size=2)
    kept = tiny_tokenizer.convert_ids_to_tokens(vocabulary.kept_ids.tolist())
    assert kept[3:5] == ["the", "film"]  # most frequent first: lowest ids
    assert spell(vocabulary, tiny_tokenizer, "film") == ["film"]
    assert spell(vocabulary, tiny_tokenizer, "story") == ["s", "##t", "##o", "##r", "##y"]
    assert spell(vocabulary, tiny_tokenizer, "##ing") == ["##i", "##n", "##g"]
    assert spell(vocabulary, tiny_tokenizer, "films") == ["film", "##s"]  # longest match first


def test_special_tokens_are_spelled_by_nothing(tiny_tokenizer):
    vocabulary = build_vocabulary(tiny_tokenizer, [[5, 6]], size=5)
    for token in ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"):
        assert spell(vocabulary, tiny_tokenizer, token) == []


def test_frequencies_are_log_probabilities(tiny_tokenizer):
    vocabulary = build_vocabulary(tiny_tokenizer, [[10, 10, 11]], size=5)
    torch.testing.assert_close(vocabulary.log_frequencies.exp().sum(), torch.tensor(1.0))
    by_id = dict(zip(vocabulary.kept_ids.tolist()[3:], vocabulary.log_frequencies.tolist()[3:], strict=True))
    assert by_id[10] > by_id[11] > by_id[12]


def test_joins_are_those_of_the_text(tiny_tokenizer):
    def pieces(text):
        return tiny_tokenizer(text)["input_ids"]

    vocabulary = build_vocabulary(tiny_tokenizer, [pieces("film films filming dull")], size=20)
    names = {p: tiny_tokenizer.convert_ids_to_tokens(i) for p, i in enumerate(vocabulary.kept_ids.tolist()) if p > 2}
    names |= {PAD: None, BEGIN: "begin"}
    size = len(vocabulary.kept_ids)
    joins = find_joins([pieces("filming dull."), pieces("dullest")], vocabulary.respelling, vocabulary.continues)
    assert {(names[j // size], names[j % size]) for j in joins.tolist()} == {
        ("begin", None), ("film", "##ing"), ("##ing", None), ("dull", None), (".", None),
        ("dull", "##e"), ("##e", "##s"), ("##s", "##t"), ("##t", None),
    }  # fmt: skip
    assert joins.tolist() == sorted(set(joins.tolist()))
    assert all(names[piece].startswith("##") for piece in vocabulary.continues.nonzero()[:, 0].tolist())
