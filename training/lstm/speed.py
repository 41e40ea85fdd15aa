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

    With as many threads as torch has now, and in the precision given. On a CPU its own time counts, as for trainings:
    by the clock a busy machine shows less than it has.
    """
    size = SIZES[device.type]
    one = torch.randn(size, size, device=device).to(dtype)

    def seconds() -> float:
        if device.type == "cpu":
            start = time.process_time()
            one @ one
            return (time.process_time() - start) / torch.get_num_threads()
        start = time.perf_counter()
        one @ one
        torch.cuda.synchronize(device)
        return time.perf_counter() - start

    seconds()  # the first product waits for what is before it, and for its kernel
    return 2 * size**3 / min(seconds() for _ in range(ROUNDS))


def matmul_share(facts: Mapping[str, Any]) -> float:
    """Operations a second of the recurrence in a training's steps, over those of a matrix product (0 to 1).

    Args:
        facts: of `train_lstm`.
    """
    return training_operations(facts["recurrent_parameters"], facts["tokens"]) / (
        _device_seconds(facts) * facts["matmul_peak"]
    )


def _device_seconds(facts: Mapping[str, Any]) -> float:
    """Of the steps: by the clock on a GPU; on a CPU, which other work may share, of its time for each thread."""
    seconds, cpu_seconds = facts["step_seconds"], facts["step_cpu_seconds"]
    # Older trainings have no threads on record: those that were busy.
    threads = facts.get("threads", max(1, round(cpu_seconds / seconds)))
    return seconds if threads is None else cpu_seconds / threads


def training_operations(weights: int, tokens: int) -> float:
    """Of a training whose matrices hold `weights`: one multiplication and one addition, forward once, back twice."""
    return 6.0 * weights * tokens
