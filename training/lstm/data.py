"""The rows of an LSTM's training: its training part less the rows kept for validation, and the test part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..common.errors import NoSplit, UserError
from ..common.progress import say
from ..common.rows import read_rows, texts_of
from ..common.sources import LabelledTexts, Source, content_revision, load_texts, resolve_model
from ..common.text import normalise, role
from .recipe import LstmRecipe

TRICKY = Path(__file__).with_name("tricky_reviews.csv")
MEANINGS = {"neg": "negative", "negative": "negative", "pos": "positive", "positive": "positive"}
TRAIN_SAMPLE = 2500  # training rows on which loss and accuracy are measured beside those of validation


@dataclass(frozen=True)
class Parts:
    """Texts with labels: what is trained on, what choices are made on, and what is scored once they are made."""

    train: LabelledTexts
    validation: LabelledTexts
    test: LabelledTexts
    copies: int  # rows of the training part that are left out, as their text stands in the test part, too
    unlabelled: LabelledTexts | None = None  # more to pre-train on; labels, where there are any, are not looked at


def load_parts(dataset: str) -> Parts:
    """A dataset's rows; validation are the rows of the *development* role, by a hash of their texts.

    Raises:
        UserError: nowhere to be had, no labels, a test row of a class that the training part does not have, or too few
            rows for validation.
    """
    train, test = load_texts(dataset, "train"), load_texts(dataset, "test")
    for split, part in (("train", train), ("test", test)):
        if part.labels is None:
            raise UserError(f"{dataset}: its split '{split}' has no labels; name a labelled dataset")
    test = test.with_names_of(train)
    tested = {normalise(text) for text in test.texts}
    apart = train.take([place for place, text in enumerate(train.texts) if normalise(text) not in tested])
    copies, train = len(train) - len(apart), apart
    held_out = [role(text) == "development" for text in train.texts]
    validation = train.take([place for place, held in enumerate(held_out) if held])
    if len(set(validation.labels or [])) < len(train.label_names):
        raise UserError(f"{dataset}: too few rows: a tenth of them, kept for validation, lacks a class")
    return Parts(train.take([place for place, held in enumerate(held_out) if not held]), validation, test, copies)


def with_unlabelled(parts: Parts, recipe: LstmRecipe) -> Parts:
    """With the texts of the recipe's `pretraining_split`, less those that are scored later; without, where the dataset
    has no such split where it comes from: a line says so.

    Raises:
        UserError: nowhere to be had.
    """
    if not (recipe.pretraining_epochs and recipe.pretraining_split):
        return parts
    try:
        found = load_texts(recipe.dataset, recipe.pretraining_split)
    except NoSplit as error:
        say(f"{error}; the pre-training reads the training texts alone")
        return parts
    scored = {normalise(text) for part in (parts.validation, parts.test) for text in part.texts}
    unscored = [place for place, text in enumerate(found.texts) if normalise(text) not in scored]
    return replace(parts, unlabelled=found.take(unscored))


@dataclass(frozen=True)
class TrickyReviews:
    """Short reviews of our own writing that are easily taken for the opposite."""

    texts: LabelledTexts
    categories: list[str]
    pairs: list[int | None]  # two reviews of one number differ by a word or two, and in their label


def load_tricky(label_names: list[str]) -> TrickyReviews | None:
    """The tricky reviews, labelled as a dataset labels its own; None where its classes are others than theirs."""
    classes = [MEANINGS.get(name.lower()) for name in label_names]
    if sorted(map(str, classes)) != ["negative", "positive"]:
        return None
    rows = read_rows(TRICKY)
    labels = [classes.index(label) for label in rows.column("label")]
    source = Source(TRICKY.name, "path", TRICKY.name, content_revision([TRICKY]))
    pairs = [int(pair) if pair not in (None, "") else None for pair in rows.column("pair")]
    return TrickyReviews(
        LabelledTexts(texts_of(rows, "text"), labels, label_names, source), list(rows.column("category")), pairs
    )


def load_tokenizer(recipe: LstmRecipe) -> tuple[PreTrainedTokenizerBase, Source]:
    """The tokenizer that travels with the model: it cuts texts as the recipe says.

    Raises:
        UserError: nowhere to be had, or it has no padding token.
    """
    folder, source = resolve_model(recipe.tokenizer)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token_id is None:
        raise UserError(
            f"{source.sentence()}: the tokenizer has no padding token; give one that has as 'tokenizer', or set its "
            "pad_token and save it"
        )
    tokenizer.padding_side, tokenizer.truncation_side = "right", recipe.truncation_side
    tokenizer.model_max_length = recipe.max_length
    return tokenizer, source


def sample(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Up to TRAIN_SAMPLE of the rows."""
    order = np.random.default_rng(seed).permutation(len(rows))[:TRAIN_SAMPLE]
    return [rows[place] for place in order]
