"""Figures against worked cases, brute force, numpy and scipy."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from textvae.modeling_digit_autoencoder import DigitAutoencoderConfig, DigitAutoencoderModel
from textvae.training.digits import few
from textvae.training.digits.classifier import fit, jitter, logits_of, new_classifier
from textvae.training.digits.data import Digits, load_digits
from textvae.training.digits.evaluate import (
    nearest_distances,
    real_images,
    reconstruction_figures,
    sample_figures,
    vae_figures,
)
from textvae.training.digits.pictures import png
from textvae.training.digits.recipe import AutoencoderRecipe, DigitsRecipe

RECIPE = DigitsRecipe(
    name="tiny",
    main="points",
    models={"points": AutoencoderRecipe(prior_components=1)},
    few_labels=4,
    subsets=3,
    few_steps=3,
)

ARMS = ("duplicate", "neighbours", "interpolations", "jitter", "jitter_and_neighbours")
GAINS = (0.0, 0.02, 0.04, 0.06, 0.1)


@pytest.fixture(scope="module")
def digits(digits_folder):
    return load_digits(str(digits_folder), 100)


def model(**changes) -> DigitAutoencoderModel:
    torch.manual_seed(0)
    settings = {"image_size": 8, "channels": (4, 6), "hidden_size": 16, "latent_size": 3}
    return DigitAutoencoderModel(DigitAutoencoderConfig(**(settings | changes))).eval()


def test_errors_by_latent_size_and_those_of_principal_components(digits):
    settings = {
        "small": AutoencoderRecipe(latent_size=2),
        "large": AutoencoderRecipe(latent_size=3),
        "noisy": AutoencoderRecipe(latent_size=3, noise=0.2),
        "vae": AutoencoderRecipe(latent_size=3, variational=True),
    }
    recipe = dataclasses.replace(RECIPE, models=settings | RECIPE.models)
    models = {name: model(latent_size=one.latent_size, variational=one.variational) for name, one in settings.items()}
    figures = reconstruction_figures(models, recipe, digits.train, digits.test)
    clean = digits.test.pixels()
    for size, name in ((2, "small"), (3, "large")):
        wanted = (models[name](clean).reconstruction - clean).square().mean().item()
        assert figures[f"mse_latent_{size}"] == pytest.approx(wanted, rel=1e-4)
        train, test = digits.train.pixels().flatten(1).double().numpy(), clean.flatten(1).double().numpy()
        directions = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:size]
        rest = (test - train.mean(0)) @ (np.eye(64) - directions.T @ directions)
        assert figures[f"pca_mse_latent_{size}"] == pytest.approx(np.square(rest).mean(), rel=1e-3)
    # The noisy model has the weights of `large` here, so that both give the same.
    assert figures["denoised_mse_noisy"] == figures["denoised_mse_noisy_by_large"]
    assert 0.02 < figures["noisy_mse_noisy"] < 0.04  # 0.2 squared, less what black and white cut off
    assert {"vae_loss_latent_3", "vae_nll_latent_3", "vae_kl_latent_3"} <= figures.keys()


def test_the_loss_of_a_vae_is_its_mean_over_images_and_draws(digits):
    vae = model(variational=True)
    figures = vae_figures(vae, digits.test, 0)
    assert figures["vae_loss"] == pytest.approx(figures["vae_nll"] + figures["vae_kl"])
    clean = digits.test.pixels()
    draws = torch.stack([vae(clean).nll + vae(clean).kl for _ in range(40)]).detach()
    assert figures["vae_loss"] == pytest.approx(draws.mean().item(), rel=1e-3)
    assert figures["vae_kl"] == pytest.approx(vae(clean).kl.mean().item(), rel=1e-5)
    assert figures["vae_loss_standard_error"] == pytest.approx(stats.sem(draws.mean(0).numpy()), rel=0.02)
    assert vae_figures(vae, digits.test, 0) == figures


def test_distances_to_the_nearest_training_image(digits):
    images = digits.test.pixels()[:7]
    train = digits.train.pixels()
    wanted = [min((image - other).square().sum().sqrt().item() for other in train) for image in images]
    assert nearest_distances(images, digits.train).tolist() == pytest.approx(wanted, rel=1e-4)
    many = Digits(torch.cat([digits.train.images, digits.train.images[:1].expand(6000, 1, 8, 8)]), torch.zeros(6300))
    assert nearest_distances(images, many).tolist() == pytest.approx(wanted, rel=1e-4)  # in several parts
    assert nearest_distances(train[:3], digits.train).tolist() == pytest.approx([0, 0, 0], abs=1e-2)


def test_what_a_judge_says_of_images(digits):
    class Judge(torch.nn.Linear):
        """Sure of images with a bright corner, and of class 2 for them; of class 0, and unsure, for the others."""

        def forward(self, images):
            bright = images[:, 0, 0, 0] > 0.5
            return torch.where(bright[:, None], torch.tensor([0.0, 0.0, 9.0]), torch.tensor([0.5, 0.0, 0.0]))

    images = torch.zeros(10, 1, 8, 8)
    images[:3, 0, 0, 0] = 1
    found = sample_figures(images, Judge(1, 1), digits.train)
    assert found["accepted_share"] == pytest.approx(0.3)
    assert [found[f"class_{label}_share"] for label in range(3)] == pytest.approx([0.7, 0, 0.3])
    assert (found["rarest_class_share"], found["largest_class_share"]) == pytest.approx((0, 0.7))


def test_real_images_come_from_all_over_the_test_part():
    test = Digits(torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1), torch.zeros(100))

    def rows(samples, seed=0):
        recipe = dataclasses.replace(RECIPE, samples=samples, seed=seed)
        return (255 * real_images(test, recipe)).round().flatten().int().tolist()

    some = rows(40)
    assert len(set(some)) == 40
    assert 30 < sum(some) / 40 < 70
    assert some == rows(40)
    assert some != rows(40, seed=1)
    assert sorted(rows(1000)) == list(range(100))


def test_jitter_moves_a_little_and_no_two_images_alike():
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1
    moved = jitter(images, torch.Generator().manual_seed(0))
    assert (float(moved.min()), float(moved.max())) == pytest.approx((0, 1), abs=0.05)
    places = (moved * torch.arange(28.0)).sum((1, 2, 3)) / moved.sum((1, 2, 3)) - 13.5
    assert places.abs().max() < 0.07 * 28 / 0.9 + 0.2  # a zoom by 0.9 moves farther, too
    assert abs(places.mean()) < 0.3
    assert len(set(places.tolist())) > 190
    assert torch.equal(moved, jitter(images, torch.Generator().manual_seed(0)))


def test_budgets_have_equal_numbers_and_differ(digits):
    drawn = few.budgets(digits.train, RECIPE, 3)
    assert len(drawn) == 3
    for rows in drawn:
        assert torch.bincount(digits.train.labels[rows]).tolist() == [4, 4, 4]
        assert len(set(rows.tolist())) == 12
    assert set(drawn[0].tolist()) != set(drawn[1].tolist())


def test_features_of_few_labels(digits):
    figures = few.features(model(), RECIPE, digits.train, digits.test)
    for kind in ("code", "pca", "pixels"):
        assert figures[f"{kind}_accuracy_few"] > 0.9  # of the untrained model's codes, too
    assert figures["pixels_accuracy_all"] == 1  # blocks are told apart by single pixels
    # Without the labels of their images no features tell a thing.
    mixed = Digits(digits.train.images, digits.train.labels[torch.randperm(len(digits.train))])
    found = few.features(model(), RECIPE, mixed, digits.test)
    assert max(found[f"{kind}_accuracy_few"] for kind in ("code", "pca", "pixels")) < 0.6


@pytest.fixture
def trained(monkeypatch):
    """Runs `augmentation` without training; (arm, subset) → the images that its classifier was to learn from."""

    def run(autoencoder, recipe, digits, test, accuracies=None):
        parts = []
        right = None if accuracies is None else iter([rows[arm] for rows in accuracies for arm in ARMS])

        def logits_of(_, images):
            """Right for the first test images, as many as the accuracy says."""
            share = 0 if right is None else next(right)
            said = torch.where(torch.arange(len(images)) < round(share * len(images)), test.labels, test.labels + 1)
            return torch.nn.functional.one_hot(said, 12)

        monkeypatch.setattr(few, "fit", lambda classifier, part, *_: parts.append(part))
        monkeypatch.setattr(few, "logits_of", logits_of)
        figures = few.augmentation(autoencoder, recipe, digits, test)
        return {(arm, subset): parts[subset * len(ARMS) + place] for place, arm in enumerate(ARMS)
                for subset in range(recipe.subsets)}, figures  # fmt: skip

    return run


def test_arms_keep_the_labelled_images_and_make_others_of_their_class(digits, trained):
    autoencoder = model()
    parts, _ = trained(autoencoder, RECIPE, digits, digits.test)
    again, _ = trained(autoencoder, RECIPE, digits, digits.test)
    drawn = few.budgets(digits.train, RECIPE, 3)
    for subset, rows in enumerate(drawn):
        labelled = digits.train.take(rows)
        for name in ("duplicate", "jitter"):
            assert torch.equal(parts[name, subset].images, labelled.images)
            assert torch.equal(parts[name, subset].labels, labelled.labels)
        for name in ("neighbours", "interpolations", "jitter_and_neighbours"):
            made = parts[name, subset]
            assert len(made) == (1 + few.COPIES) * len(labelled)
            assert torch.equal(made.images[: len(labelled)], labelled.images)
            assert torch.equal(made.labels, labelled.labels.repeat(1 + few.COPIES))
            assert torch.equal(made.images, again[name, subset].images)
        assert parts["jitter_and_neighbours", subset] is parts["neighbours", subset]


def test_what_is_made_of_the_same_images_differs_by_subset(digits, trained):
    """Two images of each of three classes have eight orders, so that two of nine subsets are one."""
    recipe = dataclasses.replace(RECIPE, few_labels=2, subsets=9)
    pairs = digits.train.take(few.budgets(digits.train, recipe, 3)[0])
    parts, _ = trained(model(), recipe, dataclasses.replace(digits, train=pairs), digits.test)
    alike = [
        (one, other)
        for one, other in itertools.combinations(range(9), 2)
        if torch.equal(parts["duplicate", one].images, parts["duplicate", other].images)
    ]
    assert alike
    for (one, other), name in itertools.product(alike, ("neighbours", "interpolations")):
        assert not torch.equal(parts[name, one].images, parts[name, other].images)


def test_between_images_that_are_one_lies_nothing(digits, trained):
    autoencoder = model()
    labelled = digits.train.take(few.budgets(digits.train, RECIPE, 3)[0])
    same = Digits(labelled.images[::4].repeat_interleave(4, 0), labelled.labels)
    parts, _ = trained(autoencoder, RECIPE, dataclasses.replace(digits, train=same), digits.test)
    found = parts["interpolations", 0]
    seen = Digits(found.images[: len(same)], found.labels[: len(same)])
    rebuilt = (255 * autoencoder(seen.pixels()).reconstruction).round().to(torch.uint8).repeat(few.COPIES, 1, 1, 1)
    assert (found.images[len(same) :].int() - rebuilt.int()).abs().max() <= 1


def test_no_image_is_mixed_with_itself(digits, trained, monkeypatch):
    """An image of one grey has that for its code here."""
    decoded = []
    monkeypatch.setattr(few, "codes", lambda _, images: images[:, 0, 0, :1].float())
    stub = SimpleNamespace(
        device="cpu",
        decode=lambda latents: decoded.append(latents) or latents.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clamp(0, 1),
    )
    greys = torch.tensor([0, 80, 10, 90], dtype=torch.uint8).view(4, 1, 1, 1).expand(-1, 1, 4, 4)
    both = dataclasses.replace(digits, train=Digits(greys, torch.tensor([0, 0, 1, 1])), label_names=["a", "b"])
    parts, _ = trained(stub, dataclasses.replace(RECIPE, few_labels=2, subsets=5), both, digits.test)
    shares = []
    for subset, latents in enumerate(decoded[1::2]):  # neighbours come first
        start = parts["interpolations", subset].images[:4, 0, 0, :1].float()
        shares.append((latents.view(few.COPIES, 4, 1) - start) / (start[[1, 0, 3, 2]] - start))
    assert 0 < torch.stack(shares).min() < 0.1 < 0.4 < torch.stack(shares).max() < 0.5


def test_arms_are_compared_subset_by_subset(digits, trained):
    """Some subsets are easier than others for all arms: a difference is surer than the two that it is of."""
    random = np.random.default_rng(0)
    accuracies = [
        {arm: round(easy + gain + random.choice([-0.01, 0, 0.01]), 2) for arm, gain in zip(ARMS, GAINS, strict=True)}
        for easy in (0.3, 0.7, 0.5, 0.4)
    ]
    _, figures = trained(model(), dataclasses.replace(RECIPE, subsets=4), digits, digits.test, accuracies)
    by_arm = {arm: np.array([rows[arm] for rows in accuracies]) for arm in ARMS}

    def told(name):
        return tuple(figures[f"{name}{end}"] for end in ("", "_low", "_high"))

    for arm, values in by_arm.items():
        ends = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
        assert told(f"augment_accuracy_{arm}") == pytest.approx((values.mean(), *ends))
    assert "augment_lift_jitter_over_jitter" not in figures
    for arm, other in itertools.product(ARMS, ("duplicate", "jitter")):
        if arm in ("duplicate", other):
            continue
        found = told(f"augment_lift_{arm}_over_{other}")
        paired = stats.ttest_rel(by_arm[arm], by_arm[other]).confidence_interval()
        lift = 100 * (by_arm[arm] - by_arm[other]).mean()
        assert found == pytest.approx((lift, 100 * paired.low, 100 * paired.high), abs=1e-4)
        apart = stats.ttest_ind(by_arm[arm], by_arm[other]).confidence_interval()
        assert found[2] - found[1] < 10 * (apart.high - apart.low)  # a tenth of it, in points


def test_augmentation_gives_the_same_figures_again(digits):
    figures = few.augmentation(model(), RECIPE, digits, digits.test)
    assert figures == few.augmentation(model(), RECIPE, digits, digits.test)


def test_a_small_classifier_learns_blocks_alike_every_time(digits):
    part = Digits(digits.train.images[:60], digits.train.labels[:60])
    fitted = [fit(new_classifier(digits, 0), part, 40, 16, torch.Generator().manual_seed(1)) for _ in range(2)]
    found = [logits_of(one, digits.test.images) for one in fitted]
    assert torch.equal(*found)
    assert (found[0].argmax(1) == digits.test.labels).float().mean() > 0.9


def test_a_grid_shows_every_pixel(tmp_path):
    import io

    from PIL import Image

    rows = [torch.rand(3, 1, 8, 8), torch.rand(2, 1, 8, 8)]
    picture = np.asarray(Image.open(io.BytesIO(png(rows))))
    assert picture.shape == (2 * 58 - 2, 3 * 58 - 2)
    shown = picture[58 : 58 + 56, 58 : 58 + 56][3::7, 3::7]
    assert np.array_equal(shown, (255 * rows[1][1, 0]).round().to(torch.uint8).numpy())
