"""Self-BLEU: how alike the texts of one set are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from sacrebleu.metrics import BLEU

from .text import Ngram, ngrams, tokenise

ORDER = 4


def self_bleu(texts: Sequence[str], sample: int = 500, seed: int = 0) -> float | None:
    """Mean sentence BLEU-4 (0–100) of `sample` texts against all the others as references (Zhu et al. 2018).

    Higher is less varied; null for fewer than two texts. It rises with the number of texts, so that sets compare only
    at an equal number. The score is sacrebleu's of a sentence: exponential smoothing, effective order.
    """
    if len(texts) < 2:
        return None
    tokens = [tokenise(text) for text in texts]
    rows = random.Random(seed).sample(range(len(texts)), min(sample, len(texts)))
    counts = {row: _counts(tokens[row]) for row in rows}
    # Of each n-gram the two highest counts over texts are enough to leave any one text out of the references.
    highest: dict[Ngram, tuple[int, int, int]] = {ngram: (0, -1, 0) for row in rows for ngram in counts[row]}
    for row, words in enumerate(tokens):
        for ngram, count in _counts(words).items():
            if ngram in highest:
                first, holder, second = highest[ngram]
                highest[ngram] = (count, row, first) if count > first else (first, holder, max(count, second))
    texts_of_length = Counter(map(len, tokens))

    def bleu(row: int) -> float:
        correct, total, length = [0] * ORDER, [0] * ORDER, len(tokens[row])
        for ngram, count in counts[row].items():
            first, holder, second = highest[ngram]
            correct[len(ngram) - 1] += min(count, second if holder == row else first)
            total[len(ngram) - 1] += count
        others = (other for other, number in texts_of_length.items() if other != length or number > 1)
        closest = min(others, key=lambda other: (abs(other - length), other))
        return BLEU.compute_bleu(correct, total, length, closest, smooth_method="exp", effective_order=True).score

    return fmean(bleu(row) for row in rows)


def _counts(tokens: Sequence[str]) -> Counter[Ngram]:
    return Counter(ngram for n in range(1, ORDER + 1) for ngram in ngrams(tokens, n))
