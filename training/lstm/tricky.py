"""What a classifier makes of the tricky reviews."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from .data import TrickyReviews


def tricky_scores(reviews: TrickyReviews, probabilities: np.ndarray) -> dict[str, Any]:
    """Accuracy, pairs solved and mean confidence (0 to 1), of all and by category, of (reviews, 2) probabilities.

    A pair is solved where both of its reviews, which differ by a word or two, are taken for what they are.
    """
    right = probabilities.argmax(axis=1) == np.array(reviews.texts.labels)
    return {
        **_scores(reviews, probabilities, right, np.ones(len(right), dtype=bool)),
        "categories": {
            category: _scores(reviews, probabilities, right, np.array([one == category for one in reviews.categories]))
            for category in dict.fromkeys(reviews.categories)
        },
    }


def _scores(reviews: TrickyReviews, probabilities: np.ndarray, right: np.ndarray, here: np.ndarray) -> dict[str, Any]:
    pairs = defaultdict(list)
    for place in np.flatnonzero(here):
        if reviews.pairs[place] is not None:
            pairs[reviews.pairs[place]].append(bool(right[place]))
    return {
        "reviews": int(here.sum()),
        "accuracy": float(right[here].mean()),
        "confidence": float(probabilities[here].max(axis=1).mean()),
        "pairs": len(pairs),
        "pairs_solved": sum(map(all, pairs.values())) / len(pairs) if pairs else None,
    }
