"""Every figure of a trained VAE, from one checkpoint and one way of sampling."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import sacrebleu
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from textvae.modeling_textvae.generation import decode_latents
from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..common import precision
from ..common.embeddings import embed
from ..common.errors import UserError
from ..common.perplexity import perplexities
from ..common.progress import bar
from ..common.recipe import Recipe
from ..common.sources import LabelledTexts, Source, load_texts, resolve_model
from ..common.text import normalise
from .data import load_sentences
from .likelihood import Likelihoods, score
from .metrics import information, smoothness
from .metrics import text as text_metrics
from .metrics.mauve import diagonal_ratio, mauve, mauve_matrix
from .metrics.self_bleu import self_bleu
from .reconstruction import round_trip
from .samples import class_prior, decode_sampled, mixture_prior, neighbours, paths
from .train import load_model
from .yardsticks import reverse_perplexity, same_vocabulary

CLASS_SAMPLINGS = 5
PATHS, PATH_STEPS = 100, 8
PRINTED = 20
PERPLEXITY_TOKENS = 128
CURVE_BETAS, CURVE_TEXTS, CURVE_STEPS = (0.1, 0.2, 0.35, 0.6, 1.0, 2.0), 200, 20
CURVE_TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass
class Subject:
    """A model under measurement, with its tokenizer and the texts that it drew from its prior."""

    model: TextVAEModel
    tokenizer: Any
    samples: list[str]


class Evaluation:
    """Measures the VAE in `vae` beside the models in `language_model` and `baseline`, trained on the same texts.

    Every figure is of the test sentences of the recipe's `texts`; nothing is chosen by them.
    """

    def __init__(self, recipe: Recipe, vae: Path, language_model: Path, baseline: Path) -> None:
        self.recipe, self.settings = recipe, recipe.evaluation
        self.choice = precision.choose(recipe.precision, precision.device())
        self.sentences = load_sentences(recipe.vae, recipe.seed)
        self.labelled = load_texts(recipe.vae.texts, "train")
        test = load_texts(recipe.vae.texts, "test")
        # Datasets are often sorted by class, and what is printed, paired or plotted are the first rows.
        self.test: LabelledTexts = test.take(np.random.default_rng(0).permutation(len(test)).tolist())
        self.sources: dict[str, Source] = {}
        self.facts = {"vae": vae, "language_model": language_model, "baseline": baseline}
        self.figures: dict[str, Any] = {}
        with self._autocast():
            self.vae, self.language_model, self.baseline = (
                self._subject(folder, kind) for kind, folder in self.facts.items()
            )
        if not same_vocabulary(self.vae.model, self.language_model.model):
            raise UserError(f"{language_model}: spells texts in another vocabulary than {vae}; train both anew")
        # Real texts as the tokenizer gives them back: how people's spacing differs from a decoder's is no finding.
        self.real = round_trip(self.test.texts, self.vae.tokenizer)
        self.training = round_trip(self.sentences.train, self.vae.tokenizer)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        return precision.autocast(self.choice, precision.device())

    def _subject(self, folder: Path, kind: str) -> Subject:
        model, tokenizer = load_model(folder)
        model = model.to(precision.device())
        settings, generator = self.settings, torch.Generator().manual_seed(0)
        if kind == "vae" and settings.prior_components:
            prior = mixture_prior(
                model, tokenizer, self.labelled.texts, None, settings.prior_components, self.recipe.seed
            )
            prior.facts |= {"label_budget": 0, "texts": self.recipe.vae.texts}
            prior.save(folder / "sentences.prior.safetensors")
            classes = torch.zeros(settings.samples, dtype=torch.long)
            latents = prior.sample(classes, settings.prior_temperature, generator)
        else:
            latents = model.sample_prior(settings.samples, settings.prior_temperature, generator)
        return Subject(model, tokenizer, decode_sampled(model, tokenizer, latents, self.settings))

    def run(self) -> dict[str, Any]:
        """Flat figures; what is printed and plotted stands in `self.page`."""
        self.page: dict[str, Any] = {}
        with self._autocast(), torch.no_grad():
            self._likelihood()
            self._rate_distortion()
            self._reconstruction()
            self._neighbours()
            self._interpolation()
        self._texts()
        self._fluency()
        self._reverse()
        self._features()
        return self.figures

    # --- each of these adds its figures

    def _likelihood(self) -> None:
        settings, texts = self.settings, self.test.texts
        with _progress("likelihood", len(texts)) as advance:
            self.scored = score(
                self.vae.model, texts, self.vae.tokenizer, settings.importance_samples, progress=advance
            )
        lm = score(self.language_model.model, texts, self.language_model.tokenizer, num_samples=1)
        guess = score(self.vae.model, texts, self.vae.tokenizer, num_samples=4, refinement_steps=0)
        scored = self.scored
        bound, nll = (scored.nll + scored.kl).mean().item(), lm.nll.mean().item()
        ratio, error = perplexity_ratio(scored, lm)
        self.guess = guess.posterior.mean
        mean, log_variance = scored.posterior
        self.figures |= {
            "test_texts": len(texts),
            "tokens_per_text": scored.tokens.float().mean().item(),
            "nll": scored.nll.mean().item(),
            "nll_of_mean": scored.nll_of_mean.mean().item(),
            "kl": scored.kl.mean().item(),
            "neg_elbo": bound,
            "encoder_alone_nll": guess.nll.mean().item(),
            "encoder_alone_kl": guess.kl.mean().item(),
            "lm_nll": nll,
            "elbo_ratio": bound / nll,
            "iw_nll": scored.iw_nll.mean().item(),
            "iw_ppl": _perplexity(scored.iw_nll, scored.tokens),
            "lm_ppl": _perplexity(lm.nll, lm.tokens),
            "ppl_ratio": ratio,
            "ppl_ratio_standard_error": error,
            "mutual_information": information.mutual_information(mean, log_variance, scored.samples),
            "mutual_information_cap": math.log(len(texts)),
            "active_units_share_0.01": information.active_units(mean, 0.01),
            "active_units_share_0.2": information.active_units(mean, 0.2),
        }

    def _rate_distortion(self) -> None:
        texts, steps = self.test.texts[:CURVE_TEXTS], self.vae.model.config.refinement_steps or CURVE_STEPS
        curve = []
        with _progress("rate and distortion", len(CURVE_BETAS) * len(texts)) as advance:
            for beta in CURVE_BETAS:
                scored = score(
                    self.vae.model, texts, self.vae.tokenizer, num_samples=4, refinement_steps=steps,
                    refinement_beta=beta, progress=advance,
                )  # fmt: skip
                curve.append({"beta": beta, "kl": scored.kl.mean().item(), "nll": scored.nll.mean().item()})
        lm = score(self.language_model.model, texts, self.language_model.tokenizer, num_samples=1)
        means = self.scored.posterior.mean.numpy()
        self.page |= {
            "rate_distortion": {"texts": len(texts), "points": curve, "lm_nll": lm.nll.mean().item()},
            "latent_map": PCA(2, random_state=0).fit_transform(means).round(3).tolist(),
            "labels": self.test.labels,
            "label_names": self.test.label_names,
        }

    def _reconstruction(self) -> None:
        rebuilt = decode_latents(
            self.vae.model, self.scored.posterior.mean.to(self.vae.model.device), self.vae.tokenizer
        )
        pairs = zip(self.real, rebuilt, strict=True)
        guess = decode_latents(self.vae.model, self.guess.to(self.vae.model.device), self.vae.tokenizer)
        self.figures |= {
            "encoder_alone_bleu": _bleu(guess, self.real),
            "bleu_reconstruction": _bleu(rebuilt, self.real),
            "bleu_reconstruction_raw_text": _bleu(rebuilt, self.test.texts),
            "exact_match_share": fmean(normalise(text) == normalise(again) for text, again in pairs),
        }
        self.page["reconstructions"] = list(zip(self.real, rebuilt, strict=True))[:PRINTED]

    def _neighbours(self) -> None:
        around, posterior = {}, self.scored.posterior
        temperatures = sorted({*CURVE_TEMPERATURES, self.recipe.augment.temperature})
        for temperature in temperatures:
            around[temperature] = neighbours(self.vae.model, self.vae.tokenizer, posterior, temperature, self.settings)
        self.around = around
        vectors = self._embed([*self.real, *chain.from_iterable(around.values())], self.settings.similarity_model)
        real, *rest = np.split(vectors, 1 + len(around))
        cosines = {t: float((real * part).sum(1).mean()) for t, part in zip(around, rest, strict=True)}
        self.figures |= {
            "neighbour_bleu": _bleu(around[1.0], self.real),
            "neighbour_cosine": cosines[1.0],
            "random_pair_cosine": float((real * np.roll(real, 1, axis=0)).sum(1).mean()),
        }
        self.page["neighbour_curve"] = [
            {"temperature": t, "bleu": _bleu(texts, self.real), "cosine": cosines[t]} for t, texts in around.items()
        ]
        self.page["neighbours"] = {t: texts[:PRINTED] for t, texts in around.items()}

    def _interpolation(self) -> None:
        lines = paths(self.vae.model, self.vae.tokenizer, self.scored.posterior, PATHS, PATH_STEPS, self.settings)
        vectors = self._embed(list(chain.from_iterable(lines)), self.settings.similarity_model)
        vectors = vectors.reshape(len(lines), PATH_STEPS, -1)
        self.figures |= {
            "interpolation_directness": _mean(smoothness.directness(path) for path in vectors),
            "interpolation_largest_step": _mean(smoothness.largest_step(path) for path in vectors),
            "interpolation_standing_share": _mean(smoothness.standing_share(path) for path in lines),
        }
        self.page["paths"] = lines[:3]

    def _texts(self) -> None:
        for name, texts in self._sampled().items():
            prefix = "" if name == "vae" else f"{name}_"
            words = sum(len(text_metrics.tokenise(text)) for text in texts)
            real = text_metrics.cut_to(self._real_pool(), words)
            distinct = {n: text_metrics.distinct(texts, n) for n in (1, 2)}
            self.figures |= {
                f"{prefix}distinct_1": distinct[1],
                f"{prefix}distinct_2": distinct[2],
                f"{prefix}distinct_2_ratio": _ratio(distinct[2], text_metrics.distinct(real, 2)),
                f"{prefix}unique_share": text_metrics.unique_share(texts),
                f"{prefix}unk_share": fmean("[UNK]" in text for text in texts),
                f"{prefix}self_bleu": self_bleu(texts),
                f"{prefix}memorisation_excess": _excess(text_metrics.memorised_share, texts, self.real, self.training),
                f"{prefix}unseen_word_excess": 100
                * _excess(text_metrics.unseen_word_share, texts, self.real, self.training),
            }
        self._joins()
        self.page["samples"] = {name: texts[:PRINTED] for name, texts in self._sampled().items()}

    def _joins(self) -> None:
        """What keeping to the joins of the training text is worth: the same draws with them and without."""
        posterior = self.scored.posterior
        for name, seen in (("seen_joins", True), ("any_join", False)):
            settings = replace(self.settings, seen_joins=seen)
            with self._autocast(), torch.no_grad():
                texts = neighbours(self.vae.model, self.vae.tokenizer, posterior, 1.0, settings)
            self.figures[f"neighbour_bleu_{name}"] = _bleu(texts, self.real)
            excess = _excess(text_metrics.unseen_word_share, texts, self.real, self.training)
            self.figures[f"neighbour_unseen_word_excess_{name}"] = 100 * excess

    def _fluency(self) -> None:
        sets = {"real": self.real, "neighbours": self.around[self.recipe.augment.temperature], **self._sampled()}
        everything = list(chain.from_iterable(sets.values()))
        dtype, tokens = self.choice.dtype, PERPLEXITY_TOKENS
        with _progress("perplexity", len(everything)) as advance:
            scores = perplexities(
                everything, self.settings.perplexity_model, tokens, dtype, lambda _, done, __: advance(done)
            )
        _, self.sources[self.settings.perplexity_model] = resolve_model(self.settings.perplexity_model)
        medians, start = {}, 0
        for name, texts in sets.items():
            medians[name] = median(s for s in scores[start : start + len(texts)] if s is not None)
            start += len(texts)
        self.figures |= {
            "real_perplexity": medians["real"],
            "sample_perplexity_ratio": medians["vae"] / medians["real"],
            "neighbour_perplexity_ratio": medians["neighbours"] / medians["real"],
            "language_model_sample_perplexity_ratio": medians["language_model"] / medians["real"],
            "baseline_sample_perplexity_ratio": medians["baseline"] / medians["real"],
        }

    def _reverse(self) -> None:
        """What a small language model that has read the samples alone makes of real texts."""
        for name, texts in self._sampled().items():
            key = "reverse_ppl" if name == "vae" else f"{name}_reverse_ppl"
            model, tokenizer = self.vae.model, self.vae.tokenizer
            self.figures[key] = reverse_perplexity(model, tokenizer, texts, self.test.texts, self.recipe)
        self.figures["reverse_ppl_ratio"] = self.figures["reverse_ppl"] / self.figures["language_model_reverse_ppl"]

    def _features(self) -> None:
        """MAUVE of prior samples, and what class priors keep of their class."""
        names, size = self.test.label_names, len(self.test.labels or [])
        if not self.labelled.labels or not self.test.labels:
            raise UserError(f"{self.recipe.vae.texts}: has no labels, which the class figures need")
        train = round_trip(self.labelled.texts, self.vae.tokenizer)
        with self._autocast():
            prior = class_prior(
                self.vae.model, self.vae.tokenizer, self.labelled.texts, self.labelled.labels,
                self.settings.class_guidance, self.recipe.seed,
            )  # fmt: skip
            prior.facts |= {"label_budget": len(train), "texts": self.recipe.vae.texts, "classes": names}
            prior.save(self.facts["vae"] / "classes.prior.safetensors")
            classes = torch.arange(size) % len(names)
            drawn = []
            for seed in range(CLASS_SAMPLINGS):
                latents = prior.sample(classes, self.settings.prior_temperature, torch.Generator().manual_seed(seed))
                drawn.append(decode_sampled(self.vae.model, self.vae.tokenizer, latents, self.settings, seed))
        sampled = self._sampled()
        sets = {"train": train, "real": self.real, **sampled, **{f"class {n}": texts for n, texts in enumerate(drawn)}}
        vectors = self._embed(list(chain.from_iterable(sets.values())), self.settings.feature_model)
        ends = np.cumsum([len(texts) for texts in sets.values()])
        features = dict(zip(sets, np.split(vectors, ends[:-1]), strict=True))
        self.figures |= {
            ("mauve" if name == "vae" else f"{name}_mauve"): mauve(features[name], features["real"]) for name in sampled
        }
        self.figures["mauve_ratio"] = self.figures["mauve"] / self.figures["language_model_mauve"]
        self._class_figures(features, [features[f"class {n}"] for n in range(CLASS_SAMPLINGS)], classes.numpy())
        self.page["class_samples"] = [(names[c], t) for c, t in zip(classes.tolist(), drawn[0], strict=True)][:PRINTED]

    def _class_figures(self, features: dict[str, np.ndarray], drawn: list[np.ndarray], classes: np.ndarray) -> None:
        train_labels, test_labels = np.array(self.labelled.labels), np.array(self.test.labels)
        count = len(self.test.label_names)

        def by_class(rows: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
            return [rows[labels == label] for label in range(count)]

        real = by_class(features["real"], test_labels)
        matrices = [mauve_matrix(by_class(rows, classes), real, seed) for seed, rows in enumerate(drawn)]
        reference = mauve_matrix(by_class(features["train"], train_labels), real)
        auditor = LogisticRegression(C=3.0, max_iter=1000).fit(features["train"], train_labels)
        on_test = auditor.score(features["real"], test_labels)
        on_samples = fmean(auditor.score(rows, classes) for rows in drawn)
        ratios, whole = [diagonal_ratio(matrix) for matrix in matrices], diagonal_ratio(reference)
        self.figures |= {
            "auditor_accuracy_test": 100 * on_test,
            "auditor_accuracy_samples": 100 * on_samples,
            "auditor_fidelity_ratio": (on_samples - 1 / count) / (on_test - 1 / count),
            "class_mauve_ratio": _mean(ratios),
            "class_mauve_ratio_real": whole,
            "class_mauve_share": _ratio(_mean(ratios), whole),
        }
        self.page["class_mauve"] = np.mean(matrices, axis=0).round(4).tolist()

    # --- helpers

    def _sampled(self) -> dict[str, list[str]]:
        return {name: getattr(self, name).samples for name in ("vae", "language_model", "baseline")}

    def _real_pool(self) -> list[str]:
        validation = round_trip(self.sentences.validation, self.vae.tokenizer)
        return [*self.real, *validation, *self.training[: self.sentences.num_main]]

    def _embed(self, texts: list[str], model_id: str) -> np.ndarray:
        with _progress("features", len(texts)) as advance:
            vectors, self.sources[model_id] = embed(texts, model_id, self.choice.dtype, advance)
        return vectors


def perplexity_ratio(scored: Likelihoods, yardstick: Likelihoods) -> tuple[float, float]:
    """IW perplexity ÷ the yardstick's on the same texts, and its standard error over texts (delta method)."""
    gap = scored.iw_nll - yardstick.nll
    tokens = scored.tokens.double()
    per_token = (gap.sum() / tokens.sum()).item()
    residual = gap - per_token * tokens
    error = residual.std().item() * math.sqrt(len(gap)) / tokens.sum().item()
    return math.exp(per_token), math.exp(per_token) * error


def _perplexity(nll: torch.Tensor, tokens: torch.Tensor) -> float:
    return math.exp((nll.sum() / tokens.sum()).item())


def _bleu(texts: list[str], references: list[str]) -> float:
    return float(sacrebleu.corpus_bleu(texts, [references]).score)


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def _excess(share: Any, texts: list[str], real: list[str], training: list[str]) -> float:
    return share(texts, training) - share(real, training)


@contextlib.contextmanager
def _progress(label: str, total: int) -> Iterator[Any]:
    with bar(total=total, label=label, unit="text") as progress:
        yield progress.update
