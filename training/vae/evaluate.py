"""`textvae evaluate-vae`: train what is missing, measure, write the figures and the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..common.errors import UserError
from ..common.files import fingerprint, read_json, write_json
from ..common.progress import say
from ..common.recipe import EvaluationRecipe, Recipe
from ..common.run_folder import RunFolder, open_run
from ..common.sources import content_revision, load_texts, resolve_model
from . import class_measures, latent_measures, sample_measures
from .evaluation import Evaluation
from .evaluation_page import write_page
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
    _check_sources(recipe)
    vae = run.path / "vae"
    trained = train_vae(recipe, vae)
    language_model, baseline = train_yardsticks(recipe, run.path / "yardsticks")
    place = run.path / "evaluation" / "evaluation.json"
    inputs = [recipe.vae, recipe.evaluation, recipe.augment.temperature]
    models = [path / "model.safetensors" for path in (vae, language_model, baseline)]
    outputs = [f"evaluation/{name}.json" for name in ("evaluation", "page")]
    with run.stage("evaluation", inputs=[*inputs, *models], outputs=outputs) as stage:
        if not stage.done:
            latents = Parts(place.parent / "parts/latents", fingerprint(*_latent_inputs(recipe, *models[:2])))
            samples = Parts(place.parent / "parts/samples", fingerprint(*_sample_inputs(recipe, *models)))
            classes = Parts(place.parent / "parts/classes", fingerprint(*_class_inputs(recipe, models[0])))
            evaluation = Evaluation(recipe, vae, language_model, baseline, latents, samples, classes)
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
            bodies = (settings.similarity_model, settings.perplexity_model, settings.feature_model)
            sources = {source["id"]: source for source in trained["sources"]}
            sources |= {body: resolve_model(body)[1].to_dict() for body in bodies}
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
                    "command": run.info["command"],
                    "seed": recipe.seed,
                    "sources": list(sources.values()),
                },
            )
            write_json(place.with_name("page.json"), page)
    results = read_json(place)
    shown = write_page(place.parent, recipe.to_dict())
    say(
        f"evaluation: BLEU {results['bleu_reconstruction']:.1f} at KL {results['kl']:.0f}, "
        f"{results['neighbour_bleu']:.1f} at one σ; −ELBO {results['elbo_ratio']:.2f} × the language model's → {shown}"
    )
    return results


def _check_sources(recipe: Recipe) -> None:
    """Told before hours of training: whatever measuring needs can be had."""
    settings = recipe.evaluation
    for split in ("train", "test"):
        if not load_texts(recipe.vae.texts, split).labels:
            raise UserError(f"{recipe.vae.texts}: has no labels, which the class figures need")
    for body in (settings.similarity_model, settings.perplexity_model, settings.feature_model):
        resolve_model(body)


def _latent_inputs(recipe: Recipe, vae: Path, language_model: Path) -> list[Any]:
    """What is measured of posteriors, which takes longest, does not depend on how samples are drawn."""
    settings = recipe.evaluation
    chosen = [settings.importance_samples, settings.similarity_model, settings.perplexity_model, settings.seen_joins]
    return [recipe.vae, *chosen, recipe.augment.temperature, vae, language_model]


def _drawn(settings: EvaluationRecipe) -> list[Any]:
    return [
        settings.prior_temperature,
        settings.latent_share,
        1.0,  # with the other number below: of options that are gone, so that what was measured is found again
        settings.token_top_p,
        1,
        settings.seen_joins,
        settings.feature_model,
    ]


def _sample_inputs(recipe: Recipe, *models: Path) -> list[Any]:
    """What is measured of samples does not depend on how classes are chosen.

    Nor does it on how posteriors are refined, unless a prior is fitted to these.
    """
    settings = recipe.evaluation
    vae = recipe.vae if settings.prior_components else recipe.vae.unrefined()
    chosen = [settings.samples, settings.prior_components, settings.perplexity_model, settings.reverse_steps]
    return [vae, recipe.seed, *_drawn(settings), *chosen, *models]


def _class_inputs(recipe: Recipe, vae: Path) -> list[Any]:
    settings = recipe.evaluation
    chosen = [settings.class_candidates, settings.class_sharpness]
    return [recipe.vae.unrefined(), *_drawn(settings), *chosen, vae]
