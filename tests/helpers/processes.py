"""Fresh processes: the command, programs, launched trainings, strangers who have nothing of ours, web applications."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        first = name.split(".")[0]
        if first in ("textvae", "training", "hub_cards", "spaces_demo") or first.startswith("modeling_"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""


def environment(cwd: Path, **more: object) -> dict[str, str]:
    """Offline, quiet, on one thread of the processor, with caches under `cwd`, whatever this machine has set."""
    inherited = {name: value for name, value in os.environ.items() if name != "TEXTVAE_MIRROR"}
    ours = {
        "HF_HOME": cwd / "home", "TEXTVAE_CACHE": cwd / "cache", "HF_HUB_OFFLINE": 1, "TEXTVAE_PROGRESS": 0,
        "OMP_NUM_THREADS": 1, "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    return inherited | {name: str(value) for name, value in (ours | more).items()}


def python(arguments: Sequence[object], cwd: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` in `cwd` to its end."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment(cwd, **more), capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip


def started(arguments: Sequence[object], cwd: Path, **more: object) -> subprocess.Popen[str]:
    """Begin `python ARGUMENTS` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment(cwd, **more), stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def textvae(arguments: Sequence[object], cwd: Path, **more: object) -> subprocess.CompletedProcess[str]:
    return python(["-m", "textvae", *arguments], cwd, **more)


def launched(processes: int, arguments: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `torchrun ARGUMENTS`; on processors alone `accelerate launch` starts one process whatever it is told."""
    return python([*TORCHRUN, processes, *arguments], cwd)


def stranger(program: str, cwd: Path, *arguments: object, **more: object) -> str:
    """What a program prints that cannot import the project.

    Raises:
        AssertionError: it failed.
    """
    done = python(["-c", BLOCKED + program, *arguments], cwd, **more)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@contextlib.contextmanager
def serving(command: Sequence[object], cwd: Path, **more: object) -> Iterator[SimpleNamespace]:
    """A Gradio application while it runs: `url`, where it says that it answers, `process` and `log`."""
    variables = environment(cwd, PYTHONUNBUFFERED=1, **more)
    variables.pop("GRADIO_SERVER_PORT", None)  # the application finds a free one itself
    log = cwd / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*map(str, command)], cwd=cwd, env=variables, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not (said := re.search(r"Running on local URL: +(http://\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        yield SimpleNamespace(url=said[1], process=process, log=log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
