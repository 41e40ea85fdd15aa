"""A causal LM's classification head, fitted on its frozen states before anything is fine-tuned.

A random head on states that are nearly alike for all texts first pushes the body about. Fitting the head and
then fine-tuning, as Kumar et al. 2022 (https://arxiv.org/abs/2202.10054) propose, starts from what the frozen
body already knows, which is most of what a few dozen steps can give.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from ..common.precision import autocast, device

HEAD_ROWS = 100  # different training rows at most: a pass over them costs a third of a training step a row
INVERSE_PENALTY = 6.0  # scikit-learn's C, for states whose variances sum to about 1


def fit_head(model: nn.Module, rows: list[dict[str, Any]], dtype: torch.dtype, seed: int) -> None:
    """Set the bias-free head of a peft sequence classifier to a logistic regression on last-token states.

    Args:
        rows: encoded training rows with `input_ids` and `labels`; a class-balanced share of them is read.
    """
    base = model.get_base_model()
    body = getattr(base, base.base_model_prefix).to(device()).eval()
    sample = _sample(rows, seed)
    states = np.stack([_last_state(body, row["input_ids"], dtype) for row in sample])
    labels = [row["labels"] for row in sample]
    # Not centred: the states' large common part serves as the intercept that the head does not have.
    scale = (states.std(axis=0) + 1e-6) * states.shape[1] ** 0.5
    regression = LogisticRegression(C=INVERSE_PENALTY, fit_intercept=False, max_iter=1000)
    regression.fit(states / scale, labels)
    weights = regression.coef_ / scale
    if len(regression.classes_) == 2:
        weights = np.concatenate([-weights / 2, weights / 2])
    head = next(p for name, p in base.named_parameters() if "score" in name and p.requires_grad)
    with torch.no_grad():
        head.zero_()
        head[torch.as_tensor(regression.classes_)] = torch.as_tensor(weights, dtype=head.dtype, device=head.device)


@torch.no_grad()
def _last_state(body: nn.Module, input_ids: list[int], dtype: torch.dtype) -> np.ndarray:
    with autocast(dtype, device()):
        states = body(torch.tensor([input_ids], device=device()), use_cache=False).last_hidden_state
    return states[0, -1].double().cpu().numpy()


def _sample(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """At most HEAD_ROWS different rows, the classes in turns."""
    different = list({tuple(row["input_ids"]): row for row in rows}.values())
    random.Random(seed).shuffle(different)
    turns: dict[int, int] = {}
    order = []
    for row in different:
        turns[row["labels"]] = turns.get(row["labels"], 0) + 1
        order.append((turns[row["labels"]], row["labels"]))
    ranked = sorted(range(len(different)), key=order.__getitem__)
    return [different[index] for index in ranked[:HEAD_ROWS]]
