"""The folder of a run: its facts, its stages, what of it is done, and the memory it took.

`run.json` remembers for each stage a fingerprint of what it read: a stage that finds its outputs there, made
from the same inputs, is reused.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import psutil
import yaml

from .errors import UserError
from .files import fingerprint, read_json, write_json, write_text
from .progress import say
from .recipe import Recipe

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "peft",
    "evaluate",
    "scikit-learn",
)


@dataclasses.dataclass
class Stage:
    """A stage under way: `done` says that its outputs may be reused; `note` is printed and kept."""

    done: bool
    note: str | None = None


class RunFolder:
    """A run's folder with `recipe.yaml` (resolved) and `run.json`, which one process at a time writes."""

    def __init__(self, path: str | Path, recipe: Recipe):
        self.path = Path(path)
        self._file = self.path / "run.json"
        self.info: dict[str, Any] = read_json(self._file) if self._file.exists() else {"sources": [], "stages": {}}
        write_text(self.path / "recipe.yaml", yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True))
        self.update(
            recipe=recipe.to_dict(),
            textvae=metadata.version("textvae"),
            versions={name: metadata.version(name) for name in LIBRARIES},
            python=platform.python_version(),
            hardware=hardware(),
            seed=recipe.seed,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        )

    def update(self, **facts: Any) -> None:
        """Set top-level keys of run.json; of `peak_memory_gb` the larger of old and new is kept."""
        if "peak_memory_gb" in facts:
            facts["peak_memory_gb"] = max(facts["peak_memory_gb"], self.info.get("peak_memory_gb", 0.0))
        self.info.update(facts)
        write_json(self._file, self.info)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder.

        Raises:
            UserError: one is at work there.
        """
        lock = filelock.FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise UserError(f"{self.path}: another run is at work here; wait for it or give another --output") from None
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def stage(self, name: str, *, inputs: Sequence[Any], outputs: Sequence[str]) -> Iterator[Stage]:
        """Run, or reuse, a stage; its seconds and fingerprint are recorded on a clean exit only.

        Args:
            inputs: whatever decides the outputs, for `fingerprint`.
            outputs: files and folders it makes, relative to the run's folder.
        """
        made_from = fingerprint(name, *inputs)
        old = self.info["stages"].get(name, {})
        done = old.get("fingerprint") == made_from and all((self.path / output).exists() for output in outputs)
        place = self.path / os.path.commonpath([Path(output).parent for output in outputs])
        stage = Stage(done, old.get("note") if done else None)
        if done:
            yield stage
            say(f"{name}: reused {place}")
            return
        # A stage that breaks off may leave new outputs beside old ones, so the old record goes first.
        self.update(stages={key: value for key, value in self.info["stages"].items() if key != name})
        start = time.monotonic()
        yield stage
        seconds = time.monotonic() - start
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        record = {
            "fingerprint": made_from,
            "seconds": round(seconds, 2),
            "finished": finished,
            "note": stage.note,
            # Another command, or another machine, may go on with the run.
            "command": self.info["command"],
            "hardware": self.info["hardware"],
        }
        self.update(stages={**self.info["stages"], name: record})
        say(f"{name}: {seconds:.{0 if seconds >= 10 else 1}f} s → {place}" + (f" ({stage.note})" if stage.note else ""))


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
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "memory_gb": memory_gb, "gpu": gpu}


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
