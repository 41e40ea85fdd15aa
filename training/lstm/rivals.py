"""What else can be trained on the same rows: word counts, a frozen encoder's features, a fine-tuned encoder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..classify.train import train_classifier
from ..common.recipe import ClassifierRecipe
from ..common.sources import LabelledTexts
from ..common.words import words_classifier
from .data import Parts
from .recipe import ComparisonRecipe

RIVALS = {
    "tfidf": "TF-IDF of words and pairs with logistic regression",
    "probe": "logistic regression on a frozen encoder's features",
    "bert": "a fine-tuned encoder",
}
# Of Sun et al. 2019 for BERT on these reviews, but for two epochs in place of four.
FINE_TUNING: dict[str, Any] = {"batch_size": 16, "learning_rate": 5e-5}
EPOCHS = 2


Rival = tuple[np.ndarray, dict[str, Any]]  # (rows, classes) probabilities, and what it was


def train_rival(
    name: str,
    recipe: ComparisonRecipe,
    parts: Parts,
    scored: LabelledTexts,
    *,
    dtype: torch.dtype,
    features: Path,
) -> Rival:
    """Train one of the RIVALS on the training rows and predict the scored texts.

    Args:
        features: a folder where `probe` keeps what the body says of texts.
    """
    if name == "tfidf":
        return _tfidf(parts, scored)
    settings = ClassifierRecipe(model=recipe.body, max_length=recipe.body_tokens, **FINE_TUNING)
    outcome = train_classifier(
        "probe" if name == "probe" else "bert",
        settings,
        parts.train,
        scored,
        steps=EPOCHS * len(parts.train) // settings.batch_size,
        seed=recipe.seed,
        dtype=dtype,
        features=features,
    )
    return outcome.probabilities, {
        "parameters": None,
        "seconds": outcome.train_seconds,
        "body": outcome.weights,
        "reads": f"the first {recipe.body_tokens} tokens",
    }


def _tfidf(parts: Parts, scored: LabelledTexts) -> Rival:
    start = time.perf_counter()
    pipeline = words_classifier(min_df=2).fit(parts.train.texts, parts.train.labels)
    seconds = time.perf_counter() - start
    return pipeline.predict_proba(scored.texts).astype(np.float32), {
        "parameters": pipeline[-1].coef_.size + pipeline[-1].intercept_.size,
        "seconds": seconds,
        "body": None,
        "reads": "all words",
    }
