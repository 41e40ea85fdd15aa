"""`textvae evaluate-vae`: train what is missing, measure, write the figures and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..common.files import read_json, write_json
from ..common.progress import say
from ..common.recipe import Recipe
from ..common.run_folder import RunFolder
from .evaluation import Evaluation
from .evaluation_page import write_page
from .train import train_vae
from .yardsticks import train_yardsticks

DIGITS = 4


def evaluate_vae(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Measure the VAE of a run folder; returns what `evaluation/evaluation.json` holds.

    The VAE and the models it is measured against (`yardsticks/`) are trained where the folder has none of this
    recipe. Figures are flat; what the page prints and plots stands beside them in `evaluation/page.json`.
    """
    run = RunFolder(folder, recipe)
    vae = run.path / "vae"
    trained = train_vae(recipe, vae)
    language_model, baseline = train_yardsticks(recipe, run.path / "yardsticks")
    place = run.path / "evaluation" / "evaluation.json"
    models = [path / "model.safetensors" for path in (vae, language_model, baseline)]
    outputs = [f"evaluation/{name}.json" for name in ("evaluation", "page")]
    with run.stage("evaluation", inputs=[recipe.vae, recipe.evaluation, *models], outputs=outputs) as stage:
        if not stage.done:
            evaluation = Evaluation(recipe, vae, language_model, baseline)
            figures = evaluation.run()
            figures = {
                name: round(value, DIGITS) if isinstance(value, float) else value for name, value in figures.items()
            }
            sources = [*trained["sources"], *(source.to_dict() for source in evaluation.sources.values())]
            write_json(
                place,
                {
                    "recipe": recipe.name,
                    "profile": recipe.evaluation.profile,
                    "encoder": recipe.vae.encoder,
                    **figures,
                    "train_minutes": round(trained["seconds"] / 60, 2),
                    "hardware": run.info["hardware"],
                    "command": run.info["command"],
                    "seed": recipe.seed,
                    "sources": sources,
                },
            )
            write_json(place.with_name("page.json"), evaluation.page)
    results = read_json(place)
    page = write_page(place.parent, recipe.to_dict())
    say(
        f"evaluation: BLEU {results['bleu_reconstruction']:.1f} at KL {results['kl']:.0f}, "
        f"{results['neighbour_bleu']:.1f} at one σ; −ELBO {results['elbo_ratio']:.2f} × the language model's → {page}"
    )
    return results
