"""Figures of samples from priors: how varied, fluent, new and like real ones they are."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from .evaluation import Evaluation
from .latent_measures import PRINTED, Measured
from .metrics import text as text_metrics
from .metrics.mauve import mauve
from .metrics.self_bleu import self_bleu
from .metrics.summary import ratio
from .reconstruction import round_trip
from .yardsticks import reverse_perplexity


def variety(evaluation: Evaluation) -> Measured:
    """How prior samples differ from each other and from the training text."""
    validation = round_trip(evaluation.sentences.validation, evaluation.vae.tokenizer)
    real = [*evaluation.real, *validation, *evaluation.training[: evaluation.sentences.num_main]]
    real_words = text_metrics.count_tokens(real)
    figures: dict[str, Any] = {}
    for kind, texts in evaluation.samples.items():
        words = text_metrics.count_tokens(texts)
        distinct = {n: text_metrics.distinct(texts, n) for n in (1, 2)}
        alike = [text_metrics.cut_to(some, min(words, real_words)) for some in (texts, real)]
        found: dict[str, float | None] = {
            "distinct_1": distinct[1],
            "distinct_2": distinct[2],
            "distinct_2_ratio": ratio(*(text_metrics.distinct(some, 2) for some in alike)),
            "unique_share": text_metrics.unique_share(texts),
            "unk_share": fmean("[UNK]" in text for text in texts),
            "self_bleu": self_bleu(texts),
            "memorisation_excess": evaluation.above_real(text_metrics.memorised_share, texts),
            "unseen_word_excess": evaluation.above_real(text_metrics.unseen_word_share, texts, 100.0),
            "words_per_sample": words / len(texts),
        }
        figures |= {_named(kind, name): value for name, value in found.items()}
    return figures, {"samples": {kind: texts[:PRINTED] for kind, texts in evaluation.samples.items()}}


def fluency(evaluation: Evaluation) -> Measured:
    """Median perplexities under a causal language model that knows none of the texts."""
    found = {
        _named(kind, "sample_perplexity_ratio"): evaluation.median_perplexity(texts) / evaluation.real_perplexity
        for kind, texts in evaluation.samples.items()
    }
    return {"real_perplexity": evaluation.real_perplexity} | found, {}


def reverse(evaluation: Evaluation) -> Measured:
    """What a small language model that has read the samples alone makes of real texts."""
    vae = evaluation.vae
    found = {
        kind: reverse_perplexity(
            vae.model, vae.tokenizer, texts, evaluation.test.texts, evaluation.recipe, evaluation.dtype
        )
        for kind, texts in evaluation.samples.items()
    }
    figures = {_named(kind, "reverse_ppl"): value for kind, value in found.items()}
    return figures | {"reverse_ppl_ratio": found["vae"] / found["language_model"]}, {}


def likeness(evaluation: Evaluation) -> Measured:
    """MAUVE of samples beside real sentences (Pillutla et al. 2021)."""
    body = evaluation.settings.feature_model
    real = evaluation.embed_once(evaluation.real, body)
    figures = {
        _named(kind, "mauve"): mauve(evaluation.embed(texts, body), real) for kind, texts in evaluation.samples.items()
    }
    return figures | {"mauve_ratio": ratio(figures["mauve"], figures["language_model_mauve"])}, {}


def _named(kind: str, name: str) -> str:
    return name if kind == "vae" else f"{kind}_{name}"
