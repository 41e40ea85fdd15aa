"""What is found out about candidates with the labels of the budget alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.modeling_textvae.augmentation import Progress, Teacher
from textvae.modeling_textvae.generation import batches_by_length, features_of
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.selection import Row
from textvae.modeling_textvae.sentences import split_sentences

from ..common import perplexity
from ..common.embeddings import embedder
from ..common.recipe import AugmentRecipe
from ..common.sources import LabelledTexts
from ..common.words import words_classifier
from .generators.composing import sentences_of

Embed = Callable[[list[str]], Tensor]  # N texts → (N, H) features of the teachers' body
Perplexities = Callable[[list[str]], list[float | None]]

BLOCK = 256  # rows encoded between two reports of progress


@dataclass(frozen=True)
class Judges:
    """The bodies that candidates are judged by.

    Args:
        embed: the first teacher's features.
        perplexities: of rows; None: they are not scored.
        asked: filters that may be asked of the table; what they read is found out.
    """

    embed: Embed
    perplexities: Perplexities | None = None
    asked: Collection[str] = ()

    def judge(self, rows: list[Row], budget: LabelledTexts, progress: Progress | None = None) -> np.ndarray | None:
        """Write what the filters read into the originals and into the rows that are not rejected.

        `teacher_confidence` is the probability of a row's label by logistic regression on `embed`; of a row that is
        put together from sentences, the mean over them of two such teachers, of rows and of sentences. A row that
        already has one keeps it. Returns the (len(rows), H) features where *diversity* is asked.
        """
        live = [place for place, row in enumerate(rows) if row["reject_reason"] is None]
        chosen = [rows[place] for place in live]
        known = {place for place in live if rows[place]["teacher_confidence"] is not None}
        wanted = not {"confidence", "agreement"}.isdisjoint(self.asked)
        composed = [place for place in live if place not in known and rows[place].get("sentences")]
        if wanted and composed:
            _judge_composed([rows[place] for place in composed], budget, self.embed, progress)
            known.update(composed)
        seen = [place for place in live if "diversity" in self.asked or (wanted and place not in known)]
        found = _features([rows[place]["text"] for place in seen], self.embed, progress)
        if seen:
            _judge([rows[place] for place in seen], budget, found)
        if "agreement" in self.asked:
            _judge_by_words(chosen, budget)
        if "perplexity" in self.asked and self.perplexities:
            unscored = [row for row in chosen if "perplexity" not in row]
            for row, value in zip(unscored, self.perplexities([row["text"] for row in unscored]), strict=True):
                row["perplexity"] = value
        if "diversity" not in self.asked:
            return None
        matrix = np.zeros((len(rows), found.shape[1]), dtype=np.float32)
        matrix[seen] = found.numpy()
        return matrix


def teacher_body(
    settings: AugmentRecipe, model: TextVAEModel, tokenizer: Any, dtype: torch.dtype = torch.float32
) -> Embed:
    """Features of the recipe's teacher: another body's, or those of the VAE's encoder."""
    if settings.teacher_model is None:
        tokens = min(settings.teacher_tokens, getattr(model.config.encoder_config, "max_position_embeddings", 512))
        return partial(features_of, model, tokenizer=tokenizer, max_length=tokens)
    return encoder(settings.teacher_model, settings.teacher_tokens, dtype)


def encoder(body: str, tokens: int, dtype: torch.dtype) -> Embed:
    """Features of texts by a body, a Hub id or a folder, that reads so many tokens of each."""
    load = cache(partial(embedder, body, dtype, tokens))  # when it is first asked: where all is known it never is
    return lambda texts: torch.from_numpy(load()(texts, None))


def sentence_perplexities(settings: AugmentRecipe, dtype: torch.dtype) -> Perplexities:
    """Perplexity of a row: exp of the mean over its sentences of a sentence's log-perplexity, each read by itself.

    Rows that are put together from the same sentences share their scores.
    """
    assert settings.perplexity_model is not None
    model, tokens = settings.perplexity_model, settings.perplexity_tokens

    def score(texts: list[str]) -> list[float | None]:
        rows = [split_sentences(text) for text in texts]
        different = list(dict.fromkeys(sentence for row in rows for sentence in row))
        known = dict(zip(different, perplexity.perplexities(different, model, tokens, dtype), strict=True))
        return [mean_perplexity([known[sentence] for sentence in row]) for row in rows]

    return score


def mean_perplexity(values: Sequence[float | None]) -> float | None:
    """The geometric mean of those that have one."""
    logs = [np.log(value) for value in values if value is not None]
    return float(np.exp(np.mean(logs))) if logs else None


def remembering(embed: Embed, texts: Sequence[str], features: Tensor) -> Embed:
    """The same, without reading again the `texts` whose (N, H) `features` are known."""
    places = {text: place for place, text in enumerate(texts)}

    def look(asked: list[str]) -> Tensor:
        found = torch.empty(len(asked), features.shape[1])
        known = [row for row, text in enumerate(asked) if text in places]
        unknown = [row for row, text in enumerate(asked) if text not in places]
        found[known] = features[[places[asked[row]] for row in known]]
        if unknown:
            found[unknown] = embed([asked[row] for row in unknown])
        return found

    return look


def _features(texts: list[str], embed: Embed, progress: Progress | None) -> Tensor:
    """(N, H), in batches of like length."""
    rows = torch.empty(0, 0)
    for part in batches_by_length(texts, BLOCK):
        found = embed([texts[place] for place in part])
        rows = rows if len(rows) else torch.empty(len(texts), found.shape[1])
        rows[part] = found
        if progress:
            progress("score", len(part), len(texts))
    return rows


def both_teachers(budget: LabelledTexts, embed: Embed) -> tuple[Teacher, Teacher]:
    """One of the budget's rows and one of their sentences, each sentence with the label of its row."""
    assert budget.labels is not None
    parts, classes = sentences_of(budget), len(budget.label_names)
    sentences = [sentence for row in parts for sentence in row]
    owners = [label for label, row in zip(budget.labels, parts, strict=True) for _ in row]
    return Teacher(embed(budget.texts), budget.labels, classes), Teacher(embed(sentences), owners, classes)


def trust(row: Row, probabilities: Tensor) -> None:
    """Write what a teacher's (classes,) probabilities say of a row's label."""
    row["teacher_confidence"] = float(probabilities[row["label"]])
    row["teacher_probabilities"] = probabilities.tolist()
    row["teacher_agrees"] = int(probabilities.argmax()) == row["label"]


def _judge_composed(rows: list[Row], budget: LabelledTexts, embed: Embed, progress: Progress | None) -> None:
    different = list(dict.fromkeys(sentence for row in rows for sentence in row["sentences"]))
    features = _features(different, embed, progress)
    first, second = (teacher.probabilities(features) for teacher in both_teachers(budget, embed))
    places = {sentence: place for place, sentence in enumerate(different)}
    for row in rows:
        own = [places[sentence] for sentence in row["sentences"]]
        trust(row, (first[own] + second[own]).mean(0) / 2)


def _judge(rows: list[Row], budget: LabelledTexts, matrix: Tensor) -> None:
    """The first teacher's word on rows of which the budget's come first."""
    assert budget.labels is not None
    teacher = Teacher(matrix[: len(budget)], budget.labels, len(budget.label_names))
    for row, probabilities in zip(rows, teacher.probabilities(matrix), strict=True):
        if row["teacher_confidence"] is None:
            trust(row, probabilities)


def _judge_by_words(rows: list[Row], budget: LabelledTexts) -> None:
    """`second_confidence`: of a teacher of another kind, logistic regression on the words' TF-IDF. `agreed`: both find
    the row's label the likeliest."""
    teacher = words_classifier().fit(budget.texts, budget.labels)
    found = teacher.predict_proba([row["text"] for row in rows])
    place = {label: column for column, label in enumerate(teacher.classes_)}
    for row, probabilities in zip(rows, found, strict=True):
        row["second_confidence"] = float(probabilities[place[row["label"]]])
        row["agreed"] = bool(row["teacher_agrees"] and probabilities.argmax() == place[row["label"]])
