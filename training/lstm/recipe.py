"""Recipes of the LSTM family: one training, or several side by side."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..common.errors import UserError
from ..common.recipe import AnyRecipe, Precision
from ..common.recipe_files import build_recipe, read_recipe

SYSTEM = "lstm"
LOG_UNIFORM = ("learning_rate", "weight_decay")  # how a search draws them


@dataclass(frozen=True)
class LstmRecipe(AnyRecipe):
    """One LSTM classifier, trained on all rows of a dataset."""

    system = SYSTEM

    dataset: str = "stanfordnlp/imdb"
    tokenizer: str = "sentence-transformers/all-MiniLM-L6-v2"  # of this model (BERT's)
    precision: Precision = "auto"
    max_length: int = 400  # tokens of a text that are read
    truncation_side: Literal["left", "right"] = "left"  # left: the last ones are, where reviews say what they think

    # What it is
    embedding_size: int = 256
    bigram_buckets: int = 0  # rows of the table of token pairs
    bigram_size: int = 64
    hidden_size: int = 128  # units a direction
    num_hidden_layers: int = 1
    bidirectional: bool = True
    num_attention_heads: int = 0  # of a self-attention layer over the states
    pooling: Literal["max", "mean", "last"] = "max"
    bag_of_embeddings: bool = False  # the classifier reads their sum, too
    initializer_range: float = 0.1  # standard deviation of embeddings at the start
    pretrained_embeddings: bool = False  # those of tokens start as the principal components of the tokenizer's model's

    # What keeps it from learning the reviews by heart
    word_dropout: float = 0.0
    embedding_dropout: float = 0.0
    hidden_dropout: float = 0.0
    variational_dropout: bool = False
    classifier_dropout: float = 0.0
    weight_decay: float = 0.0
    patience: int = 0  # evaluations without a better validation loss that end the training; 0: it goes to its end,
    # and the last weights count, not the best
    temperature_scaling: bool = False  # divide the logits by the temperature that suits the validation rows best

    # How it is trained
    pretraining_epochs: float = 0.0  # of its texts as a language model in both directions, before any label
    pretraining_split: str | None = None  # of the dataset, whose texts this reads beside the training texts
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_share: float = 0.05  # of the steps; then it falls linearly to 0
    epochs: float = 5.0
    evaluations: int = 10  # on the validation rows, evenly spread over the training; so many checkpoints, too

    def __post_init__(self) -> None:
        for name in ("max_length", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                raise ValueError(f"'{name}' must be at least 1, not {getattr(self, name)}")
        for name in ("word_dropout", "embedding_dropout", "hidden_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"'{name}' must lie in [0, 1), not {getattr(self, name)}")
        for name in ("learning_rate", "epochs"):
            if not getattr(self, name) > 0:
                raise ValueError(f"'{name}' must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "patience", "pretraining_epochs"):
            if getattr(self, name) < 0:
                raise ValueError(f"'{name}' must not be negative: {getattr(self, name)}")

    def reads(self) -> list[str]:
        return [f"datasets/{self.dataset}", f"models/{self.tokenizer}"]


@dataclass(frozen=True)
class Search:
    """A random search (Bergstra and Bengio 2012): each trial draws every field that has a range here."""

    trials: int = 12
    learning_rate: tuple[float, ...] = ()  # lowest and highest; log-uniform
    weight_decay: tuple[float, ...] = ()  # log-uniform
    embedding_dropout: tuple[float, ...] = ()  # uniform, as are the rest
    classifier_dropout: tuple[float, ...] = ()
    word_dropout: tuple[float, ...] = ()

    def ranges(self) -> dict[str, tuple[float, ...]]:
        """Field that is drawn → the ends of its range."""
        return {name: ends for name, ends in vars(self).items() if name != "trials" and ends}


@dataclass(frozen=True)
class Member:
    """A training of a comparison: a recipe, with some fields changed."""

    recipe: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparisonRecipe(AnyRecipe):
    """Trainings side by side, each in a folder of its own."""

    system = SYSTEM

    members: dict[str, Member] = field(default_factory=dict)
    search: Search | None = None  # adds trials, which change the first member
    rivals: bool = False  # beside TF-IDF with logistic regression, the probe and a fine-tuned encoder
    body: str = "sentence-transformers/all-MiniLM-L6-v2"  # of the latter two
    body_tokens: int = 256  # of a text that it reads
    test: bool = False  # score the test rows; otherwise the validation rows alone, to choose by
    # Classifier of another's report → its test accuracy (%) and loss (nats) there, shown beside what is measured here
    reported: dict[str, dict[str, float]] = field(default_factory=dict)
    reported_note: str = ""  # what has to be known to compare them, in the report's words

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("'members' names no training; name at least one")
        for name, ends in (self.search.ranges() if self.search else {}).items():
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ValueError(f"'search.{name}' must be its lowest and its highest value, not {list(ends)}")
            if name in LOG_UNIFORM and ends[0] <= 0:
                raise ValueError(f"'search.{name}' is drawn log-uniformly: its ends must be above 0, not {list(ends)}")
        if self.search and self.test:
            raise ValueError("'search' is for choosing, which test rows must not steer; set 'test' to false")
        if self.rivals and not self.test:
            raise ValueError("'rivals' are scored on test rows alone; set 'test' to true, or leave them out")
        for name, figures in self.reported.items():
            if set(figures) != {"accuracy", "loss"}:
                raise ValueError(f"'reported.{name}' must give 'accuracy' (%) and 'loss' (nats), and nothing else")

    def reads(self) -> list[str]:
        read = [name for recipe in self.recipes().values() for name in recipe.reads()]
        return list(dict.fromkeys([*read, *([f"models/{self.body}"] if self.rivals else [])]))

    def recipes(self) -> dict[str, LstmRecipe]:
        """Member or trial → its recipe.

        Raises:
            UserError: a member's recipe is none, its changes do not fit, or members are of several datasets.
        """
        members = dict(self.members)
        if self.search is not None:
            first = next(iter(self.members.values()))
            for number, changes in enumerate(draw_trials(self.search, self.seed), start=1):
                members[f"trial_{number:02d}"] = Member(first.recipe, first.changes | changes)
        found = {}
        for name, member in members.items():
            place, data = read_recipe(member.recipe, SYSTEM)
            found[name] = build_recipe(LstmRecipe, data | member.changes, f"{self.name}, member '{name}' of {place}")
        datasets = {name: recipe.dataset for name, recipe in found.items()}
        if len(set(datasets.values())) > 1:
            told = ", ".join(f"{name} {dataset}" for name, dataset in datasets.items())
            raise UserError(f"{self.name}: its members are of several datasets ({told}); compare those of one")
        return found


def draw_trials(search: Search, seed: int) -> list[dict[str, float]]:
    """The changes of each trial; a longer search begins with the trials of a shorter one."""
    generator = random.Random(seed)
    trials = []
    for _ in range(search.trials):
        changes = {}
        for name, (low, high) in search.ranges().items():
            share = generator.random()
            value = low * (high / low) ** share if name in LOG_UNIFORM else low + share * (high - low)
            changes[name] = float(f"{value:.3g}")
        trials.append(changes)
    return trials


def load_lstm_recipe(name_or_path: str | Path) -> LstmRecipe | ComparisonRecipe:
    """Read a recipe; one that has `members` is a comparison.

    Raises:
        UserError: as for every recipe.
    """
    place, data = read_recipe(name_or_path, SYSTEM)
    if "members" in data:
        return build_recipe(ComparisonRecipe, data, place)
    return build_recipe(LstmRecipe, data, place)
