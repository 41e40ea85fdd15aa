from __future__ import annotations

from textvae.training.common.checkpoints import cut_metrics
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
