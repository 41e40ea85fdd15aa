"""The sentences a VAE is trained on, their tokens, and the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from textvae.modeling_textvae.sentences import split_sentences

from ..common.copies import NEAR_COPY_OVERLAP, find_copies
from ..common.errors import NoSplit, UserError
from ..common.recipe import VaeRecipe
from ..common.sources import LabelledTexts, Source, load_texts
from ..common.text import normalise, role

REVIEWS = 2000  # whose sentences are held against tests together
WORDS = range(4, 41)  # words of an unlabelled sentence that is read
SORTED_STEPS = 50  # steps whose rows are sorted together by length


@dataclass(frozen=True)
class Sentences:
    """Training sentences, those of `texts` first, and held-out ones."""

    train: list[str]
    num_main: int  # the first so many of `train` come from the recipe's `texts`
    class_ids: list[int] | None  # of `train`, where the recipe is conditional; `num_classes` is unknown
    num_classes: int
    validation: list[str]
    sources: list[Source]


def load_sentences(recipe: VaeRecipe, seed: int) -> Sentences:
    """Read the recipe's texts; nothing that stands in their validation or test part, or in that of a dataset which the
    recipe excludes, is trained on, and no near-copy of it.

    Raises:
        UserError: there is nothing to train on; the recipe is conditional and its texts have no labels; too few
            unlabelled sentences.
    """
    main = load_texts(recipe.texts, "train")
    held_out = [load_texts(recipe.texts, split) for split in ("validation", "test")]
    excluded = [part for name in recipe.exclude for part in _excluded(name)]
    tests = [text for part in (*held_out, *excluded) for text in part.texts]
    seen = {normalise(text) for text in tests}
    rows = _unseen(main.texts, seen, tests)
    train = [main.texts[row] for row in rows]
    num_main, sources = len(train), list(dict.fromkeys(part.source for part in (main, *excluded)))
    if recipe.unlabelled and recipe.unlabelled_sentences:
        reviews = load_texts(recipe.unlabelled, "train")
        sources.append(reviews.source)
        hidden = [text for text in reviews.texts if role(text) == "unlabelled"]
        train += _draw_sentences(hidden, seen, tests, recipe.unlabelled_sentences, seed)
    class_ids, num_classes = None, 0
    if recipe.conditional:
        if main.labels is None:
            raise UserError(f"vae.conditional: {recipe.texts} has no labels; set it to false")
        num_classes = len(main.label_names)
        class_ids = [main.labels[row] for row in rows] + [num_classes] * (len(train) - num_main)
    if not num_main:
        raise UserError(
            f"vae.texts: every text of {recipe.texts} stands in its validation or test part, too; "
            "give a dataset whose parts differ"
        )
    return Sentences(train, num_main, class_ids, num_classes, held_out[0].texts, sources)


def _excluded(name: str) -> list[LabelledTexts]:
    """A dataset's test part, and its validation part where it has one."""
    tests = load_texts(name, "test")
    try:
        return [load_texts(name, "validation"), tests]
    except NoSplit:
        return [tests]


def _draw_sentences(reviews: list[str], seen: set[str], tests: list[str], count: int, seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(reviews))
    drawn: list[str] = []
    for start in range(0, len(order), REVIEWS):
        sentences = [
            text
            for index in order[start : start + REVIEWS]
            for text in split_sentences(reviews[index])
            if len(text.split()) in WORDS
        ]
        drawn += [sentences[row] for row in _unseen(sentences, seen, tests)]
        if len(drawn) >= count:
            return drawn[:count]
    raise UserError(
        f"vae.unlabelled_sentences: {count} were asked for, the unlabelled reviews hold {len(drawn)}; ask for fewer"
    )


def _unseen(texts: list[str], seen: set[str], tests: list[str]) -> list[int]:
    """Indices of the texts whose letters and digits are not in `seen`, which grows by them, and that are no near-copies
    of `tests`."""
    kept = []
    for row, (text, copied) in enumerate(zip(texts, find_copies(texts, tests, NEAR_COPY_OVERLAP), strict=True)):
        identity = normalise(text)
        if identity and identity not in seen and not copied:
            seen.add(identity)
            kept.append(row)
    return kept


class Tokens:
    """Token ids of many texts in one flat array."""

    def __init__(self, tokenizer: Any, texts: list[str], max_length: int) -> None:
        rows = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
        self.lengths = np.array([len(row) for row in rows])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.flat = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows])
        self.pad = tokenizer.pad_token_id or 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.flat[self.starts[row] : self.starts[row + 1]]

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Right-padded ids and mask, (B, T) int64 each."""
        lengths = torch.from_numpy(self.lengths[rows])
        ids = torch.full((len(rows), int(lengths.max())), self.pad, dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : lengths[index]] = torch.from_numpy(self[row].astype(np.int64))
        return ids, (torch.arange(ids.shape[1])[None, :] < lengths[:, None]).long()


@dataclass(frozen=True)
class Step:
    """Rows of one optimiser step, and how often each was read before."""

    rows: np.ndarray  # (B,) int64
    visits: np.ndarray  # (B,) int64
    epoch: int


def plan_steps(lengths: np.ndarray, num_main: int, recipe: VaeRecipe, seed: int, split: int) -> list[Step]:
    """Every step of a training, decided beforehand: to resume is to go on at an index.

    An epoch reads each of the first `num_main` rows `text_weight` times and all others once, in steps of
    about `tokens_per_step` tokens of like length; the last `final_text_share` of the steps reads the first
    rows alone. Each step holds at least `split` rows (processes × micro-batches).
    """
    rng = np.random.default_rng(seed)
    visits = np.zeros(len(lengths), dtype=np.int64)
    steps: list[Step] = []
    epoch = 0
    while len(steps) < recipe.steps:
        closing = len(steps) >= recipe.final_start
        rows = np.arange(num_main) if closing else np.arange(len(lengths))
        if not closing:
            rows = np.concatenate([rows, *[np.arange(num_main)] * (recipe.text_weight - 1)])
        limit = recipe.steps if closing else recipe.final_start
        for batch in _batches(rng.permutation(rows), lengths, recipe.tokens_per_step, split, rng):
            if len(steps) == limit:
                break
            # The same row twice in one step counts as two visits.
            before = np.array([np.count_nonzero(batch[:i] == row) for i, row in enumerate(batch)])
            steps.append(Step(batch, visits[batch] + before, epoch))
            np.add.at(visits, batch, 1)
        epoch += 1
    return steps


def _batches(
    rows: np.ndarray, lengths: np.ndarray, tokens: int, split: int, rng: np.random.Generator
) -> list[np.ndarray]:
    pool = max(int(SORTED_STEPS * tokens / lengths[rows].mean()), split)
    batches: list[np.ndarray] = []
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        first = 0
        for index in range(len(part)):
            full = (index + 1 - first) * lengths[part[index]] > tokens
            if full and index - first >= split:
                batches.append(part[first:index])
                first = index
        rest = part[first:]
        if len(rest) >= split or not batches:
            batches.append(rest)
        else:
            batches[-1] = np.concatenate([batches[-1], rest])
    if len(batches[0]) < split:
        raise UserError(
            f"vae: {len(rows)} training sentences cannot be cut into {split} micro-batches; lower "
            "'vae.gradient_accumulation' or the number of processes"
        )
    return [batches[index] for index in rng.permutation(len(batches))]
