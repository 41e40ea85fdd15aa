"""What a trained code is good for where few digits have labels: as features, and to make more images of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from textvae.modeling_digit_autoencoder.modeling_digit_autoencoder import DigitAutoencoderModel

from ..common.intervals import paired_interval
from ..common.progress import bar
from .classifier import fit, logits_of, new_classifier
from .data import Digits, Splits
from .loop import keyed
from .passes import codes
from .recipe import DigitsRecipe

COPIES = 9  # made images for each labelled one
NEIGHBOUR_SHARE = 0.3  # of a code's deviation over the training images, added as noise
BATCH = 32


def budgets(digits: Digits, recipe: DigitsRecipe, classes: int) -> list[Tensor]:
    """The labelled rows of each subset: `few_labels` of every class."""
    drawn = []
    for subset in range(recipe.subsets):
        order = torch.randperm(len(digits), generator=keyed(recipe.seed, 6, subset))
        rows = [order[digits.labels[order] == label][: recipe.few_labels] for label in range(classes)]
        drawn.append(torch.cat(rows))
    return drawn


def features(model: DigitAutoencoderModel, recipe: DigitsRecipe, train: Digits, test: Digits) -> dict[str, float]:
    """Test accuracy of a logistic regression on the code, on as many principal components, and on the pixels."""
    flat = {name: part.pixels().flatten(1).numpy() for name, part in (("train", train), ("test", test))}
    pca = PCA(model.config.latent_size, random_state=recipe.seed).fit(flat["train"])
    kinds = {
        "code": (codes(model, train.images).numpy(), codes(model, test.images).numpy()),
        "pca": (pca.transform(flat["train"]), pca.transform(flat["test"])),
        "pixels": (flat["train"], flat["test"]),
    }
    drawn = budgets(train, recipe, int(train.labels.max()) + 1)
    figures: dict[str, float] = {}
    for kind, (seen, held_out) in kinds.items():
        if kind != "pixels":
            scaler = StandardScaler().fit(seen)  # no label is needed for that
            seen, held_out = scaler.transform(seen), scaler.transform(held_out)
        figures |= _interval(
            [_accuracy(seen[rows], train.labels[rows], held_out, test.labels) for rows in drawn], f"{kind}_accuracy_few"
        )
        figures[f"{kind}_accuracy_all"] = _accuracy(seen, train.labels, held_out, test.labels)
    return figures


def _accuracy(seen: np.ndarray, labels: Tensor, held_out: np.ndarray, wanted: Tensor) -> float:
    regression = LogisticRegression(max_iter=5000).fit(seen, labels.numpy())
    return float((regression.predict(held_out) == wanted.numpy()).mean())


def augmentation(model: DigitAutoencoderModel, recipe: DigitsRecipe, digits: Splits, test: Digits) -> dict[str, float]:
    """Accuracies on `test` of a small classifier trained on few images, and on these with made ones beside them.

    The arms of a subset share labelled images, initial weights and number of steps: `duplicate` is the images alone.
    Differences are paired, in points, with 95 % t intervals over subsets. The autoencoder has seen all training images,
    without labels.
    """
    arms = _arms(model, codes(model, digits.train.images).std(0), recipe.seed)
    found: dict[str, list[float]] = {name: [] for name in (*arms, "jitter", "jitter_and_neighbours")}
    drawn = budgets(digits.train, recipe, len(digits.label_names))
    with bar(total=len(drawn) * len(found), label="few labels", unit="classifier") as progress:
        for subset, rows in enumerate(drawn):
            few = digits.train.take(rows)
            made = {name: arm(few, subset) for name, arm in arms.items()}
            for name in found:
                jittered = name.startswith("jitter")
                part = made.get(name, made["neighbours"] if name == "jitter_and_neighbours" else few)
                classifier = new_classifier(digits, recipe.seed + subset)
                fit(classifier, part, recipe.few_steps, BATCH, keyed(recipe.seed, 7, subset), jittered)
                right = logits_of(classifier, test.images).argmax(1) == test.labels
                found[name].append(right.float().mean().item())
                progress.update(1)
    figures: dict[str, float] = {}
    for name, accuracies in found.items():
        figures |= _interval(accuracies, f"augment_accuracy_{name}")
        for other in ("duplicate", "jitter"):
            if name not in ("duplicate", other):
                pairs = zip(accuracies, found[other], strict=True)
                figures |= _interval([100 * (one - two) for one, two in pairs], f"augment_lift_{name}_over_{other}")
    return figures


def _arms(model: DigitAutoencoderModel, deviation: Tensor, seed: int) -> dict[str, Callable[[Digits, int], Digits]]:
    def decoded(few: Digits, latents: Tensor, labels: Tensor) -> Digits:
        with torch.inference_mode():
            images = (255 * model.decode(latents.to(model.device))).round().to(torch.uint8).cpu()
        return Digits(torch.cat([few.images, images]), torch.cat([few.labels, labels]))

    def neighbours(few: Digits, subset: int) -> Digits:
        start = codes(model, few.images).repeat(COPIES, 1)
        noise = torch.randn(start.shape, generator=keyed(seed, 8, subset))
        return decoded(few, start + NEIGHBOUR_SHARE * deviation * noise, few.labels.repeat(COPIES))

    def interpolations(few: Digits, subset: int) -> Digits:
        """Each image on its way to others of its class, at a random share of at most a half."""
        generator, start = keyed(seed, 9, subset), codes(model, few.images)
        found, others = [], ~torch.eye(len(few), dtype=torch.bool)
        for _ in range(COPIES):
            order = torch.randperm(len(few), generator=generator)
            suits = (few.labels[:, None] == few.labels[None]) & others
            partner = order[suits[:, order].float().argmax(1)]  # the first other of its class in a random order
            share = torch.rand(len(few), 1, generator=generator) / 2
            found.append(start + share * (start[partner] - start))
        return decoded(few, torch.cat(found), few.labels.repeat(COPIES))

    return {"duplicate": lambda few, subset: few, "neighbours": neighbours, "interpolations": interpolations}


def _interval(values: list[float], name: str) -> dict[str, float]:
    found = paired_interval(values)
    assert found.mean is not None
    assert found.low is not None
    assert found.high is not None
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
