"""What a study trains and on which rows: the cells, the label budgets, the oracle's rows and the test rows.

Budgets of one subset are nested: the smaller one is the beginning of the larger.

Rows are ordered by a hash of seed and text, not by their place in a file, so that the same dataset from
another source gives the same study. Budgets are taken from the front of that order and the oracle's further
rows from its back: neither more subsets nor larger oracles change a budget.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import UserError
from ..common.recipe import AugmentRecipe, ClassifierName, ClassifierRecipe, Recipe
from ..common.sources import LabelledTexts
from ..common.text import normalise, role

# Cost of a token read forward, in tokens of a six-layer encoder of 22 million weights; training: thrice that.
# From the seconds of quickstart's cells.
COST_OF_A_TOKEN = {"probe": 1.0, "lstm": 0.03, "bert": 1.0, "setfit": 2.0, "gpt2_lora": 8.0}


# Of generators and classifiers: raised where the code comes to give something else for the same settings and rows, so
# that what an older one gave is not taken for it.
REVISIONS = {"language_model": 3, "rules": 2, "probe": 2, "probe oracle": 2}


# Settings that reach the candidates of some generators; all others reach those of every one.
READ_BY = {
    "vae": (
        "vae_latents", "temperature", "interpolation_share", "prior_top_p", "bank_sentences", "bank_share",
    ),
    "self_training": ("bank_sentences", "bank_share"),
    "rules": ("rule_share",),
    "masked_lm": ("masked_lm", "rule_share"),
    "language_model": (
        "language_model", "language_model_sentences", "language_model_steps", "language_model_top_p",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One training: a classifier on an arm of a size, for a budget, a subset and the number of a seed."""

    classifier: ClassifierName
    arm: str
    size: int
    budget: int
    subset: int
    seed: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Cell:
        """That a row of `results.jsonl` is about."""
        return cls(**{item.name: row[item.name] for item in dataclasses.fields(cls)})

    @property
    def key(self) -> str:
        return f"{self.classifier}-{self.arm}-{self.size}-of{self.budget}-subset{self.subset}-seed{self.seed}"


@dataclass(frozen=True, order=True)
class Growth:
    """What one generator makes of one budget."""

    generator: str
    budget: int
    subset: int


def plan(recipe: Recipe) -> list[Cell]:
    """Every cell of a recipe: subset by subset, so that a study that is stopped has whole ones, the costliest first."""
    main = recipe.study.budget
    cells = [
        Cell(name, arm, size, budget, subset, seed)
        for name, settings in recipe.classifiers.items()
        for budget in (main, *settings.other_budgets)
        for arm, sizes in settings.arms_of(budget, main).items()
        for size in sizes
        for subset in range(settings.fewer_subsets.get(arm, settings.subsets))
        for seed in range(settings.seeds or recipe.study.seeds)
    ]
    return sorted(cells, key=lambda cell: (cell.subset, -cost(cell, recipe.classifiers[cell.classifier])))


def cost(cell: Cell, settings: ClassifierRecipe) -> float:
    """Estimated work of a cell, in tokens read forward by a six-layer encoder of 22 million weights."""
    rows = cell.size  # test rows are read once for all cells of `probe`
    if cell.classifier != "probe":
        rows = settings.test_rows + 3 * settings.steps[cell.size] * settings.batch_size
    return COST_OF_A_TOKEN[cell.classifier] * rows * settings.max_length


def subsets(recipe: Recipe) -> int:
    """Subsets that a study needs: the most that any of its cells runs on."""
    return max((cell.subset + 1 for cell in plan(recipe)), default=0)


def growths(recipe: Recipe) -> dict[Growth, int]:
    """What has to be generated, and the most rows, the budget's included, that are wanted of it."""
    wanted: dict[Growth, int] = {}
    for cell in plan(recipe):
        variant = recipe.variant(cell.arm)
        for name in variant.generators if variant else ():
            place = Growth(name, cell.budget, cell.subset)
            wanted[place] = max(wanted.get(place, 0), rows_of_each(recipe, cell, cell.size))
    published = Growth("vae", recipe.study.budget, 0)
    if published in wanted:
        wanted[published] = max([wanted[published], *recipe.augment.sizes])
    return dict(sorted(wanted.items()))


def rows_of_each(recipe: Recipe, cell: Cell, size: int) -> int:
    """Rows, the budget's included, that `size` rows of a generated arm take from each of its generators."""
    variant = recipe.variant(cell.arm)
    assert variant is not None
    return cell.budget - (cell.budget - size) // len(variant.generators)


def largest_planned(recipe: Recipe, cell: Cell) -> int:
    """The most rows that any classifier has of the cell's arm and budget."""
    arms = (settings.arms_of(cell.budget, recipe.study.budget) for settings in recipe.classifiers.values())
    return max(size for sizes in arms for size in sizes.get(cell.arm, ()))


def generates(recipe: Recipe, generator: str) -> bool:
    return any(growth.generator == generator for growth in growths(recipe))


def banks(recipe: Recipe) -> list[str]:
    """Generators whose rows are put together from a bank of sentences."""
    return ["self_training", "vae"] if recipe.augment.vae_latents == "prior" else ["self_training"]


def generator_models(recipe: Recipe) -> list[str]:
    """Models that reach generated rows, beside the VAE."""
    settings = recipe.augment
    names = [settings.perplexity_model, settings.teacher_model]
    names += [settings.language_model] if generates(recipe, "language_model") else []
    names += [settings.masked_lm] if generates(recipe, "masked_lm") else []
    return [name for name in names if name is not None]


def revision(name: str) -> list[int]:
    """What a fingerprint has beside the inputs of a generator or classifier; nothing for one that was never revised."""
    return [REVISIONS[name]] if name in REVISIONS else []


def filters_asked(recipe: Recipe, generator: str) -> set[str]:
    """Filters of all arms that use a generator: what they read has to be in its table."""
    variants = {name: variant for name, variant in recipe.variants.items() if generator in variant.generators}
    asked = {name for arm in (generator, *variants) for name in recipe.filters(arm)}
    return asked | ({"confidence"} if any(variant.soft_labels for variant in variants.values()) else set())


def own_settings(settings: AugmentRecipe, generator: str) -> AugmentRecipe:
    """Those that reach a generator's rows; the rest is at its default, so that it may change without another growth."""
    others = {name for names in READ_BY.values() for name in names} - set(READ_BY[generator])
    plain = AugmentRecipe()
    oversample = settings.oversample_by_generator.get(generator, settings.oversample)
    return dataclasses.replace(
        settings, oversample=oversample, sizes=plain.sizes, oversample_by_generator={},
        **{name: getattr(plain, name) for name in others},
    )  # fmt: skip


def keeps_model(cell: Cell, recipe: Recipe) -> bool:
    """Whether the trained model is kept: one a classifier, on the largest dataset of the first subset."""
    sizes = recipe.classifiers[cell.classifier].arms.get("vae", ())
    main = cell.arm == "vae" and cell.budget == recipe.study.budget
    return main and cell.size == max(sizes) and cell.subset == cell.seed == 0


def seed_of(seed: int, *names: str | int) -> int:
    """A seed in [0, 2³¹) for one purpose, derived from the recipe's."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def draw_budgets(train: LabelledTexts, recipe: Recipe) -> list[list[int]]:
    """The rows of every subset, as indices into `train`: disjoint, of the recipe's role only.

    A budget of n, and the oracle of size n, are the first n of them.

    Classes take turns, or have the recipe's shares of the budget; what the oracle has beside it makes them equal.

    Raises:
        UserError: a class has fewer rows than the subsets need.
    """
    cells = plan(recipe)
    budget = max((cell.budget for cell in cells), default=recipe.study.budget)
    smallest = min((cell.budget for cell in cells), default=budget)
    oracle = max((cell.size for cell in cells if cell.arm == "oracle"), default=budget)
    labels = _labels(train)
    count, classes = subsets(recipe), len(train.label_names)
    rows = _development(train, recipe, 0) if recipe.study.role == "development" else _pool(train, recipe)
    pools = _by_class(rows, labels, classes)
    turns = [_class_turns(_shares(train, recipe, k), budget, max(budget, oracle)) for k in range(count)]
    for c, (name, pool) in enumerate(zip(train.label_names, pools, strict=True)):
        if not all(c in turn[:smallest] for turn in turns):
            raise UserError(
                f"{train.source.id}: a budget of {smallest} has no row of class '{name}'; raise the budget or the "
                "smallest of 'study.class_shares'"
            )
        if len(pool) < (needed := sum(turn.count(c) for turn in turns)):
            raise UserError(
                f"{train.source.id}: class '{name}' has {len(pool)} {recipe.study.role} rows, fewer than the "
                f"{needed} for {count} subsets of up to {max(budget, oracle)}; lower the budget, "
                "'subsets' or the oracle's sizes"
            )
    front, back = [iter(pool) for pool in pools], [reversed(pool) for pool in pools]
    return [[next((front if i < budget else back)[c]) for i, c in enumerate(turn)] for turn in turns]


def _shares(train: LabelledTexts, recipe: Recipe, subset: int) -> list[float]:
    """Of each class among a subset's budget.

    Raises:
        UserError: the recipe has shares for another number of classes.
    """
    classes, shares = len(train.label_names), recipe.study.class_shares
    if shares is None:
        return [1 / classes] * classes
    if len(shares) != classes:
        raise UserError(
            f"{train.source.id}: it has {classes} classes, 'study.class_shares' {len(shares)}; give one for each"
        )
    return [shares[(c + subset) % classes] for c in range(classes)]


def _class_turns(shares: list[float], budget: int, rows: int) -> list[int]:
    """The class of each of `rows` places: that which lags most behind its share, and from `budget` on the smallest."""
    turns: list[int] = []
    filled = [0] * len(shares)
    for place in range(rows):
        lags = [share * (place + 1) - count for share, count in zip(shares, filled, strict=True)]
        lags = lags if place < budget else [-count for count in filled]
        turns.append(max(range(len(shares)), key=lambda c: round(lags[c], 9)))
        filled[turns[-1]] += 1
    return turns


def draw_test(test: LabelledTexts, train: LabelledTexts, recipe: Recipe) -> list[int]:
    """The fixed test rows, as indices into `test`, classes in turn; a classifier is scored on a prefix.

    Rows whose text stands in the training part are dropped. A recipe of the development role passes its
    training part as `test` too, and gets rows that no budget of it is drawn from.

    Raises:
        UserError: a class has fewer rows than 'test_rows' asks for.
    """
    wanted = max((s.test_rows for s in recipe.classifiers.values()), default=0)
    labels = _labels(test)
    classes = len(test.label_names)
    if recipe.study.role == "development":
        rows = _development(test, recipe, 1)
    else:
        rows = _ordered(test, range(len(test)), recipe.seed, {normalise(text) for text in train.texts})
    pools = _by_class(rows, labels, classes)
    for c, (name, pool) in enumerate(zip(test.label_names, pools, strict=True)):
        if len(pool) < _turns(wanted, c, classes):
            raise UserError(
                f"{test.source.id}: class '{name}' has {len(pool)} test rows that are not training rows too, "
                f"fewer than the {_turns(wanted, c, classes)} asked for; lower 'test_rows'"
            )
    return [pools[i % classes][i // classes] for i in range(wanted)]


def _turns(slots: int, place: int, classes: int) -> int:
    """How many of the first slots fall to a class when classes take turns."""
    return (slots - place + classes - 1) // classes


def _labels(data: LabelledTexts) -> list[int]:
    if data.labels is None:
        raise UserError(f"{data.source.id}: it has no labels; a study needs a labelled dataset as 'study.dataset'")
    return data.labels


def _pool(train: LabelledTexts, recipe: Recipe) -> list[int]:
    wanted = recipe.study.role
    rows = (row for row, text in enumerate(train.texts) if wanted in ("any", role(text)))
    return _ordered(train, rows, recipe.seed)


def _development(train: LabelledTexts, recipe: Recipe, half: int) -> list[int]:
    """Every other row of the development role: one half gives the budgets, the other the test rows."""
    return _pool(train, recipe)[half::2]


def _by_class(rows: list[int], labels: list[int], classes: int) -> list[list[int]]:
    pools: list[list[int]] = [[] for _ in range(classes)]
    for row in rows:
        pools[labels[row]].append(row)
    return pools


def _ordered(data: LabelledTexts, rows: Iterable[int], seed: int, seen: set[str] | None = None) -> list[int]:
    """Rows by the hash of seed and text, each text once, texts already seen left out."""
    seen = set(seen or ())
    found = []
    for row in rows:
        text = normalise(data.texts[row])
        if text not in seen:
            seen.add(text)
            found.append((hashlib.sha256(f"{seed}/{text}".encode()).digest(), row))
    return [row for _, row in sorted(found)]
