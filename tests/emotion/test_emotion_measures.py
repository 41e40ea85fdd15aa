"""Figures against scipy and worked cases."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from textvae.modeling_emotion_vae.outputs import EmotionVAEOutput
from textvae.training.emotion.calibration import fit_calibration
from textvae.training.emotion.data import AnnotatedTexts
from textvae.training.emotion.measures import Predictions, measure, reliability, spread_ratios, summary
from textvae.training.emotion.objective import TERMS, beta, discrepancy, objective
from textvae.training.emotion.recipe import EmotionModelRecipe, EmotionRecipe


def annotated(ratings, deviations):
    return AnnotatedTexts(["x"] * len(ratings), ratings, deviations, None, np.array(["train"] * len(ratings)), None)


def test_figures_are_those_of_scipy(random):
    ratings, deviations = random.normal(3, 0.5, (50, 2)), random.uniform(0, 1, (50, 2))
    said = Predictions(random.normal(3, 0.5, (30, 2)), random.uniform(0.1, 1, (30, 2)), random.uniform(0.2, 1, (30, 2)))
    rows = np.arange(20, 50)
    figures = measure(said, annotated(ratings, deviations), rows)
    for index, name in enumerate(("valence", "arousal")):
        truth, mean, width = ratings[rows, index], said.mean[:, index], said.mean_deviation[:, index]
        assert figures[f"r_{name}"] == pytest.approx(stats.pearsonr(truth, mean)[0])
        assert figures[f"nll_{name}"] == pytest.approx(-stats.norm.logpdf(truth, mean, width).mean())
        low, high = stats.norm.interval(0.9, mean, width)
        assert figures[f"coverage_{name}"] == ((low <= truth) & (truth <= high)).mean()
        assert figures[f"r_std_{name}"] == pytest.approx(
            stats.pearsonr(said.rater_deviation[:, index], deviations[rows, index])[0]
        )


def test_what_is_not_rated_has_no_figure(random):
    ratings = np.stack([random.normal(3, 0.5, 20), np.full(20, np.nan)], axis=1)
    said = Predictions(ratings + 0.1, np.full((20, 2), 0.3), np.full((20, 2), 0.3))
    figures = measure(said, annotated(ratings, np.full((20, 2), 0.2)), np.arange(20))
    assert figures["r_valence"] == pytest.approx(1.0)
    assert figures["r_std_valence"] is None  # neither side varies
    assert {figures[f"{key}_arousal"] for key in ("r", "nll", "coverage", "r_std")} == {None}
    both = summary([figures, {**figures, "r_valence": 0.5}])
    assert both["r_valence"] == pytest.approx(0.75)
    assert both["r_valence_sd"] == pytest.approx(np.std([1.0, 0.5], ddof=1))
    assert both["r_arousal"] is both["r_arousal_sd"] is None


def test_the_size_of_deviations_is_a_ratio_of_means():
    deviations = np.array([[0.0, 0.3], [0.2, 0.3], [0.4, 0.3], [9.0, 9.0]])
    record = {"rows": [2, 0, 1], "predictions": {"rater_deviation": [[0.5, 0.2], [0.1, 0.2], [0.3, 0.2]]}}
    found = spread_ratios(record, annotated(np.full((4, 2), 3.0), deviations))
    assert found == {"spread_ratio_valence": pytest.approx(1.5), "spread_ratio_arousal": pytest.approx(2 / 3)}
    masked = np.array([[3.0, np.nan]] * 4)
    record["predictions"]["rater_deviation"] = [[0.5, None], [0.1, None], [0.3, None]]
    found = spread_ratios(record, annotated(masked, np.where(np.isnan(masked), np.nan, deviations)))
    assert found == {"spread_ratio_valence": pytest.approx(1.5), "spread_ratio_arousal": None}
    assert spread_ratios(record, annotated(masked, np.zeros((4, 2))))["spread_ratio_valence"] is None


def test_reliability_of_a_true_normal_is_the_diagonal(random):
    truth = random.normal(0, 2.0, 20000)
    for level, share in reliability(truth, np.zeros(20000), np.full(20000, 2.0)):
        assert share == pytest.approx(level, abs=0.015)


def test_calibration_finds_scale_and_slope(random):
    logs = random.uniform(-2, 2, 40000)
    residuals = random.normal(0, np.exp(0.5 * (0.7 + 0.5 * logs)))
    assert fit_calibration(residuals, logs) == pytest.approx((0.7, 0.5), abs=0.04)
    offset, slope = fit_calibration(random.normal(0, np.exp(-0.5 * logs)), logs)  # certain where it should not be
    assert slope == 0.0
    assert np.isfinite(offset)


def test_discrepancy_is_zero_for_one_distribution_and_has_a_gradient():
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 2, 400, 2, generator=generator)
    same = discrepancy(one, other)
    assert same.shape == (2,)
    assert same.abs().max() < 0.01
    shifted = (other + 1.0).requires_grad_()
    far = discrepancy(one, shifted)
    assert far.min() > 0.1
    far.sum().backward()
    assert shifted.grad.isfinite().all()
    points, more = torch.randn(1, 3, 2, generator=generator), torch.randn(1, 3, 2, generator=generator)

    def kernel(a, b):
        return float(torch.exp(-(a - b).square().sum() / 4))

    within = sum(kernel(s[i], s[j]) for s in (points[0], more[0]) for i in range(3) for j in range(3) if i != j) / 6
    between = sum(kernel(points[0, i], more[0, j]) for i in range(3) for j in range(3)) / 9
    assert float(discrepancy(points, more)) == pytest.approx(within - 2 * between, abs=1e-6)


def test_beta_rises_on_a_line():
    recipe = EmotionModelRecipe(beta=0.2, anneal_share=0.5)
    assert [beta(recipe, step, 100) for step in (0, 25, 50, 99)] == pytest.approx([0.0, 0.1, 0.2, 0.2])
    assert beta(EmotionModelRecipe(beta=0.2, anneal_share=0.0), 0, 100) == 0.2


@pytest.mark.parametrize(
    ("kind", "wrong", "name"),
    [
        (EmotionModelRecipe, {"epochs": 0}, "epochs"),
        (EmotionModelRecipe, {"hidden_skip_share": 1.5}, "hidden_skip_share"),
        (EmotionModelRecipe, {"beta": -1.0}, "beta"),
        (EmotionModelRecipe, {"learning_rate": 0.0}, "learning_rate"),
        (EmotionModelRecipe, {"mmd_weight": 1.0, "prior_components": 3}, "mmd_weight"),
        (EmotionModelRecipe, {"trainable_encoder_layers": -2}, "trainable_encoder_layers"),
        (EmotionRecipe, {"name": "x", "folds": 1}, "folds"),
        (EmotionRecipe, {"name": "x", "calibration_share": 1.0}, "calibration_share"),
        (EmotionRecipe, {"name": "x", "lowest_rating": 6.0}, "lowest_rating"),
        (EmotionRecipe, {"name": "x", "min_deviation": 0.0}, "min_deviation"),
    ],
)
def test_an_impossible_recipe_names_the_field(kind, wrong, name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        kind(**wrong)


def test_a_batch_of_one_text_has_a_loss():
    recipe = EmotionModelRecipe(mmd_weight=1.0)
    terms = dict.fromkeys(TERMS, torch.ones(2, 1))
    alone = objective(EmotionVAEOutput(**terms, latents=torch.ones(2, 1, 2)), torch.ones(2, 1, 2), 0.1, recipe)
    without = objective(
        EmotionVAEOutput(**terms), torch.ones(2, 1, 2), 0.1, dataclasses.replace(recipe, mmd_weight=0.0)
    )
    assert float(alone) == float(without) > 0


def test_the_objective_of_a_worked_case():
    """Two networks on two texts; the kernel of two latents is exp(−squared distance ÷ 4)."""
    recipe = EmotionModelRecipe(
        reconstruction_weight=1.0, mean_weight=0.5, deviation_weight=0.3, nll_weight=0.15, mmd_weight=2.0
    )
    values = {"reconstruction": 1.0, "kl": 2.0, "mean_error": 3.0, "deviation_error": 5.0, "nll": 7.0}
    terms = {name: torch.tensor([[0.0, 2.0], [1.0, 5.0]]) * value for name, value in values.items()}  # means 1 and 3
    latents = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])
    prior = torch.tensor([[0.0, 0.0], [0.0, 2.0]]).expand(2, -1, -1)
    one = math.exp(-1)
    apart = 2 * one - 2 * (1 + 2 * one + one**2) / 4
    same = 2 * one - 2 * (2 + 2 * one) / 4
    weighed = 1.0 * 1 + 0.1 * 2 + 0.5 * 3 + 0.3 * 5 + 0.15 * 7
    found = objective(EmotionVAEOutput(**terms, latents=latents), prior, 0.1, recipe)
    assert float(found) == pytest.approx((1 + 3) * weighed + 2.0 * (apart + same), abs=1e-4)
