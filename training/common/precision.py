"""Which precision to compute in: bfloat16 where the processor is measured to gain by it, else float32."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from .files import read_json, write_json
from .recipe import Precision

Recurrent = Literal["GRU", "LSTM"]  # of torch.nn

PAIRS = 10  # of timings, the shortest counts
WANTED_SPEEDUP = 1.3
LOSS_TOLERANCE = 0.02  # relative, bfloat16 against float32


@dataclass(frozen=True)
class Choice:
    """The precision chosen, why, and how many times faster than float32 it was measured to be (if it was)."""

    dtype: torch.dtype
    reason: str
    speedup: float | None = None


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(choice: Choice | torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to a choice's precision; nothing at all for float32."""
    dtype = choice.dtype if isinstance(choice, Choice) else choice
    if dtype is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def settle(asked: Precision, known: dict[str, Any] | None, layer: Recurrent = "GRU") -> dict[str, Any]:
    """The record of a choice, to be kept with what is computed in it: `known`, where that was made for the same.

    Timed again in a busier hour, it might be another.
    """
    if known and known.get("asked") == asked:
        return known
    choice = choose(asked, layer)
    name = str(choice.dtype).removeprefix("torch.")
    return {"asked": asked, "dtype": name, "reason": choice.reason, "speedup": choice.speedup}


def remembered(folder: Path, asked: Precision) -> Choice:
    """What was chosen when a training in this model folder began, as its `precision.json` has it."""
    record = folder / "precision.json"
    known = read_json(record) if record.exists() else None
    if known and "precision" in known:  # older folders have it
        known = {"asked": known["asked"], "dtype": known["precision"], "reason": known["reason"], "speedup": None}
    chosen = settle(asked, known)
    write_json(record, chosen)
    return Choice(getattr(torch, chosen["dtype"]), chosen["reason"], chosen["speedup"])


def choose(precision: Precision, layer: Recurrent = "GRU") -> Choice:
    """Settle `auto` for this machine and the layer that most of the time goes into.

    It is measured once a process, so a run that may be resumed records it (`settle`).
    """
    return _choose(precision, layer)


@functools.cache
def _choose(precision: Precision, layer: Recurrent) -> Choice:
    if precision != "auto":
        return Choice(getattr(torch, precision), "asked for")
    if device().type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Choice(torch.bfloat16, "the GPU computes in bfloat16")
        return Choice(torch.float32, "the GPU does not compute in bfloat16")
    if not {"avx512_bf16", "amx_bf16"} & _cpu_flags():
        return Choice(torch.float32, "the processor has neither avx512_bf16 nor amx_bf16")
    speedup, difference = _measured_by_one(layer)
    measured = f"nn.{layer}'s forward and backward pass is {speedup:.1f} times as fast in bfloat16 as in float32"
    if difference > LOSS_TOLERANCE:
        return Choice(torch.float32, f"{measured}, but its loss is {100 * difference:.1f} % off", speedup)
    if speedup < WANTED_SPEEDUP:
        return Choice(torch.float32, f"{measured}, less than {WANTED_SPEEDUP} times", speedup)
    return Choice(torch.bfloat16, measured, speedup)


def _measured_by_one(layer: Recurrent) -> tuple[float, float]:
    """What the first of the launched processes measures: each for itself, they might come to differ."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return _measure(layer)
    state = PartialState(cpu=True)
    found = [_measure(layer) if state.is_main_process else None]
    measured = broadcast_object_list(found)[0]
    assert measured is not None
    state.wait_for_everyone()  # so that none finds what another has recorded, and does not come here
    return measured


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def _measure(layer: Recurrent) -> tuple[float, float]:
    """Best of many: (float32 seconds / bfloat16 seconds, relative difference of the losses).

    Of processor time, so that waiting for a busy machine counts for neither.
    """
    with (
        torch.random.fork_rng(devices=[]),
        torch.enable_grad(),
    ):  # the caller's random numbers stay as they were
        torch.manual_seed(0)
        recurrent = getattr(nn, layer)(512, 512, batch_first=True)
        inputs = torch.randn(64, 24, 512)

        def once(dtype: torch.dtype) -> tuple[float, float]:
            start = time.process_time()
            with autocast(dtype, torch.device("cpu")):
                loss = recurrent(inputs)[0].float().square().mean()
            loss.backward()
            recurrent.zero_grad()
            return time.process_time() - start, loss.item()

        for dtype in (torch.float32, torch.bfloat16):  # the first call of each builds its kernels
            once(dtype)
        # In turns, so that what else the machine does meets both alike.
        pairs = [(once(torch.float32), once(torch.bfloat16)) for _ in range(PAIRS)]
    full, half = (min(pair[side][0] for pair in pairs) for side in (0, 1))
    (_, expected), (_, found) = pairs[0]
    return full / half, abs(found - expected) / abs(expected)
