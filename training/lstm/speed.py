"""How much of what a device can do a training used."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

SIZES = {"cpu": 1024, "cuda": 8192}  # of the matrices: large enough that a product takes the device whole
ROUNDS = 5


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """The most floating-point operations a second of a matrix product on the device, best of ROUNDS.

    On a CPU it is that of one thread, in a second of the processor: by the clock a busy machine shows less than it has,
    and of several threads a product may leave some idle.
    """
    size = SIZES[device.type]
    one = torch.randn(size, size, device=device).to(dtype)

    def seconds() -> float:
        if device.type == "cpu":
            start = time.process_time()
            one @ one
            return time.process_time() - start
        start = time.perf_counter()
        one @ one
        torch.cuda.synchronize(device)
        return time.perf_counter() - start

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds()  # the first product waits for what is before it, and for its kernel
        return 2 * size**3 / min(seconds() for _ in range(ROUNDS))
    finally:
        torch.set_num_threads(threads)


def matmul_share(facts: Mapping[str, Any]) -> float:
    """Operations a second of the recurrence in a training's steps, over those of a matrix product (0 to 1).

    Args:
        facts: of `train_lstm`.
    """
    # By the clock on a GPU, which has no threads; on a CPU, which other work may share, by the time it gave.
    on_gpu = "threads" in facts and facts["threads"] is None
    seconds = facts["step_seconds" if on_gpu else "step_cpu_seconds"]
    return training_operations(facts["recurrent_parameters"], facts["tokens"]) / (seconds * facts["matmul_peak"])


def training_operations(weights: int, tokens: int) -> float:
    """Of a training whose matrices hold `weights`: one multiplication and one addition, forward once, back twice."""
    return 6.0 * weights * tokens
