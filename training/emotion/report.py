"""The report of a run: `evaluation.json`, plots and `report.html`.

It is made from the run folder's files, the data's ratings, and the figures of the run that is named as `beside`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from textvae.modeling_emotion_vae.configuration_emotion_vae import DIMENSIONS

from ..common.files import read_json, write_json
from ..common.pages import write_page
from ..common.progress import say
from . import plots
from .baselines import BASELINES
from .beside import figures_beside
from .data import AnnotatedTexts, load_annotated
from .measures import reliability, spread_ratios, summary
from .objective import weights
from .recipe import EmotionRecipe

COLUMNS = ("r", "nll", "coverage", "r_std", "spread_ratio")
MARKED = 8  # texts that the emotion map numbers
PLACED = 300  # test sentences that go to the Hub with the model
TERMS = {
    "mean_error": "squared error of means",
    "deviation_error": "squared error of deviations",
    "nll": "β-weighed nll of means",
    "reconstruction": "reconstruction",
    "kl": "KL, nats",
    "weighed": "weighed sum",
}
CALLED = {"model": "emotion VAE"} | {name: baseline.caption for name, baseline in BASELINES.items()}


def write_report(folder: Path, recipe: EmotionRecipe) -> dict[str, Any]:
    """Write the report of a run that has been finished into its folder; returns what `evaluation.json` holds."""
    info, data = read_json(folder / "run.json"), load_annotated(recipe)
    official = _record(folder, "official.json", data)
    variants = [name for name in recipe.variants if name not in info["absent"]]
    names = ["model", *variants, *(BASELINES if recipe.baselines else ())]
    folds = {
        name: [_record(folder, f"folds/{name}/fold-{number}.json", data) for number in range(recipe.folds)]
        for name in names
    }
    on_test = {"model": official["figures"]} | {
        name: _record(folder, f"folds/{name}/official.json", data)["figures"]
        for name in names[1:]
        if name == recipe.rival or name not in variants
    }
    called = CALLED | {name: name.replace("_", " ") for name in variants} | (recipe.captions or {})
    beside = figures_beside(folder, recipe)
    other = read_json(folder.parent / recipe.beside / "run.json")["recipe"] if recipe.beside else {}
    figures = beside | evaluation(recipe, info, folds, official, on_test)
    write_json(folder / "evaluation.json", figures)
    drawings = _drawings(folds["model"], official, data, recipe)
    write_page(
        __package__,
        "report.html.j2",
        folder / "report.html",
        drawings,
        recipe=recipe,
        info=info,
        figures=figures,
        model=summary([fold["figures"] for fold in folds["model"]]),
        table=[
            *((called[name], summary([record["figures"] for record in records])) for name, records in folds.items()),
            *_beside(beside, other),
        ],
        skip_free=[
            (called[name], recipe.variants[name].num_members, summary([record["figures"] for record in folds[name]]))
            for name in variants
            if not recipe.variants[name].skip_connections
        ],
        differences=[(called[name], found) for name, found in _differences(folds, variants, recipe.base)],
        official=[
            *((called[name], found) for name, found in on_test.items()),
            *_beside(beside, other, "official_"),
        ],
        one=official,
        names=[DIMENSIONS[index] for index in data.rated],
        marked=[(number, data.texts[official["rows"][row]]) for number, row in enumerate(_marked(official), start=1)],
        nearest=read_json(folder / "nearest.json") if len(data.rated) == len(DIMENSIONS) else [],
        stand_ins=[source for source in info["sources"] if source["stand_in"]],
        terms=TERMS,
    )
    write_json(folder / "model" / "map.json", _placed(official, data))
    say(f"report: {folder / 'report.html'}")
    return figures


def evaluation(
    recipe: EmotionRecipe,
    info: dict[str, Any],
    folds: dict[str, list[dict[str, Any]]],
    official: dict[str, Any],
    on_test: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """All figures, flat: the model's under their own names, others' behind their name, of the official split, too."""
    suffix = "_finetuned" if recipe.model.trainable_encoder_layers else ""
    found: dict[str, Any] = {}
    for name, records in folds.items():
        prefix = "" if name == "model" else f"{name}_"
        for key, value in summary([record["figures"] for record in records]).items():
            base, sd = key.removesuffix("_sd"), "_sd" if key.endswith("_sd") else ""
            found[f"{prefix}{base}{suffix}{sd}"] = value
    # By itself, too: where choices were made on training texts of the first fold, those that it tests steered nothing.
    found |= {f"first_fold_{key}{suffix}": value for key, value in folds["model"][0]["figures"].items()}
    for name, figures in on_test.items():
        prefix = "official_" if name == "model" else f"official_{name}_"
        found |= {f"{prefix}{key}{suffix}": value for key, value in figures.items()}
    seconds = [record["facts"]["seconds"] for record in folds["model"]]
    return found | {
        f"train_minutes_a_fold{suffix}": round(float(np.mean(seconds)) / 60, 2),
        f"parameters{suffix}": official["facts"]["parameters"],
        f"weights_sha256{suffix}": official["facts"]["weights_sha256"],
        f"texts{suffix}": info["data"]["texts"],
        f"run{suffix}": {
            "recipe": recipe.name,
            "folds": recipe.folds,
            **{key: info[key] for key in ("seed", "command", "hardware", "versions", "python", "textvae", "sources")},
        },
    }


def _record(folder: Path, path: str, data: AnnotatedTexts) -> dict[str, Any]:
    """What is kept of a model's test texts, with those of its figures that follow from its predictions alone."""
    record = read_json(folder / path)
    record["figures"] |= spread_ratios(record, data)
    return record


def _beside(
    figures: dict[str, Any], recipe: dict[str, Any], prefix: str = ""
) -> list[tuple[str, dict[str, float | None]]]:
    """Rows of a table from the flat figures of another run, whose `recipe` it is; what it does not have is null."""
    rows = []
    called = CALLED | (recipe.get("captions") or {})
    for name in filter(None, ("model", recipe.get("rival"), *BASELINES)):
        start = prefix if name == "model" else f"{prefix}{name}_"
        keys = [f"{key}_{dimension}{sd}" for key in COLUMNS for dimension in DIMENSIONS for sd in ("", "_sd")]
        row = {key: figures.get(f"{start}{key}") for key in keys}
        if row["r_valence"] is not None:
            rows.append((f"encoder frozen: {called.get(name, name)}", row))
    return rows


def _placed(official: dict[str, Any], data: AnnotatedTexts) -> list[list[Any]]:
    """Text, valence and arousal of test sentences as the one model places them; it travels with the model."""
    if len(data.rated) < len(DIMENSIONS):
        return []
    means = official["predictions"]["mean"]
    return [[data.texts[row], *mean] for row, mean in list(zip(official["rows"], means, strict=True))[:PLACED]]


def _differences(
    folds: dict[str, list[dict[str, Any]]], variants: list[str], reference: str | None
) -> list[tuple[str, dict[str, Any]]]:
    """What each variant's figures are above those of the reference on the same folds: means, and deviations over folds;
    but its coverage as it is, of which more is no better."""
    if reference not in variants:
        return []
    found = []
    for name in (name for name in variants if name != reference):
        pairs = zip(folds[name], folds[reference], strict=True)
        keys = [f"{key}_{dimension}" for key in ("r", "nll") for dimension in DIMENSIONS]
        paired = [
            {key: None if one["figures"][key] is None else one["figures"][key] - base["figures"][key] for key in keys}
            for one, base in pairs
        ]
        alone = summary([record["figures"] for record in folds[name]])
        coverage = {key: value for key, value in alone.items() if key.startswith("coverage_")}
        found.append((name, summary(paired) | coverage))
    return found


def _drawings(
    folds: list[dict[str, Any]], official: dict[str, Any], data: AnnotatedTexts, recipe: EmotionRecipe
) -> dict[str, str]:
    rows = np.concatenate([fold["rows"] for fold in folds])
    mean, width = (
        np.concatenate([np.array(fold["predictions"][key], dtype=float) for fold in folds])
        for key in ("mean", "mean_deviation")
    )
    drawings, points = {}, {}
    for index in data.rated:
        name, truth = DIMENSIONS[index], data.ratings[rows, index]
        r = summary([fold["figures"] for fold in folds])[f"r_{name}"] or 0.0
        drawings[f"scatter-{name}"] = plots.predicted_against_annotated(name, truth, mean[:, index], r)
        points[name] = reliability(truth, mean[:, index], width[:, index])
    drawings["reliability"] = plots.reliability(points)
    curve = [row | _weighed(row, recipe) for row in official["curve"]]
    drawings |= {f"loss-{term}": plots.losses(curve, term, title) for term, title in TERMS.items()}
    if len(data.rated) == len(DIMENSIONS):
        means = np.array(official["predictions"]["mean"])
        categories = None if data.categories is None else [data.categories[row] for row in official["rows"]]
        drawings["emotion-map"] = plots.emotion_map("emotion-map", means, categories, _marked(official))
    return drawings


def _weighed(row: dict[str, float], recipe: EmotionRecipe) -> dict[str, float]:
    """What an epoch's terms come to, each with its last weight, so that epochs can be held against each other."""
    found = weights(recipe.model, recipe.model.beta)
    return {
        f"{part}_weighed": sum(weight * row[f"{part}_{term}"] for term, weight in found.items())
        for part in ("train", "validation")
    }


def _marked(official: dict[str, Any]) -> list[int]:
    """Test texts all around the map: the outermost in each of MARKED directions from its middle."""
    means = np.array(official["predictions"]["mean"], dtype=float)
    if np.isnan(means).any():
        return []
    standard = (means - means.mean(0)) / means.std(0)
    angles = 2 * np.pi * np.arange(MARKED) / MARKED
    outermost = (standard @ np.stack([np.cos(angles), np.sin(angles)])).argmax(0)
    return list(dict.fromkeys(outermost.tolist()))
