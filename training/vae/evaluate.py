"""`textvae evaluate-vae`: train what is missing, measure, write the figures and the page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..common.errors import UserError
from ..common.files import fingerprint, read_json, write_json
from ..common.progress import say
from ..common.recipe import EvaluationRecipe, Recipe
from ..common.run_folder import RunFolder, open_run
from ..common.sources import content_revision, load_texts, resolve_model
from . import class_measures, latent_measures, sample_measures
from .evaluation import Evaluation
from .evaluation_page import write_report
from .parts import Parts
from .train import train_vae
from .yardsticks import train_yardsticks

DIGITS = 4
LATENT_MEASURES = (
    latent_measures.likelihood,
    latent_measures.reconstruction,
    latent_measures.neighbours,
    latent_measures.joins,
    latent_measures.standard_errors,
    latent_measures.neighbour_fluency,
    latent_measures.interpolation,
    latent_measures.rate_distortion,
)
SAMPLE_MEASURES = (
    sample_measures.variety,
    sample_measures.fluency,
    sample_measures.reverse,
    sample_measures.likeness,
)
CLASS_MEASURES = (class_measures.classes,)


@dataclass(frozen=True)
class Read:
    """What decides the figures beside the recipe and the models that are measured."""

    texts: str  # fingerprint of all rows of the recipe's texts
    similarity: str  # with the next two: revisions of the bodies that measure
    perplexity: str
    feature: str
    dtype: str


def evaluate_vae(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Measure the VAE of a run folder; returns what `evaluation/evaluation.json` holds.

    The VAE and the models it is measured against (`yardsticks/`) are trained where the folder has none of this
    recipe. Figures are flat; what the page prints and plots stands beside them in `evaluation/page.json`, and each
    measure's own part under `evaluation/parts`, where an evaluation that was stopped goes on.

    Raises:
        UserError: another run is at work in the folder; a source that cannot be had.
    """
    with open_run(folder, recipe) as run:
        return _evaluate(recipe, run)


def _evaluate(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    read = what_is_read(recipe, run.dtype(recipe.precision))
    dtype = getattr(torch, read.dtype)
    vae = run.path / "vae"
    trained = train_vae(recipe, vae)
    language_model, baseline = train_yardsticks(recipe, run.path / "yardsticks", dtype)
    place = run.path / "evaluation" / "evaluation.json"
    inputs = [recipe.vae, recipe.evaluation, recipe.augment.temperature, read]
    models = [path / "model.safetensors" for path in (vae, language_model, baseline)]
    outputs = [f"evaluation/{name}.json" for name in ("evaluation", "page")]
    with run.stage("evaluation", inputs=[*inputs, *models], outputs=outputs) as stage:
        if not stage.done:
            latents = Parts(place.parent / "parts/latents", fingerprint(*_latent_inputs(recipe, read, *models[:2])))
            samples = Parts(place.parent / "parts/samples", fingerprint(*_sample_inputs(recipe, read, *models)))
            classes = Parts(place.parent / "parts/classes", fingerprint(*_class_inputs(recipe, read, models[0])))
            evaluation = Evaluation(recipe, vae, language_model, baseline, latents, samples, classes, dtype)
            figures: dict[str, Any] = {}
            page: dict[str, Any] = {}
            for parts, measures in (
                (latents, LATENT_MEASURES), (samples, SAMPLE_MEASURES), (classes, CLASS_MEASURES),
            ):  # fmt: skip
                for measure in measures:
                    measured = parts.data(measure.__name__, partial(measure, evaluation))
                    figures |= measured[0]
                    page |= measured[1]
            settings = recipe.evaluation
            sources = {source["id"]: source for source in trained["sources"]}
            sources |= {body: resolve_model(body)[1].to_dict() for body in _bodies(settings)}
            rounded = {name: round(v, DIGITS) if isinstance(v, float) else v for name, v in figures.items()}
            write_json(
                place,
                {
                    "recipe": recipe.name,
                    "profile": settings.profile,
                    "encoder": recipe.vae.encoder,
                    **rounded,
                    "weights": content_revision([models[0]]),
                    "train_minutes": round(trained["seconds"] / 60, 2),
                    "hardware": trained["hardware"],
                    "measured_on": run.info["hardware"],
                    "precision": read.dtype,
                    "command": run.info["command"],
                    "seed": recipe.seed,
                    "sources": list(sources.values()),
                },
            )
            write_json(place.with_name("page.json"), page)
    results = read_json(place)
    shown = write_report(place.parent, recipe.to_dict())
    say(
        f"evaluation: BLEU {results['bleu_reconstruction']:.1f} at KL {results['kl']:.0f}, "
        f"{results['neighbour_bleu']:.1f} at one σ; −ELBO {results['elbo_ratio']:.2f} × the language model's → {shown}"
    )
    return results


def what_is_read(recipe: Recipe, dtype: str) -> Read:
    """All that measuring needs beside models and recipe; told before hours of training where it cannot be had.

    Raises:
        UserError: a source cannot be had; the texts have no labels.
    """
    settings = recipe.evaluation
    parts = [load_texts(recipe.vae.texts, split) for split in ("train", "validation", "test")]
    if not (parts[0].labels and parts[2].labels):
        raise UserError(f"{recipe.vae.texts}: has no labels, which the class figures need")
    texts = fingerprint(*([part.texts, part.labels, part.label_names] for part in parts))
    similarity, perplexity, feature = (resolve_model(body)[1].revision for body in _bodies(settings))
    return Read(texts, similarity, perplexity, feature, dtype)


def _bodies(settings: EvaluationRecipe) -> tuple[str, str, str]:
    return settings.similarity_model, settings.perplexity_model, settings.feature_model


def _latent_inputs(recipe: Recipe, read: Read, vae: Path, language_model: Path) -> list[Any]:
    """What is measured of posteriors, which takes longest, does not depend on how samples are drawn."""
    chosen = [recipe.evaluation.importance_samples, recipe.evaluation.seen_joins, recipe.augment.temperature]
    return [recipe.vae, *chosen, read.texts, read.dtype, read.similarity, read.perplexity, vae, language_model]


def _drawn(settings: EvaluationRecipe, read: Read) -> list[Any]:
    chosen = [settings.prior_temperature, settings.latent_share, settings.token_top_p, settings.seen_joins]
    return [*chosen, read.texts, read.dtype, read.feature]


def _sample_inputs(recipe: Recipe, read: Read, *models: Path) -> list[Any]:
    """What is measured of samples does not depend on how classes are chosen.

    Nor does it on how posteriors are refined, unless a prior is fitted to these.
    """
    settings = recipe.evaluation
    vae = recipe.vae if settings.prior_components else recipe.vae.unrefined()
    chosen = [settings.samples, settings.prior_components, settings.reverse_steps]
    return [vae, recipe.seed, *_drawn(settings, read), *chosen, read.perplexity, *models]


def _class_inputs(recipe: Recipe, read: Read, vae: Path) -> list[Any]:
    settings = recipe.evaluation
    chosen = [settings.class_candidates, settings.class_sharpness]
    return [recipe.vae.unrefined(), *_drawn(settings, read), *chosen, vae]
