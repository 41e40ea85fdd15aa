"""Candidates put together from a bank of sentences that nobody has labelled, real or generated ones.

A teacher that knows the budget's labels alone says how clearly each sentence speaks of each class; the clearest of a
class become its pool. A candidate has the label of a row of the budget and as many sentences as it, dealt from the
pool: where the teacher errs on single sentences, most of a row's are right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from textvae.modeling_textvae.augmentation import Progress
from textvae.modeling_textvae.selection import Row

from ...common.sources import LabelledTexts
from ..judging import Embed, both_teachers, mean_perplexity, trust
from . import Cost
from .composing import compose


@dataclass(frozen=True)
class Bank:
    """A bank of sentences as a generator.

    Args:
        method: what the candidates' column `method` says.
        sentences: N of them.
        features: (N, H), what `embed` gives for them.
        embed: features of texts.
        share: of the sentences, those that become pools, in equal parts for the classes.
        perplexities: of the sentences, where a filter asks for them.
        cost: of writing the bank; nothing where its sentences are real.
    """

    method: str
    sentences: list[str]
    features: Tensor
    embed: Embed
    share: float
    perplexities: list[float | None] | None = None
    cost: Cost = field(default_factory=Cost)

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        """As every generator; `teacher_confidence` is the mean over a row's sentences of both teachers' p(label)."""
        scores, probabilities = self._judge(budget)
        size = max(int(self.share * len(self.sentences) / len(budget.label_names)), 1)
        pools = [scores[:, label].topk(size).indices.tolist() for label in range(len(budget.label_names))]
        rows = []
        for row, places in compose(budget, self.sentences, {self.method: pools}, count, seed):
            trust(row, probabilities[places].mean(0))
            if self.perplexities:
                row["perplexity"] = mean_perplexity([self.perplexities[place] for place in places])
            rows.append(row)
        if progress:
            progress("generate", count, count)
        return rows

    def _judge(self, budget: LabelledTexts) -> tuple[Tensor, Tensor]:
        """(N, classes) scores to rank by, and mean probabilities, of the two teachers.

        A score is the sum of their log-odds, each standardised over the bank, which also takes a slant towards one
        class from them.
        """
        scores, means = torch.zeros(2, len(self.sentences), len(budget.label_names))
        for teacher in both_teachers(budget, self.embed):
            found = teacher.probabilities(self.features)
            odds = found.double().clamp(1e-9, 1 - 1e-9).logit().float()
            scores += (odds - odds.mean(0)) / odds.std(0).clamp_min(1e-6)  # where a teacher tells nothing apart
            means += found / 2
        return scores, means
