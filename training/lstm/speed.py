"""How much of what this machine's processor can do a training used."""

from __future__ import annotations

import time

import torch

SIZE = 1024
ROUNDS = 5


def matmul_peak(dtype: torch.dtype) -> float:
    """The most floating-point operations a second of a matrix product of SIZE, best of ROUNDS.

    With as many threads as torch has now, and in the precision given; a busy machine shows less than it has.
    """
    one = torch.randn(SIZE, SIZE).to(dtype)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        one @ one
        best = min(best, time.perf_counter() - start)
    return 2 * SIZE**3 / best


def training_operations(weights: int, tokens: int) -> float:
    """Of a training whose matrices hold `weights`: one multiplication and one addition, forward once, back twice."""
    return 6.0 * weights * tokens
