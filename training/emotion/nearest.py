"""Sentences of the test split whose embeddings point where a valence and an arousal decode to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.modeling_emotion_vae.configuration_emotion_vae import DIMENSIONS
from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel

from ..common.errors import UserError
from ..common.model_folders import load_model
from .data import AnnotatedTexts, load_annotated, official_rows
from .measures import correlation
from .recipe import EmotionRecipe
from .train import Encoded

NEAREST = 5  # sentences looked at for each place asked for
SHOWN = 3  # of them, in the report
GRID = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of the annotated ratings that are asked for, along each dimension

Place = tuple[float, float]  # valence and arousal, in rating units


def nearest_figures(model: EmotionVAEModel, embeddings: torch.Tensor, ratings: np.ndarray) -> dict[str, float | None]:
    """Correlation, over a grid of places, of the rating asked for and the mean annotated one of the NEAREST texts."""
    if len(model.rated) < len(DIMENSIONS):
        return {f"nearest_r_{name}": None for name in DIMENSIONS}
    ends = np.quantile(ratings, GRID, axis=0)
    grid = np.stack(np.meshgrid(*ends.T), axis=-1).reshape(-1, 2)
    rows = model.nearest(torch.from_numpy(grid).float(), embeddings, NEAREST).cpu().numpy()
    found = ratings[rows].mean(1)
    return {f"nearest_r_{name}": correlation(grid[:, index], found[:, index]) for index, name in enumerate(DIMENSIONS)}


def corners_and_middle(ratings: np.ndarray) -> list[Place]:
    """The corners of the grid over ratings (N, 2), high valence and high arousal first, and their medians."""
    (low_v, low_a), (mid_v, mid_a), (high_v, high_a) = np.quantile(ratings, (GRID[0], 0.5, GRID[-1]), axis=0).tolist()
    return [(high_v, high_a), (high_v, low_a), (low_v, high_a), (low_v, low_a), (mid_v, mid_a)]


def nearest_sentences(
    model: EmotionVAEModel,
    embeddings: torch.Tensor,
    data: AnnotatedTexts,
    rows: np.ndarray,
    places: Sequence[Place],
    num: int,
) -> list[dict[str, Any]]:
    """Each place, and the `num` sentences nearest to it, best first, with the means of their ratings.

    Args:
        embeddings: (n, D) of the sentences at `rows`.
    """
    found = model.nearest(torch.tensor(places), embeddings, num).tolist()
    return [
        {
            "place": list(place),
            "sentences": [{"text": data.texts[row], "rated": data.ratings[row].tolist()} for row in rows[nearest]],
        }
        for place, nearest in zip(places, found, strict=True)
    ]


def check_places(recipe: EmotionRecipe, places: Sequence[Place]) -> None:
    """Told before the run: places that no sentence can have.

    Raises:
        UserError: one outside the rating scale, or data without arousal.
    """
    low, high = recipe.lowest_rating, recipe.highest_rating
    for place in places:
        for name, value in zip(DIMENSIONS, place, strict=True):
            if not low <= value <= high:
                raise UserError(f"--near: {name} {value:g} lies outside {low:g} to {high:g}, the scale of the ratings")
    data = load_annotated(recipe)
    if len(data.rated) < len(DIMENSIONS):
        raise UserError(f"--near: {data.source.location} does not rate arousal, and a place has both; leave it out")


def near(folder: Path, recipe: EmotionRecipe, places: Sequence[Place]) -> Iterator[str]:
    """Lines that tell of the NEAREST test sentences of each place, by the model in a finished run's folder."""
    data = load_annotated(recipe)
    encoded, rows = Encoded(recipe.model, recipe, data), official_rows(data).test
    model = load_model(EmotionVAEModel, folder / "model", "textvae emotion")
    for one in nearest_sentences(model, encoded.embed(model, rows), data, rows, places, NEAREST):
        yield "nearest to valence {:g}, arousal {:g} (rated: valence, arousal)".format(*one["place"])
        for sentence in one["sentences"]:
            yield "{:.2f}\t{:.2f}\t{}".format(*sentence["rated"], sentence["text"])
