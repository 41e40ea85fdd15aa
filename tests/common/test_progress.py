from __future__ import annotations

import time

from textvae.training.common import progress


def test_a_log_gets_whole_lines_and_few_of_them(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.1)
    start = time.monotonic()
    for _ in progress.bar(range(30), total=30, label="train", unit="step"):
        time.sleep(0.01)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert 1 <= len(lines) <= (time.monotonic() - start) / 0.1
    assert all(line.startswith("train: ") and "/30" in line for line in lines)
    assert "\r" not in err


def test_a_short_job_says_nothing(capsys):
    assert list(progress.bar(range(3), total=3, label="train")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_switched_off(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setenv("TEXTVAE_PROGRESS", "0")
    with progress.bar(total=3, label="train") as bar:
        bar.update()
    progress.say("vae: done")
    assert capsys.readouterr().err == "vae: done\n"
