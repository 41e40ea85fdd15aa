from __future__ import annotations

import torch

from textvae.training.common.checkpoints import cut_metrics, load_newest, new_accelerator, save_checkpoint
from textvae.training.common.files import append_jsonl, read_jsonl


def test_metrics_after_a_checkpoint_are_cut_off(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    cut_metrics(metrics, 0)
    assert metrics.read_bytes() == b""
    for step in (2, 4, 6):
        append_jsonl(metrics, {"step": step, "loss": step / 2})
    with open(metrics, "ab") as file:
        file.write(b'{"step": 8, "lo')  # a torn line
    cut_metrics(metrics, 4)
    assert read_jsonl(metrics) == [{"step": 2, "loss": 1.0}, {"step": 4, "loss": 2.0}]


def test_the_newest_checkpoint_is_the_one_of_most_steps(tmp_path):
    accelerator = new_accelerator(torch.float32, num_processes=1)
    for step in (999_999, 1_000_000):  # as text, the second comes first
        save_checkpoint(accelerator, tmp_path, step, "made from this")
    assert [place.name for place in tmp_path.iterdir()] == ["step-1000000"]
    (tmp_path / "step-1000000").rename(tmp_path / "kept")
    save_checkpoint(accelerator, tmp_path, 999_999, "made from this")
    (tmp_path / "kept").rename(tmp_path / "step-1000000")
    assert load_newest(accelerator, tmp_path, "made from this") == tmp_path / "step-1000000"
