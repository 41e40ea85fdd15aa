"""Tasks in child processes, one thread each: a death names its task, and no worker outlives the run.

`ProcessPoolExecutor` can do neither: a worker that dies breaks every task alike, and after a SIGKILL of the
parent its workers wait for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..common.errors import UserError

# One thread a worker; models are in the cache by now, so no worker asks the Hub again.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TEXTVAE_PROGRESS": "0",
}
SECONDS_TO_LEAVE = 10.0


def in_workers(
    function: Callable[..., Any], tasks: Mapping[str, tuple], *, workers: int, log: Path
) -> Iterator[tuple[str, Any]]:
    """Call `function(*arguments)` for every task, `workers` at a time; yield (key, result) as they end.

    `function` is a module's top-level one. What workers print is appended to `log`. Leaving the iteration, by
    an exception too, ends the workers and with them the running tasks.

    Raises:
        UserError: a worker died (usually of memory), named with its task; or the task itself raised one.
        RuntimeError: the task raised anything else; its traceback is the message.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    waiting = deque(tasks.items())
    team = [_Worker(log) for _ in range(min(workers, len(tasks)))]
    busy: dict[Connection, tuple[_Worker, str]] = {}
    idle = list(team)
    try:
        while waiting or busy:
            while waiting and idle:
                key, arguments = waiting.popleft()
                worker = idle.pop()
                with contextlib.suppress(BrokenPipeError):  # it died before its first task: read below
                    worker.connection.send((function, arguments))
                busy[worker.connection] = worker, key
            answered = wait(list(busy))
            for connection in [connection for connection in busy if connection in answered]:
                worker, key = busy.pop(connection)
                result = worker.result(key, log)
                idle.append(worker)
                yield key, result
    finally:
        at_work = [worker for worker, _ in busy.values()]
        for worker in team:
            worker.end(busy=worker in at_work)


class _Worker:
    def __init__(self, log: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, str(log)), daemon=True)
        with _environment():
            self.process.start()
        theirs.close()  # so that a dead worker reads as the end of the pipe

    def result(self, key: str, log: Path) -> Any:
        try:
            outcome, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            memory = "most likely out of memory; " if self.process.exitcode == -signal.SIGKILL else ""
            raise UserError(
                f"{key}: its worker died (exit code {self.process.exitcode}); {memory}lower "
                "'study.workers' or the batch size and run again, what is finished is kept; "
                f"its output is in {log}"
            ) from None
        if outcome == "user error":
            raise UserError(result)
        if outcome == "error":
            raise RuntimeError(f"{key}:\n{result}")
        return result

    def end(self, busy: bool) -> None:
        self.connection.close()  # an idle worker leaves by itself then, so its libraries clean up after themselves
        if not busy:
            self.process.join(SECONDS_TO_LEAVE)
        self.process.kill()
        self.process.join()


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, log: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_die_with_parent, daemon=True).start()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(output, stream.fileno())
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            message = ("result", function(*arguments))
        except UserError as error:
            message = ("user error", str(error))
        except Exception:  # as text: not every exception can be pickled
            message = ("error", traceback.format_exc())
        connection.send(message)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
