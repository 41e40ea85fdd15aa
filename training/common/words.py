"""The plainest classifier of texts: of their words alone."""

from __future__ import annotations

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline


def words_classifier(min_df: int = 1) -> Pipeline:
    """Logistic regression on TF-IDF of words and pairs of them, untrained.

    Args:
        min_df: texts that a word or pair stands in, at least, to be read.
    """
    return make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=min_df),
        LogisticRegression(C=10.0, max_iter=1000),
    )
