"""This machine: what it is, how much memory a run takes of it, and giving memory back."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil


def cores() -> int:
    """How many cores this process may use; of a system that does not say, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """Processor, cores that may be used, memory and GPU of this machine."""
    cpu = platform.processor()
    with contextlib.suppress(OSError):
        if named := re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8")):
            cpu = named[1]
    gpu = None
    if shutil.which("nvidia-smi"):
        question = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpu = subprocess.run(question, capture_output=True, text=True, check=False).stdout.strip() or None
    memory_gb = round(psutil.virtual_memory().total / 1e9, 1)
    return {"cpu": cpu, "cores": cores(), "memory_gb": memory_gb, "gpu": gpu}


class Memory:
    """Peak memory of this process and all its children together, sampled every second while the body runs."""

    def __init__(self, seconds: float = 1.0):
        self.peak_gb = 0.0
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        this = psutil.Process()
        while True:
            total = 0
            with contextlib.suppress(psutil.Error):  # a child may end between being listed and being asked
                for process in [this, *this.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        total += process.memory_info().rss
            self.peak_gb = max(self.peak_gb, round(total / 1e9, 3))
            if self._stop.wait(self._seconds):
                return


def give_back_memory() -> None:
    """Return what ended work has freed to the system, so that it does not count beside the next work's.

    glibc keeps freed memory of many small blocks to itself: 0.8 GB and more after a training.
    """
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
