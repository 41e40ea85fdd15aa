"""What a text must not be: another one, or nearly."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from .text import normalise, words_of

NGRAM = 5
NEAR_COPY_OVERLAP = 0.6  # of the word 5-grams of either text, unless a recipe says otherwise
REVISION = 2  # raised where other texts come to count as copies, so that what an older rule let pass is not reused
BLOCK = 20_000  # texts whose 5-grams are held in memory together

Ngrams = set[tuple[str, ...]]


def find_copies(texts: Sequence[str], tests: Sequence[str], overlap: float) -> list[str | None]:
    """Why each text must go because of a test text, or null; test labels are never asked for.

    A copy has the letters and digits of a test text. A near-copy and one test text share at least `overlap` of the
    different word 5-grams of either: of the text, or, where the text holds the test text among others, of that. The
    5-grams of `tests` are looked up among those of `texts`: seconds for 25,000 reviews.
    """
    reasons: list[str | None] = []
    for start in range(0, len(texts), BLOCK):
        reasons += _copies(texts[start : start + BLOCK], tests, overlap)
    return reasons


def _copies(texts: Sequence[str], tests: Sequence[str], overlap: float) -> list[str | None]:
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
        ngrams = _ngrams(test)
        shared = Counter(row for ngram in ngrams & known for row in holders[ngram])
        for row, count in shared.items():
            if count >= overlap * min(sizes[row], len(ngrams)):
                reasons[row] = reasons[row] or "near-copy of a test row"
    return reasons


def near_copies(texts: Sequence[str], known: Iterable[str], overlap: float) -> list[bool]:
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
    words = words_of(text.lower().replace(" n't", "n't"))  # as the Penn treebank, and with it SST-2, parts words
    return set(zip(*(words[start:] for start in range(NGRAM)), strict=False))
