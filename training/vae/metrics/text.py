"""How varied a set of texts is, and how much of it stands in the training text.

A token is a word or one mark of punctuation, in lower case. Texts that people wrote compare with decoded ones after a
round trip through the tokenizer, which may lose accents and spacing: else the difference is the tokenizer's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ...common.text import normalise

Ngram = tuple[str, ...]

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def tokenise(text: str) -> list[str]:
    """Lower-case words, inner apostrophes included, and marks of punctuation: `It's 5!` → it's, 5, !"""
    # In this order: some capitals are two characters in lower case.
    return [token.lower() for token in _TOKEN.findall(text)]


def ngrams(tokens: Sequence[str], n: int) -> Iterator[Ngram]:
    """Every run of `n` tokens."""
    return zip(*(tokens[start:] for start in range(n)), strict=False)


def count_tokens(texts: Iterable[str]) -> int:
    """Tokens of all texts together."""
    return sum(len(tokenise(text)) for text in texts)


def cut_to(texts: Iterable[str], tokens: int) -> list[str]:
    """The first texts, the last of them cut, that have `tokens` tokens in all.

    The share of different n-grams falls as a text grows, so that sets of texts compare only at an equal length.

    Raises:
        ValueError: the texts have fewer tokens.
    """
    kept = []
    left = tokens
    for text in texts:
        if not left:
            break
        ends = [match.end() for match in _TOKEN.finditer(text)][:left]
        left -= len(ends)
        kept.append(text[: ends[-1]] if ends and not left else text)
    if left:
        raise ValueError(f"the texts have {tokens - left} tokens, fewer than the {tokens} asked for")
    return kept


def distinct(texts: Iterable[str], n: int) -> float | None:
    """Share of different n-grams among all (distinct-n, Li et al. 2016), 0 to 1."""
    counts = Counter(ngram for text in texts for ngram in ngrams(tokenise(text), n))
    return len(counts) / counts.total() if counts else None


def unique_share(texts: Sequence[str]) -> float | None:
    """Share of different texts among all, by their letters and digits."""
    return len({normalise(text) for text in texts}) / len(texts) if texts else None


def memorised_share(texts: Iterable[str], training_texts: Iterable[str], n: int = 4) -> float | None:
    """Share of the texts' n-grams, each as often as it occurs, that stand in some training text.

    Training texts are read once and not kept. Texts that people wrote, held out, give the share to compare with.
    """
    counts = Counter(ngram for text in texts for ngram in ngrams(tokenise(text), n))
    seen = {ngram for text in training_texts for ngram in ngrams(tokenise(text), n) if ngram in counts}
    return sum(counts[ngram] for ngram in seen) / counts.total() if counts else None


def unseen_word_share(texts: Iterable[str], training_texts: Iterable[str]) -> float | None:
    """Share of the texts' words, each as often as it occurs, that stand in no training text.

    A word is a token of letters and inner apostrophes. A decoder over word pieces can misspell; this counts it.
    """
    counts = Counter(token for text in texts for token in tokenise(text) if _LETTERS.fullmatch(token))
    seen = {token for text in training_texts for token in tokenise(text) if token in counts}
    return 1 - sum(counts[word] for word in seen) / counts.total() if counts else None
