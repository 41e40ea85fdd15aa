"""What every figure of a trained VAE is computed from: the models, the texts, and what these made of each other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.posterior import Posterior

from ..common import precision
from ..common.embeddings import embed
from ..common.errors import UserError
from ..common.files import fingerprint
from ..common.perplexity import perplexities
from ..common.progress import bar
from ..common.recipe import EvaluationRecipe, Recipe
from ..common.registry import cache_folder
from ..common.sources import LabelledTexts, load_texts, resolve_model
from .data import load_sentences
from .likelihood import Likelihoods, score
from .parts import Parts
from .reconstruction import round_trip
from .samples import decode_sampled, neighbours, sentences_prior
from .train import load_model
from .yardsticks import same_vocabulary

CURVE_TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)
PERPLEXITY_TOKENS = 128


@dataclass
class Subject:
    """A model under measurement."""

    folder: Path
    model: TextVAEModel
    tokenizer: Any


class Evaluation:
    """The VAE in `vae` beside the models in `language_model` and `baseline`, trained on the same texts.

    Every figure is of the test sentences of the recipe's `texts`; nothing is chosen by them. What takes long is kept in
    `latent_parts`, `sample_parts` (of draws from priors) and `class_parts` (of draws of a class), which depend on
    other settings and models each. All of it is computed in `dtype`.
    """

    def __init__(
        self,
        recipe: Recipe,
        vae: Path,
        language_model: Path,
        baseline: Path,
        latent_parts: Parts,
        sample_parts: Parts,
        class_parts: Parts,
        dtype: torch.dtype,
    ) -> None:
        self.recipe, self.settings = recipe, recipe.evaluation
        self.latent_parts, self.sample_parts, self.class_parts = latent_parts, sample_parts, class_parts
        self.dtype = dtype
        self.sentences = load_sentences(recipe.vae, recipe.seed)
        self.labelled = load_texts(recipe.vae.texts, "train")
        test = load_texts(recipe.vae.texts, "test")
        # Datasets are often sorted by class, and what is printed, paired or plotted are the first rows.
        self.test: LabelledTexts = test.take(np.random.default_rng(0).permutation(len(test)).tolist())
        self.vae, self.language_model, self.baseline = (_subject(folder) for folder in (vae, language_model, baseline))
        if not same_vocabulary(self.vae.model, self.language_model.model):
            raise UserError(f"{language_model}: spells texts in another vocabulary than {vae}; train both anew")
        # Real texts as the tokenizer gives them back: how people's spacing differs from a decoder's is no finding.
        self.real = round_trip(self.test.texts, self.vae.tokenizer)
        self.training = round_trip(self.sentences.train, self.vae.tokenizer)

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        with precision.autocast(self.dtype, precision.device()), torch.no_grad():
            yield

    @cached_property
    def scored(self) -> Likelihoods:
        """Of the VAE, of the test texts."""

        def make() -> dict[str, torch.Tensor]:
            texts = self.test.texts
            with progress("likelihood", len(texts)) as advance, self.inference():
                scored = score(
                    self.vae.model, texts, self.vae.tokenizer, self.settings.importance_samples, progress=advance
                )
            found = {name: value for name, value in asdict(scored).items() if name != "posterior"}
            return {**found, "mean": scored.posterior.mean, "log_variance": scored.posterior.log_variance}

        tensors = self.latent_parts.tensors("scored", make)
        posterior = Posterior(tensors.pop("mean"), tensors.pop("log_variance"))
        return Likelihoods(posterior, **tensors)

    @cached_property
    def yardstick(self) -> Likelihoods:
        """Of the language model, of the test texts."""
        judge = self.language_model
        with self.inference():
            return score(judge.model, self.test.texts, judge.tokenizer, num_samples=1)

    @cached_property
    def around(self) -> dict[float, list[str]]:
        """Neighbours of the test texts, greedy, by how many standard deviations of noise."""

        def make() -> list[tuple[float, list[str]]]:
            temperatures = sorted({*CURVE_TEMPERATURES, self.recipe.augment.temperature})
            posterior = self.scored.posterior
            with self.inference():
                return [
                    (t, neighbours(self.vae.model, self.vae.tokenizer, posterior, t, self.settings))
                    for t in temperatures
                ]

        return dict(self.latent_parts.data("around", make))

    @cached_property
    def samples(self) -> dict[str, list[str]]:
        """Texts from the three models' priors, their words drawn alike."""
        plain = replace(
            self.settings,
            prior_temperature=1.0,
            latent_share=1.0,
            prior_components=0,
        )

        def make() -> dict[str, list[str]]:
            drawn = {}
            with self.inference():
                for kind in ("vae", "language_model", "baseline"):
                    subject: Subject = getattr(self, kind)
                    settings = self.settings if kind == "vae" else plain
                    latents = self._prior_latents(subject, settings)
                    drawn[kind] = decode_sampled(subject.model, subject.tokenizer, latents, settings)
            return drawn

        return self.sample_parts.data("samples", make)

    def _prior_latents(self, subject: Subject, settings: EvaluationRecipe) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        if not settings.prior_components:
            return subject.model.sample_prior(settings.samples, settings.prior_temperature, generator)
        prior = sentences_prior(
            subject.model, subject.tokenizer, self.labelled.texts, settings.prior_components, self.recipe.seed
        )
        prior.facts |= {"label_budget": 0, "texts": self.recipe.vae.texts}
        prior.save(subject.folder / "sentences.prior.safetensors")
        classes = torch.zeros(settings.samples, dtype=torch.long)
        return prior.sample(classes, settings.prior_temperature, generator)

    def embed(self, texts: list[str], model_id: str) -> np.ndarray:
        """(N, hidden size) of texts."""
        with progress("features", len(texts)) as advance:
            return embed(texts, model_id, self.dtype, advance)

    def embed_once(self, texts: list[str], model_id: str) -> np.ndarray:
        """(N, hidden size) of real texts: every evaluation has the same ones, and takes them from the cache."""
        name = self._real_name(model_id, texts)
        kept = Parts(cache_folder() / "features", "means of the last states")
        tensors = kept.tensors(name, lambda: {"features": torch.from_numpy(self.embed(texts, model_id))})
        return tensors["features"].numpy()

    def median_perplexity(self, texts: list[str]) -> float:
        """Under the recipe's causal language model, which knows none of the texts."""
        with progress("perplexity", len(texts)) as advance:
            scores = perplexities(texts, self.settings.perplexity_model, PERPLEXITY_TOKENS, self.dtype, advance)
        return median(score for score in scores if score is not None)

    @cached_property
    def real_perplexity(self) -> float:
        name = self._real_name(self.settings.perplexity_model, self.real)
        kept = Parts(cache_folder() / "perplexities", f"medians over {PERPLEXITY_TOKENS} tokens a text")
        return kept.data(name, lambda: self.median_perplexity(self.real))

    def _real_name(self, model_id: str, texts: list[str]) -> str:
        return fingerprint(resolve_model(model_id)[1].revision, str(self.dtype), texts)

    def above_real(self, share: Callable[..., float | None], texts: list[str], scale: float = 1.0) -> float | None:
        """`scale` × what the share of the texts is above that of real ones; null where either is unknown."""
        own, real = share(texts, self.training), share(self.real, self.training)
        return None if own is None or real is None else scale * (own - real)


def _subject(folder: Path) -> Subject:
    model, tokenizer = load_model(folder)
    return Subject(folder, model.to(precision.device()), tokenizer)


@contextlib.contextmanager
def progress(label: str, total: int) -> Iterator[Any]:
    with bar(total=total, label=label, unit="text") as shown:
        yield shown.update
