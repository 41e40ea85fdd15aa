"""Start of the Space on a model that is on disk: JSON of wall-clock seconds, medians of fresh processes.

python benchmarks/space_start.py MODEL_FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import httpx

STARTS = 5
GIVE_UP_SECONDS = 120


def start_seconds(pins: Path, scratch: Path) -> tuple[float, float]:
    """From the start of a process to its page, and to its first reconstruction, which waits for the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(scratch / "gradio")}
    with resources.as_file(resources.files("textvae.spaces_demo")) as source, open(scratch / "log", "wb") as log:
        start = time.monotonic()
        command = [sys.executable, source / "app.py", "--pins", pins]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=GIVE_UP_SECONDS) as client:
                while True:
                    try:
                        client.get("/").raise_for_status()
                        break
                    except httpx.TransportError:
                        if process.poll() is not None or time.monotonic() - start > GIVE_UP_SECONDS:
                            raise SystemExit((scratch / "log").read_text(encoding="utf-8")) from None
                        time.sleep(0.02)
                page = time.monotonic() - start
                data = {"data": ["a moving and funny film.", 1.0, 0]}
                asked = client.post("/gradio_api/call/reconstruct", json=data).raise_for_status().json()
                answer = client.get(f"/gradio_api/call/reconstruct/{asked['event_id']}").text
                if "event: complete" not in answer:
                    raise SystemExit(answer)
                return page, time.monotonic() - start
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.json"
        pins.write_text(json.dumps({"models": {"augment": {"id": str(Path(sys.argv[1]).resolve())}}}), encoding="utf-8")
        measured = [start_seconds(pins, Path(folder)) for _ in range(STARTS + 1)][1:]  # the first fills the disk cache
    page, answer = (statistics.median(seconds) for seconds in zip(*measured, strict=True))
    print(json.dumps({"page_seconds": page, "first_answer_seconds": answer, "starts": STARTS}))


if __name__ == "__main__":
    main()
