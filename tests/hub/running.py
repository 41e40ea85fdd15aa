"""Commands and web applications in processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request


def textvae(arguments, cwd, **variables):
    """Run the command in a fresh process."""
    environment = {
        **os.environ, "TEXTVAE_PROGRESS": "0", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
        "HF_HOME": str(cwd / "home"), "TEXTVAE_CACHE": str(cwd / "cache"), **variables,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "textvae", *arguments], env=environment, cwd=cwd, capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip


def publish(hub, run, mirror, cwd, *options):
    arguments = ["publish", str(run), "--namespace", "org", *options]
    return textvae(arguments, cwd, TEXTVAE_MIRROR=str(mirror), **hub.environment)


@contextlib.contextmanager
def started(command, cwd, variables):
    """A web application while it runs, as the address where it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRADIO_SERVER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        command, cwd=cwd, env=environment | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, process.stdout.read()[-3000:]
            assert time.monotonic() < deadline
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
