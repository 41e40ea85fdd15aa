"""Small arithmetic that many figures share."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

import sacrebleu


def bleu(texts: list[str], references: list[str]) -> float:
    """Corpus BLEU-4, 0 to 100, with sacrebleu's defaults (Post 2018)."""
    return float(sacrebleu.corpus_bleu(texts, [references]).score)


def bleu_standard_error(texts: list[str], references: list[str]) -> float:
    """Of `bleu`, over which texts it is computed of: half of a 95 % bootstrap interval, as 1.96 errors (Koehn 2004)."""
    score = sacrebleu.BLEU().corpus_score(texts, [references], n_bootstrap=1000)
    return float(score._ci) / 1.96


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Mean of what is not null; null where nothing is known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def ratio(value: float | None, reference: float | None) -> float | None:
    """value ÷ reference; null where either is unknown or the reference is 0."""
    return value / reference if value is not None and reference else None
