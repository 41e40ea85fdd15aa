"""What a generated row must not be: another row, or nearly one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from ..common.text import normalise, words_of

NGRAM = 5
# What a candidate is rejected for whatever the filters are.
COPIES = ("empty", "duplicate", "copy of a test row", "near-copy of a test row")

Ngrams = set[tuple[str, ...]]


def find_copies(texts: list[str], tests: Iterable[str], overlap: float) -> list[str | None]:
    """Why each text must go because of a test text, or null; test labels are never asked for.

    A copy has the letters and digits of a test text; a near-copy shares at least `overlap` of its different
    word 5-grams with one test text. One pass over the test texts, whose 5-grams are looked up among those of
    `texts`: seconds for 25,000 reviews.
    """
    identities: dict[str, list[int]] = defaultdict(list)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes = []
    for row, text in enumerate(texts):
        identities[normalise(text)].append(row)
        ngrams = _ngrams(text)
        sizes.append(len(ngrams))
        for ngram in ngrams:
            holders[ngram].append(row)
    known = set(holders)
    reasons: list[str | None] = [None] * len(texts)
    for test in tests:
        for row in identities.get(normalise(test), ()):
            reasons[row] = "copy of a test row"
        shared = Counter(row for ngram in _ngrams(test) & known for row in holders[ngram])
        for row, count in shared.items():
            if count >= overlap * sizes[row]:
                reasons[row] = reasons[row] or "near-copy of a test row"
    return reasons


def near_copies(texts: list[str], known: Iterable[str], overlap: float) -> list[bool]:
    """Whether a text shares at least `overlap` of its different word 5-grams with one known text, or with one before
    it that does not itself. A text of fewer than five words is none."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, text in enumerate(known):
        for ngram in _ngrams(text):
            holders[ngram].append(-1 - number)
    copied = []
    for number, text in enumerate(texts):
        ngrams = _ngrams(text)
        shared = Counter(holder for ngram in ngrams for holder in holders.get(ngram, ()))
        near = bool(shared) and max(shared.values()) >= overlap * len(ngrams)
        copied.append(near)
        if not near:
            for ngram in ngrams:
                holders[ngram].append(number)
    return copied


def _ngrams(text: str) -> Ngrams:
    words = words_of(text)
    return set(zip(*(words[start:] for start in range(NGRAM)), strict=False))
