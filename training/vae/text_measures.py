"""Figures of the texts that a VAE makes: how varied, fluent, new and true to their class they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from ..common.perplexity import perplexities
from .evaluation import Evaluation, progress
from .latent_measures import PRINTED, Measured
from .metrics import text as text_metrics
from .metrics.mauve import diagonal_ratio, mauve, mauve_matrix
from .metrics.self_bleu import self_bleu
from .metrics.summary import bleu, mean_of_known, ratio
from .priors import fit_resampled_prior
from .reconstruction import round_trip
from .samples import draw_classes, neighbours
from .yardsticks import reverse_perplexity

CLASS_SAMPLINGS = 5
PERPLEXITY_TOKENS = 128
AUDITOR_C = 3.0


def variety(evaluation: Evaluation) -> Measured:
    """How prior samples differ from each other and from the training text."""
    validation = round_trip(evaluation.sentences.validation, evaluation.vae.tokenizer)
    main = evaluation.training[: evaluation.sentences.num_main]
    figures: dict[str, Any] = {}
    for kind, texts in evaluation.samples.items():
        words = sum(len(text_metrics.tokenise(text)) for text in texts)
        equal = text_metrics.cut_to([*evaluation.real, *validation, *main], words)
        distinct = {n: text_metrics.distinct(texts, n) for n in (1, 2)}
        found: dict[str, float | None] = {
            "distinct_1": distinct[1],
            "distinct_2": distinct[2],
            "distinct_2_ratio": ratio(distinct[2], text_metrics.distinct(equal, 2)),
            "unique_share": text_metrics.unique_share(texts),
            "unk_share": fmean("[UNK]" in text for text in texts),
            "self_bleu": self_bleu(texts),
            "memorisation_excess": _excess(text_metrics.memorised_share, texts, evaluation),
            "unseen_word_excess": _excess(text_metrics.unseen_word_share, texts, evaluation, 100.0),
            "words_per_sample": words / len(texts),
        }
        figures |= {_named(kind, name): value for name, value in found.items()}
    return figures, {"samples": {kind: texts[:PRINTED] for kind, texts in evaluation.samples.items()}}


def joins(evaluation: Evaluation) -> Measured:
    """What keeping to the joins of the training text is worth: the same draws with them and without."""
    vae, figures = evaluation.vae, dict[str, Any]()
    for name, seen in (("seen_joins", True), ("any_join", False)):
        settings = replace(evaluation.settings, seen_joins=seen)
        with evaluation.inference():
            texts = neighbours(vae.model, vae.tokenizer, evaluation.scored.posterior, 1.0, settings)
        figures[f"neighbour_bleu_{name}"] = bleu(texts, evaluation.real)
        excess = _excess(text_metrics.unseen_word_share, texts, evaluation, 100.0)
        figures[f"neighbour_unseen_word_excess_{name}"] = excess
    return figures, {}


def fluency(evaluation: Evaluation) -> Measured:
    """Median perplexities under a causal language model that knows none of the texts."""
    settings = evaluation.settings
    near = evaluation.around[evaluation.recipe.augment.temperature]
    sets = {"real": evaluation.real, "neighbours": near, **evaluation.samples}
    everything = list(chain.from_iterable(sets.values()))
    with progress("perplexity", len(everything)) as advance:
        scores = perplexities(
            everything, settings.perplexity_model, PERPLEXITY_TOKENS, evaluation.choice.dtype,
            lambda _, done, __: advance(done),
        )  # fmt: skip
    medians, start = {}, 0
    for name, texts in sets.items():
        medians[name] = median(s for s in scores[start : start + len(texts)] if s is not None)
        start += len(texts)
    real = medians.pop("real")
    figures = {"real_perplexity": real, "neighbour_perplexity_ratio": medians.pop("neighbours") / real}
    return figures | {_named(kind, "sample_perplexity_ratio"): value / real for kind, value in medians.items()}, {}


def reverse(evaluation: Evaluation) -> Measured:
    """What a small language model that has read the samples alone makes of real texts."""
    vae = evaluation.vae
    found = {
        kind: reverse_perplexity(vae.model, vae.tokenizer, texts, evaluation.test.texts, evaluation.recipe)
        for kind, texts in evaluation.samples.items()
    }
    figures = {_named(kind, "reverse_ppl"): value for kind, value in found.items()}
    return figures | {"reverse_ppl_ratio": found["vae"] / found["language_model"]}, {}


def classes(evaluation: Evaluation) -> Measured:
    """MAUVE of prior samples (Pillutla et al. 2021), and what draws of a class keep of their class."""
    names, test_labels = evaluation.test.label_names, np.array(evaluation.test.labels)
    train = round_trip(evaluation.labelled.texts, evaluation.vae.tokenizer)
    asked = torch.arange(len(test_labels)) % len(names)
    drawn = _class_samples(evaluation, asked)
    sets = {**evaluation.samples, **{f"class {number}": texts for number, texts in enumerate(drawn)}}
    body = evaluation.settings.feature_model
    vectors = evaluation.embed(list(chain.from_iterable(sets.values())), body)
    ends = np.cumsum([len(texts) for texts in sets.values()])
    features = dict(zip(sets, np.split(vectors, ends[:-1]), strict=True))
    features |= {"train": evaluation.embed_once(train, body), "real": evaluation.embed_once(evaluation.real, body)}
    figures: dict[str, Any] = {
        _named(kind, "mauve"): mauve(features[kind], features["real"]) for kind in evaluation.samples
    }
    figures["mauve_ratio"] = ratio(figures["mauve"], figures["language_model_mauve"])
    classed, matrix = _class_figures(
        features, [features[f"class {number}"] for number in range(CLASS_SAMPLINGS)],
        asked.numpy(), np.array(evaluation.labelled.labels), test_labels,
    )  # fmt: skip
    shown = [(names[label], text) for label, text in zip(asked.tolist(), drawn[0], strict=True)]
    return figures | classed, {"class_mauve": matrix, "class_samples": shown[:PRINTED]}


def _class_samples(evaluation: Evaluation, asked: torch.Tensor) -> list[list[str]]:
    """Texts of the classes `asked`, drawn several times, from a prior fitted with the training labels."""
    vae, settings, labelled = evaluation.vae, evaluation.settings, evaluation.labelled
    prior = fit_resampled_prior(
        vae.model.decoder, vae.tokenizer, labelled.texts, labelled.labels or [],
        settings.class_candidates, settings.class_sharpness,
    )  # fmt: skip
    prior.facts |= {
        "label_budget": len(labelled),
        "texts": evaluation.recipe.vae.texts,
        "classes": evaluation.test.label_names,
    }
    prior.save(vae.folder / "classes.prior.safetensors")
    prior = prior.to(vae.model.device)
    with progress("classes", CLASS_SAMPLINGS * len(asked)) as advance, evaluation.inference():
        return [
            draw_classes(vae.model, vae.tokenizer, prior, asked, settings, seed, advance)
            for seed in range(CLASS_SAMPLINGS)
        ]


def _class_figures(
    features: dict[str, np.ndarray],
    drawn: list[np.ndarray],
    asked: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
) -> tuple[dict[str, Any], list[list[float]]]:
    count = int(test_labels.max()) + 1

    def by_class(rows: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        return [rows[labels == label] for label in range(count)]

    real = by_class(features["real"], test_labels)
    matrices = [mauve_matrix(by_class(rows, asked), real, seed) for seed, rows in enumerate(drawn)]
    reference = mauve_matrix(by_class(features["train"], train_labels), real)
    auditor = LogisticRegression(C=AUDITOR_C, max_iter=1000).fit(features["train"], train_labels)
    on_test = auditor.score(features["real"], test_labels)
    on_samples = fmean(auditor.score(rows, asked) for rows in drawn)
    of_samples, of_real = mean_of_known(diagonal_ratio(matrix) for matrix in matrices), diagonal_ratio(reference)
    return {
        "auditor_accuracy_test": 100 * on_test,
        "auditor_accuracy_samples": 100 * on_samples,
        "auditor_fidelity_ratio": (on_samples - 1 / count) / (on_test - 1 / count),
        "class_mauve_ratio": of_samples,
        "class_mauve_ratio_real": of_real,
        "class_mauve_share": ratio(of_samples, of_real),
    }, np.mean(matrices, axis=0).round(4).tolist()


def _named(kind: str, name: str) -> str:
    return name if kind == "vae" else f"{kind}_{name}"


def _excess(
    share: Callable[..., float | None], texts: list[str], evaluation: Evaluation, scale: float = 1.0
) -> float | None:
    """`scale` × what the share of the texts is above that of real ones; null where either is unknown."""
    own, real = share(texts, evaluation.training), share(evaluation.real, evaluation.training)
    return None if own is None or real is None else scale * (own - real)
