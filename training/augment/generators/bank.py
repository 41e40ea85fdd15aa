"""Candidates put together from a bank of sentences that nobody has labelled, real or generated ones.

A teacher that knows the budget's labels alone says how clearly each sentence speaks of each class; the clearest of a
class become its pool. A candidate has the label of a row of the budget and as many sentences as it, drawn from the
pool: where the teacher errs on single sentences, most of a row's are right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from textvae.modeling_textvae.augmentation import Progress, Row, Teacher, new_row, seed_of_row
from textvae.modeling_textvae.sentences import MAX_SENTENCES, split_sentences

from ...common.sources import LabelledTexts


@dataclass(frozen=True)
class Bank:
    """A bank of sentences as a generator.

    Args:
        method: what the candidates' column `method` says.
        sentences: N of them.
        features: (N, H), what `embed` gives for them.
        embed: features of texts.
        share: of the sentences, those that become pools, in equal parts for the classes.
    """

    method: str
    sentences: list[str]
    features: Tensor
    embed: Callable[[list[str]], Tensor]
    share: float

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        assert budget.labels is not None
        parts = [split_sentences(text)[:MAX_SENTENCES] for text in budget.texts]
        pools = self._pools(budget, parts)
        rows = []
        for index in range(count):
            number = index % len(budget)
            label, own = budget.labels[number], seed_of_row(seed, index)
            generator = torch.Generator().manual_seed(own)
            drawn = torch.randperm(len(pools[label]), generator=generator)[: len(parts[number])]
            text = " ".join(self.sentences[place] for place in pools[label][drawn].tolist())
            rows.append(new_row(text, label, self.method, number) | {"seed": own})
        if progress:
            progress("generate", count, count)
        return rows

    def _pools(self, budget: LabelledTexts, parts: list[list[str]]) -> list[Tensor]:
        """Places of the clearest sentences of each class, the clearest first.

        Two teachers, one of whole rows and one of their sentences, each with the label of its row: the sum of
        their log-odds, each standardised over the bank, which also takes a slant towards one class from them.
        """
        assert budget.labels is not None
        classes = len(budget.label_names)
        flat = [sentence for row in parts for sentence in row]
        owners = [label for label, row in zip(budget.labels, parts, strict=True) for _ in row]
        scores = torch.zeros(len(self.sentences), classes)
        for texts, labels in ((budget.texts, budget.labels), (flat, owners)):
            teacher = Teacher(self.embed(texts), labels, classes)
            odds = teacher.probabilities(self.features).double().clamp(1e-9, 1 - 1e-9).logit().float()
            scores += (odds - odds.mean(0)) / odds.std(0).clamp_min(1e-6)  # where a teacher tells nothing apart
        size = max(int(self.share * len(self.sentences) / classes), 1)
        return [scores[:, label].topk(size).indices for label in range(classes)]
