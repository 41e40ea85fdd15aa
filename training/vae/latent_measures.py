"""Figures of a VAE's posteriors: what a text costs, comes back as, and has around it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain
from statistics import fmean
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from textvae.modeling_textvae.generation import decode_latents

from ..common.text import normalise
from .evaluation import Evaluation, progress
from .likelihood import Likelihoods, score
from .metrics import information, smoothness
from .metrics import text as text_metrics
from .metrics.summary import bleu, bleu_standard_error, mean_of_known
from .samples import neighbours as draw_neighbours
from .samples import paths

PATHS, PATH_STEPS, PRINTED_PATHS = 100, 8, 3
PRINTED = 20
CURVE_BETAS, CURVE_TEXTS, CURVE_STEPS = (0.1, 0.2, 0.35, 0.6, 1.0, 2.0), 200, 20

Measured = tuple[dict[str, Any], dict[str, Any]]  # figures, and what the page prints or plots


def likelihood(evaluation: Evaluation) -> Measured:
    """What the test texts cost, in nats and perplexities, and what their latents hold of them."""
    texts, scored, yardstick = evaluation.test.texts, evaluation.scored, evaluation.yardstick
    with evaluation.inference():
        guess = score(evaluation.vae.model, texts, evaluation.vae.tokenizer, num_samples=4, refinement_steps=0)
        guessed = decode_latents(evaluation.vae.model, guess.posterior.mean, evaluation.vae.tokenizer)
    bound, nll = (scored.nll + scored.kl).mean().item(), yardstick.nll.mean().item()
    ratio, error = perplexity_ratio(scored, yardstick)
    mean, log_variance = scored.posterior
    return {
        "test_texts": len(texts),
        "tokens_per_text": scored.tokens.float().mean().item(),
        "nll": scored.nll.mean().item(),
        "nll_of_mean": scored.nll_of_mean.mean().item(),
        "kl": scored.kl.mean().item(),
        "neg_elbo": bound,
        "encoder_alone_nll": guess.nll.mean().item(),
        "encoder_alone_kl": guess.kl.mean().item(),
        "encoder_alone_bleu": bleu(guessed, evaluation.real),
        "lm_nll": nll,
        "elbo_ratio": bound / nll,
        "iw_nll": scored.iw_nll.mean().item(),
        "iw_ppl": _perplexity(scored.iw_nll, scored.tokens),
        "lm_ppl": _perplexity(yardstick.nll, yardstick.tokens),
        "ppl_ratio": ratio,
        "ppl_ratio_standard_error": error,
        "mutual_information": information.mutual_information(mean, log_variance, scored.samples),
        "mutual_information_cap": math.log(len(texts)),
        "active_units_share_0.01": information.active_units(mean, 0.01),
        "active_units_share_0.2": information.active_units(mean, 0.2),
    }, {}


def standard_errors(evaluation: Evaluation) -> Measured:
    """How much figures of the test texts would differ on others like them."""
    scored, around, nll = evaluation.scored, evaluation.around, evaluation.yardstick.nll
    bound = scored.nll + scored.kl
    ratio = bound.mean() / nll.mean()
    found = {
        "kl": _standard_error(scored.kl),
        "neg_elbo": _standard_error(bound),
        "elbo_ratio": _standard_error(bound - ratio * nll) / nll.mean().item(),  # delta method
        "bleu_reconstruction": bleu_standard_error(around[0.0], evaluation.real),
        "neighbour_bleu": bleu_standard_error(around[1.0], evaluation.real),
    }
    return {f"{name}_standard_error": value for name, value in found.items()}, {}


def rate_distortion(evaluation: Evaluation) -> Measured:
    """How nll falls as posteriors may tell more, and a map of the latents."""
    vae, texts = evaluation.vae, evaluation.test.texts[:CURVE_TEXTS]
    curve = []
    with progress("rate and distortion", len(CURVE_BETAS) * len(texts)) as advance, evaluation.inference():
        for beta in CURVE_BETAS:
            scored = score(
                vae.model, texts, vae.tokenizer, num_samples=4, refinement_steps=CURVE_STEPS, refinement_beta=beta,
                progress=advance,
            )  # fmt: skip
            curve.append({"beta": beta, "kl": scored.kl.mean().item(), "nll": scored.nll.mean().item()})
    nll = evaluation.yardstick.nll[:CURVE_TEXTS].mean().item()
    means = evaluation.scored.posterior.mean.numpy()
    return {}, {
        "rate_distortion": {"texts": len(texts), "steps": CURVE_STEPS, "points": curve, "lm_nll": nll},
        "latent_map": PCA(2, random_state=0).fit_transform(means).round(3).tolist(),
        "labels": evaluation.test.labels,
        "label_names": evaluation.test.label_names,
    }


def reconstruction(evaluation: Evaluation) -> Measured:
    """Greedy texts of the posteriors' means."""
    vae, real = evaluation.vae, evaluation.real
    with evaluation.inference():
        rebuilt = decode_latents(vae.model, evaluation.scored.posterior.mean, vae.tokenizer)
    pairs = list(zip(real, rebuilt, strict=True))
    return {
        "bleu_reconstruction": bleu(rebuilt, real),
        "bleu_reconstruction_raw_text": bleu(rebuilt, evaluation.test.texts),
        "exact_match_share": fmean(normalise(text) == normalise(again) for text, again in pairs),
    }, {"reconstructions": pairs[:PRINTED]}


def neighbours(evaluation: Evaluation) -> Measured:
    """How near the texts around a posterior stay to its text."""
    around, real = evaluation.around, evaluation.real
    vectors = evaluation.embed([*real, *chain.from_iterable(around.values())], evaluation.settings.similarity_model)
    own, *rest = np.split(vectors, 1 + len(around))
    cosines = {t: float((own * part).sum(1).mean()) for t, part in zip(around, rest, strict=True)}
    return {
        "neighbour_cosine": cosines[1.0],
        "random_pair_cosine": float((own * np.roll(own, 1, axis=0)).sum(1).mean()),
    }, {
        "neighbour_curve": [
            {"temperature": t, "bleu": bleu(texts, real), "cosine": cosines[t]} for t, texts in around.items()
        ],
        "neighbours": {t: texts[:PRINTED] for t, texts in around.items()},
    }


def joins(evaluation: Evaluation) -> Measured:
    """What keeping to the joins of the training text is worth: the same neighbours with them and without."""
    vae, found = evaluation.vae, {"": evaluation.around[1.0]}
    free = replace(evaluation.settings, seen_joins=False)
    with evaluation.inference():
        found["_any_join"] = draw_neighbours(vae.model, vae.tokenizer, evaluation.scored.posterior, 1.0, free)
    return {
        f"neighbour_{name}{kind}": value
        for kind, texts in found.items()
        for name, value in (
            ("bleu", bleu(texts, evaluation.real)),
            ("unseen_word_excess", evaluation.above_real(text_metrics.unseen_word_share, texts, 100.0)),
        )
    }, {}


def neighbour_fluency(evaluation: Evaluation) -> Measured:
    """Median perplexity of the neighbours that the recipe's augmentation makes."""
    near = evaluation.around[evaluation.recipe.augment.temperature]
    return {"neighbour_perplexity_ratio": evaluation.median_perplexity(near) / evaluation.real_perplexity}, {}


def interpolation(evaluation: Evaluation) -> Measured:
    """How evenly texts change on the way from one to another."""
    vae = evaluation.vae
    with evaluation.inference():
        lines = paths(vae.model, vae.tokenizer, evaluation.scored.posterior, PATHS, PATH_STEPS, evaluation.settings)
    vectors = evaluation.embed(list(chain.from_iterable(lines)), evaluation.settings.similarity_model)
    vectors = vectors.reshape(len(lines), PATH_STEPS, -1)
    return {
        "interpolation_directness": mean_of_known(smoothness.directness(path) for path in vectors),
        "interpolation_largest_step": mean_of_known(smoothness.largest_step(path) for path in vectors),
        "interpolation_standing_share": mean_of_known(smoothness.standing_share(path) for path in lines),
    }, {"paths": lines[:PRINTED_PATHS]}


def perplexity_ratio(scored: Likelihoods, yardstick: Likelihoods) -> tuple[float, float]:
    """IW perplexity ÷ the yardstick's on the same texts, and its standard error over texts (delta method)."""
    gap = scored.iw_nll - yardstick.nll
    tokens = scored.tokens.double()
    per_token = (gap.sum() / tokens.sum()).item()
    residual = gap - per_token * tokens
    error = residual.std().item() * math.sqrt(len(gap)) / tokens.sum().item()
    return math.exp(per_token), math.exp(per_token) * error


def _standard_error(values: torch.Tensor) -> float:
    return values.double().std().item() / math.sqrt(len(values))


def _perplexity(nll: torch.Tensor, tokens: torch.Tensor) -> float:
    return math.exp((nll.sum() / tokens.sum()).item())
