"""Rows put together from sentences: each has the label of a row of the budget, and as many sentences as it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from textvae.modeling_textvae.augmentation import new_row
from textvae.modeling_textvae.selection import Row
from textvae.modeling_textvae.sentences import MAX_SENTENCES, match_case, split_sentences

from ...common.sources import LabelledTexts

Pool = Sequence[int]  # places of sentences


def sentences_of(budget: LabelledTexts) -> list[list[str]]:
    """Those of each row, not more than a generator is given."""
    return [split_sentences(text)[:MAX_SENTENCES] for text in budget.texts]


def compose(
    budget: LabelledTexts, sentences: Sequence[str], pools: Mapping[str, Sequence[Pool]], count: int, seed: int
) -> list[tuple[Row, list[int]]]:
    """`count` rows, and the places of their sentences.

    Candidate i is of row i mod N of the budget. Its sentences are dealt from its label's pool, which is shuffled
    anew only when all of it has been dealt, so that no sentence comes twice before every one came once.

    Args:
        pools: method → a pool for each class; candidates take the methods in turns.
    """
    assert budget.labels is not None
    own = sentences_of(budget)
    dealers = {
        (method, label): _deal(pool, random.Random(f"{seed}/{method}/{label}"))
        for method, of_classes in pools.items()
        for label, pool in enumerate(of_classes)
    }
    methods = list(pools)
    rows = []
    for index in range(count):
        number = index % len(budget)
        label = budget.labels[number]
        usable = [method for method in methods if pools[method][label]]
        if not usable:
            continue
        method = usable[index // len(budget) % len(usable)]
        drawn: list[int] = []
        while len(drawn) < min(len(own[number]), len(pools[method][label])):
            place = next(dealers[method, label])
            drawn += [place] if place not in drawn else []
        # What an uncased model wrote gets the capitals of the row that it is like.
        parts = (match_case(sentences[place], source) for place, source in zip(drawn, own[number], strict=False))
        text = " ".join(parts)
        rows.append((new_row(text, label, method, number) | {"seed": seed}, drawn))
    return rows


def _deal(pool: Pool, draw: random.Random) -> Iterator[int]:
    while True:
        yield from draw.sample(pool, len(pool))
