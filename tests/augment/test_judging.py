"""What teachers who know the budget alone say of candidates."""

from __future__ import annotations

import pytest
import torch

from textvae.modeling_textvae.augmentation import new_row, original_rows
from textvae.training.augment.judging import Judges, sentence_perplexities
from textvae.training.common import perplexity
from textvae.training.common.recipe import AugmentRecipe
from textvae.training.common.sources import LabelledTexts, Source

KINDS = ("film", "food", "game")
TEXTS = [f"a {word} {kind}" for kind in KINDS for word in ("good", "bad", "new", "old")]
BUDGET = LabelledTexts(
    TEXTS, [label for label in range(3) for _ in range(4)], list(KINDS), Source("mine.csv", "path", "mine.csv", "1")
)


class Body:
    """Features that count the kinds' words, and every text that was read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, texts: list[str]) -> torch.Tensor:
        self.read += texts
        return torch.tensor([[float(text.count(kind)) for kind in KINDS] for text in texts])


def judged(*candidates: dict, asked=("agreement",), body: Body | None = None) -> list[dict]:
    rows = original_rows(BUDGET.texts, BUDGET.labels) + list(candidates)
    Judges(body or Body(), asked=asked).judge(rows, BUDGET)
    return rows[len(TEXTS) :]


def test_two_teachers_agree_on_the_likeliest_of_three_classes_though_neither_gives_it_half():
    texts = ("film film film food food game game", "a new food")
    unsure, wrong = judged(*(new_row(text, 0, "rules", 0) for text in texts))
    assert unsure["agreed"] is True
    assert unsure["second_confidence"] < 0.5
    assert sum(unsure["teacher_probabilities"]) == pytest.approx(1)
    assert unsure["teacher_probabilities"][0] == unsure["teacher_confidence"] == max(unsure["teacher_probabilities"])
    assert wrong["agreed"] is False


def test_a_row_put_together_from_sentences_is_judged_by_each_of_them_and_each_is_read_once():
    body = Body()
    parts = ["an old film", "one new film", "one bad game"]
    made = [
        new_row("An old film. A new film.", 0, "language_model", 0) | {"sentences": parts[:2]},
        new_row("An old film. A bad game.", 0, "language_model", 0) | {"sentences": parts[::2]},
    ]
    clear, mixed = judged(*made, asked=("confidence",), body=body)
    (alone,) = judged(new_row(parts[0], 0, "rules", 0), asked=("confidence",))
    assert mixed["teacher_confidence"] < 0.6 < clear["teacher_confidence"]
    assert clear["teacher_confidence"] == pytest.approx(alone["teacher_confidence"], abs=1e-3)
    assert all(body.read.count(part) == 1 for part in parts)
    assert made[0]["text"] not in body.read


def test_the_perplexity_of_a_row_is_the_geometric_mean_of_its_sentences_and_each_is_read_once(monkeypatch):
    known, read = {"The film was good.": 2.0, "The plot was bad.": 8.0, "Film.": None}, []

    def perplexities(texts, *_):
        read.extend(texts)
        return [known[text] for text in texts]

    monkeypatch.setattr(perplexity, "perplexities", perplexities)
    score = sentence_perplexities(AugmentRecipe(perplexity_model="org/model"), torch.float32)
    rows = ["The film was good. The plot was bad.", "The plot was bad.", "Film. The film was good.", "Film."]
    assert score(rows) == [pytest.approx(4.0), pytest.approx(8.0), pytest.approx(2.0), None]
    assert sorted(read) == sorted(known)
