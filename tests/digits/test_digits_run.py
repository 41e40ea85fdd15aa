"""A whole tiny recipe, through the command."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from textvae import cli
from textvae.training.common.files import read_json


@pytest.fixture(scope="module")
def finished(digits_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(
        f"dataset: {digits_folder}\nvalidation_images: 100\nmain: points\nepochs: 1\njudge_epochs: 2\nsamples: 40\n"
        "few_labels: 5\nsubsets: 3\nfew_steps: 5\nmodels:\n"
        "  points: {latent_size: 3, channels: [4, 6], hidden_size: 16, prior_components: 3}\n"
        "  flat: {latent_size: 2, channels: [4, 6], hidden_size: 16}\n"
        "  vae: {latent_size: 4, channels: [4, 6], hidden_size: 16, variational: true}\n"
        "  denoising: {latent_size: 3, channels: [4, 6], hidden_size: 16, noise: 0.2}\n"
    )
    assert cli.main(["digits", str(folder / "tiny.yaml"), "--output", str(folder / "run")]) == 0
    return folder


def test_the_figures_are_flat_and_whole(finished):
    figures = read_json(finished / "run" / "evaluation.json")
    wanted = {
        "mse_latent_2", "mse_latent_3", "pca_mse_latent_2", "pca_mse_latent_3", "vae_loss_latent_4", "accepted_share",
        "accepted_share_real", "accepted_share_vae", "rarest_class_share", "largest_class_share", "nearest_distance",
        "nearest_distance_real", "judge_accuracy", "judge_seed", "code_accuracy_few", "augment_accuracy_duplicate",
        "denoised_mse_denoising", "denoised_mse_denoising_by_points", "train_minutes_points", "seed", "command",
        "hardware", "versions",
    }  # fmt: skip
    assert wanted <= figures.keys()
    assert figures["accepted_share"] == figures["accepted_share_points"]
    numbers = [value for value in figures.values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()


def test_pictures_are_there(finished):
    folder = finished / "run" / "pictures"
    every = ("points", "flat", "vae", "denoising")
    kinds = {"reconstructions": every, "interpolations": every, "generated": ("points", "vae"), "plane": ("flat",)}
    names = {f"{kind}_{name}.png" for kind, models in kinds.items() for name in models}
    names |= {f"{kind}_{name}.svg" for kind in ("latent_map", "loss") for name in every}
    assert {path.name for path in folder.iterdir()} == names
    maps = {name: (folder / f"latent_map_{name}.svg").read_text(encoding="utf-8") for name in every}
    assert ["principal component" in maps[name] for name in every] == [True, False, True, True]
    assert Image.open(folder / "reconstructions_points.png").size == (10 * 58 - 2, 6 * 58 - 2)
    assert Image.open(folder / "reconstructions_denoising.png").size == (10 * 58 - 2, 9 * 58 - 2)


def test_the_report_needs_nothing_beside_it(finished):
    page = (finished / "run" / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("data:image/png") == 4 + 4 + 2 + 1
    assert page.count("<svg") == 4 + 4
    assert len(re.findall(r'\bid="', page)) == len(set(re.findall(r'\bid="([^"]+)"', page)))
    assert not re.search(r"\bnan\b", page, flags=re.IGNORECASE)


def test_a_second_run_reuses_everything(finished, capsys):
    before = read_json(finished / "run" / "run.json")["stages"]
    assert cli.main(["digits", str(finished / "tiny.yaml"), "--output", str(finished / "run")]) == 0
    output = capsys.readouterr()
    assert output.out == f"{finished / 'run' / 'report.html'}\n"
    assert output.err.count("reused") == len(before) == 4 * 2 + 3
    assert read_json(finished / "run" / "run.json")["stages"] == before


def test_bad_images_are_one_line(tmp_path, capsys):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(f"dataset: {tmp_path}\nmain: a\nmodels: {{a: {{prior_components: 2}}}}\n")
    assert cli.main(["digits", str(recipe), "--output", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"textvae: error: {tmp_path.name}: no split 'train'")
