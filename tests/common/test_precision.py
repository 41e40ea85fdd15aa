from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from textvae.training.common import precision
from textvae.training.common.precision import Choice, autocast, choose

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh():
    precision._choose.cache_clear()
    yield
    precision._choose.cache_clear()


def test_what_is_asked_for_is_taken():
    assert choose("float32").dtype is torch.float32
    assert choose("bfloat16").dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("flags", "measured", "dtype", "reason"),
    [
        (set(), None, torch.float32, "neither avx512_bf16"),
        ({"avx512_bf16"}, (3.0, 0.001), torch.bfloat16, "3.0 times"),
        ({"amx_bf16"}, (1.1, 0.001), torch.float32, "less than 1.3"),
        ({"amx_bf16"}, (3.0, 0.05), torch.float32, "5.0 % off"),
    ],
)
def test_auto_follows_what_is_measured(monkeypatch, flags, measured, dtype, reason):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    monkeypatch.setattr(precision, "_measure", lambda layer: measured)
    for layer in ("GRU", "LSTM"):
        choice = choose("auto", layer)
        assert choice.dtype is dtype
        assert reason in choice.reason
        assert measured is None or choice.reason.startswith(f"nn.{layer}'s")
    assert choice.speedup == (measured and measured[0])


def test_a_layer_is_timed_once_a_process(monkeypatch):
    """Timed again, it might come out otherwise."""
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"amx_bf16"})
    measured = iter([(3.0, 0.0)])
    monkeypatch.setattr(precision, "_measure", lambda layer: next(measured))
    assert choose("auto") is choose("auto", "GRU") is choose(precision="auto")


def test_each_layer_is_timed_for_itself(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(precision, "_measure", lambda layer: (3.0 if layer == "GRU" else 1.0, 0.0))
    assert choose("auto").dtype is torch.bfloat16
    assert choose("auto", "LSTM").dtype is torch.float32


@pytest.mark.parametrize("layer", ["GRU", "LSTM"])
def test_measuring_is_sound_and_leaves_the_random_numbers_alone(layer):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        speedup, difference = precision._measure(layer)
    assert torch.equal(torch.rand(3), expected)
    assert speedup > 0
    assert difference < precision.LOSS_TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast(dtype):
    with autocast(dtype, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is dtype


def test_a_folder_remembers_what_was_chosen_for_the_same_wish(tmp_path, monkeypatch):
    chosen = iter([Choice(torch.bfloat16, "measured", 2.0), Choice(torch.float32, "busier", 1.0)])
    monkeypatch.setattr(precision, "choose", lambda *_: next(chosen))
    first = precision.remembered(tmp_path, "auto")
    assert first == precision.remembered(tmp_path, "auto") == Choice(torch.bfloat16, "measured", 2.0)
    assert precision.remembered(tmp_path, "float32").reason == "busier"


CHILD = """
import os
from textvae.training.common import precision
import torch
precision._cpu_flags = lambda: {"amx_bf16"}
speedup = 3.0 if os.environ["RANK"] == "0" else 1.0
precision._measure = lambda layer: (speedup, 0.0)
choice = precision.choose("auto")
with open(f"said-{os.environ['RANK']}", "w") as file:
    file.write(f"{choice.dtype} {choice.speedup}")
torch.distributed.destroy_process_group()
"""


def test_launched_processes_take_what_the_first_has_measured(tmp_path):
    (tmp_path / "child.py").write_text(CHILD)
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "child.py"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, check=True, timeout=120,
        capture_output=True,
    )  # fmt: skip
    assert [(tmp_path / f"said-{rank}").read_text() for rank in (0, 1)] == ["torch.bfloat16 3.0"] * 2
