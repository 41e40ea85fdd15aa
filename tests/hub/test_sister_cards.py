"""The cards of the sister systems: every number stands in a results file of the run, of these very weights."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from card_numbers import leaves, untraced

from textvae.hub_cards.layouts import layout_of
from textvae.training.common.errors import UserError
from textvae.training.common.intervals import wilson_interval
from textvae.training.lstm.data import TRICKY

# What is on the cards of `evaluation.json`, so that none can be written without it.
ON_CARDS = {
    "lstm": {
        "parameters", "recurrent_parameters", "steps", "tokens", "seconds", "temperature", "weights", "test", "tricky",
    },
    "digits": {
        "train_images", "validation_images", "test_images", "judge_accuracy", "accepted_share_real",
        "nearest_distance_real", "mse_latent_4", "pca_mse_latent_4", "noisy_mse_denoising", "denoised_mse_denoising",
        "weights_ae_4", "weights_denoising", "weights_vae_3",
        *(f"vae_{figure}_latent_3" for figure in ("loss", "loss_standard_error", "nll", "kl", "mse")),
        *(f"{figure}_{model}" for model in ("ae_4", "vae_3") for figure in (
            "accepted_share", "rarest_class_share", "largest_class_share", "nearest_distance")),
    },
    "emotion": {
        "weights_sha256",
        *(f"{figure}_{name}" for name in ("valence", "arousal") for figure in (
            "r", "r_std", "nll", "coverage", "official_r", "official_r_std", "official_nll", "official_coverage")),
        *(f"{figure}_{name}_sd" for name in ("valence", "arousal") for figure in ("r", "r_std", "nll")),
    },
}  # fmt: skip


@pytest.fixture(params=["lstm", "digits", "emotion"])
def run(request, tmp_path):
    return shutil.copytree(request.getfixturevalue(f"{request.param}_run"), tmp_path / "run")


def cards(run, staging) -> dict[str, str]:
    shutil.rmtree(staging, ignore_errors=True)
    return {repo.id: (repo.folder / "README.md").read_text() for repo in layout_of(run, "org", staging).all()}


def measured(run) -> list:
    found = [value for path in run.rglob("*.json") for value in leaves(json.loads(path.read_text()))]
    figures = json.loads((run / "evaluation.json").read_text())
    if "test" in figures:  # an LSTM's
        reviews = TRICKY.read_text()
        test, tricky = figures["test"], figures["tricky"]
        found += [*wilson_interval(test["accuracy"], test["rows"]), reviews]
        found += wilson_interval(tricky["pairs_solved"], tricky["pairs"]) if tricky else ()
    return found


def test_every_number_stands_in_a_results_file(run, tmp_path):
    values = measured(run)
    for name, card in cards(run, tmp_path / "staging").items():
        assert not untraced(card, name, values), name


def test_a_figure_that_is_gone_is_an_error_never_a_blank(run, tmp_path):
    before = cards(run, tmp_path / "staging")
    file = run / "evaluation.json"
    whole = json.loads(file.read_text())
    missed = {}
    for key in whole:
        file.write_text(json.dumps({name: value for name, value in whole.items() if name != key}))
        try:
            after = cards(run, tmp_path / "staging")
        except UserError as error:
            missed[key] = str(error)
        else:
            assert [re.sub("v-[0-9a-f]{12}", "", card) for card in after.values()] == [
                re.sub("v-[0-9a-f]{12}", "", card) for card in before.values()
            ], key
    assert ON_CARDS[json.loads((run / "run.json").read_text())["system"]] <= missed.keys()
    assert all("evaluation.json" in error for error in missed.values())


def test_figures_of_other_weights_are_not_published(run, tmp_path):
    weights = next(run.rglob("model/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match="figures are not of"):
        cards(run, tmp_path / "staging")
