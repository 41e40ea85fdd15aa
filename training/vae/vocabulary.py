"""The decoder's vocabulary: the training text's most frequent tokens, and the pieces that spell all others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from textvae.modeling_textvae.decoder import BEGIN, END, NUM_SPECIAL, PAD


class Vocabulary(NamedTuple):
    """What `TextVAEModel.set_decoder_vocabulary` takes."""

    kept_ids: torch.Tensor  # (decoder vocabulary,) int64 encoder ids; the first three are padding
    respelling: torch.Tensor  # (encoder vocabulary, max pieces) int32 decoder ids, −1 beyond
    log_frequencies: torch.Tensor  # (decoder vocabulary,) float32, add-one smoothed
    continues: torch.Tensor  # (decoder vocabulary,) bool: pieces that continue a word
    joins: torch.Tensor  # (joins,) int64, sorted: first · vocabulary + second; second 0: the word may end in first


def build_vocabulary(tokenizer: Any, token_ids: list[list[int]], size: int) -> Vocabulary:
    """Keep the `size` most frequent tokens of `token_ids`, and single characters to spell the rest with.

    Any encoder token that is not kept is spelled by greedy longest match over the kept ones, as WordPiece
    spells a word; special tokens are spelled by nothing.
    """
    tokens: list[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    counts = np.zeros(len(tokens), dtype=np.int64)
    for row in token_ids:
        np.add.at(counts, row, 1)
    counts[list(special)] = 0
    prefix = _continuation_prefix(tokenizer)
    spelling = {index for index, token in enumerate(tokens) if len(token.removeprefix(prefix)) == 1}
    frequent = [int(index) for index in np.argsort(-counts, kind="stable")[:size] if counts[index] > 0]
    kept = sorted((set(frequent) | spelling) - special, key=lambda index: (-counts[index], index))
    decoder_ids = {index: position + NUM_SPECIAL for position, index in enumerate(kept)}
    by_token = {tokens[index]: position for index, position in decoder_ids.items()}
    spelled = [
        [] if index in special else [decoder_ids[index]] if index in decoder_ids else _spell(token, by_token, prefix)
        for index, token in enumerate(tokens)
    ]
    respelling = torch.full((len(tokens), max(map(len, spelled))), -1, dtype=torch.int32)
    for index, pieces in enumerate(spelled):
        respelling[index, : len(pieces)] = torch.tensor(pieces, dtype=torch.int32)
    kept_ids = torch.tensor([tokenizer.pad_token_id or 0] * NUM_SPECIAL + kept)
    frequencies = torch.ones(len(kept_ids))
    frequencies[NUM_SPECIAL:] += torch.from_numpy(counts[kept]).float()
    frequencies[2] += frequencies[NUM_SPECIAL:].sum() / 25  # an end a sentence; its start need not be exact
    continues = torch.tensor(
        [False] * NUM_SPECIAL + [bool(prefix) and tokens[index].startswith(prefix) for index in kept]
    )
    joins = find_joins(token_ids, respelling, continues)
    return Vocabulary(kept_ids, respelling, (frequencies / frequencies.sum()).log(), continues, joins)


def find_joins(token_ids: list[list[int]], respelling: torch.Tensor, continues: torch.Tensor) -> torch.Tensor:
    """The joins of word pieces in some text (see `Vocabulary.joins`); none where no piece is marked as continuing."""
    if not continues.any():
        return torch.zeros(0, dtype=torch.long)
    size = len(continues)
    found = [np.array([BEGIN * size + PAD])]
    table, continuing = respelling.numpy(), continues.numpy()
    for row in token_ids:
        pieces = table[row].astype(np.int64)
        first = np.append(pieces[pieces >= 0], END)
        second = first[1:]
        found.append(first[:-1] * size + np.where(continuing[second], second, PAD))
    return torch.from_numpy(np.unique(np.concatenate(found)))


def _continuation_prefix(tokenizer: Any) -> str:
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    return getattr(model, "continuing_subword_prefix", None) or ""


def _spell(token: str, kept: dict[str, int], prefix: str) -> list[int]:
    continued = bool(prefix) and token.startswith(prefix)
    rest, pieces = token.removeprefix(prefix) if continued else token, []
    while rest:
        for end in range(len(rest), 0, -1):
            piece = kept.get((prefix if continued else "") + rest[:end])
            if piece is not None:
                pieces.append(piece)
                rest, continued = rest[end:], True
                break
        else:  # a character that the tokenizer itself never spells alone
            rest = rest[1:]
    return pieces
