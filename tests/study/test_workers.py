"""Child processes: results, errors, deaths. The tasks are functions that any child can import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.recipe_files import load_recipe
from textvae.training.study.workers import in_workers


def test_every_task_is_done_with_one_thread(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = dict(os.environ)
    tasks = {"threads": (), "again": (), "and again": ()}
    results = dict(in_workers(torch.get_num_threads, tasks, workers=2, log=tmp_path / "logs" / "workers.log"))
    assert results == {"threads": 1, "again": 1, "and again": 1}
    assert dict(os.environ) == before


def test_what_a_worker_prints_goes_to_the_log(tmp_path, capfd):
    in_child(tmp_path, os.system, "echo from the worker; echo and this >&2")
    assert (tmp_path / "log").read_text() == "from the worker\nand this\n"
    assert "worker" not in "".join(capfd.readouterr())


def test_a_worker_that_is_killed_names_its_task(tmp_path):
    with pytest.raises(UserError, match=r"^lstm-vae-500: its worker died .*memory; lower 'study.workers'") as error:
        in_child(tmp_path, signal.raise_signal, signal.SIGKILL, key="lstm-vae-500")
    assert "\n" not in str(error.value)


def test_errors_reach_the_user(tmp_path):
    with pytest.raises(UserError, match="no such recipe file"):
        in_child(tmp_path, load_recipe, "missing.yaml")
    with pytest.raises(RuntimeError, match=r"(?s)^the task:\n.*ValueError: invalid literal"):
        in_child(tmp_path, int, "seven")


def test_leaving_the_iteration_ends_running_tasks(tmp_path):
    started = time.monotonic()
    results = in_workers(time.sleep, {"short": (0.1,), "long": (600,)}, workers=2, log=tmp_path / "log")
    assert next(results) == ("short", None)
    children = psutil.Process().children()
    results.close()
    assert time.monotonic() - started < 60
    assert not any(child.is_running() and "spawn_main" in " ".join(child.cmdline()) for child in children)


def test_workers_leave_nothing_to_clean_up(tmp_path):
    """A killed worker's semaphores (every progress bar makes one) would be warned of as leaked."""
    (tmp_path / "task.py").write_text("import tqdm\n\ndef work():\n    list(tqdm.tqdm([1]))\n")
    (tmp_path / "parent.py").write_text(
        "from pathlib import Path\n"
        "import task\n"
        "from textvae.training.study.workers import in_workers\n"
        "if __name__ == '__main__':\n"
        "    print(dict(in_workers(task.work, {'bar': ()}, workers=1, log=Path('log'))))\n"
    )
    parent = subprocess.run(
        [sys.executable, "parent.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert (parent.stdout, parent.stderr, parent.returncode) == ("{'bar': None}\n", "", 0)


def test_no_worker_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "from textvae.training.study.workers import in_workers\n"
        "if __name__ == '__main__':\n"
        "    tasks = {'busy': (120,), 'short': (0.1,)}\n"
        "    for key, _ in in_workers(time.sleep, tasks, workers=2, log=Path('log')):\n"
        "        print(key, flush=True)\n"
        "        time.sleep(120)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "short\n"
        workers = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def in_child(folder, function, *arguments, key: str = "the task"):
    ((_, result),) = in_workers(function, {key: arguments}, workers=1, log=folder / "log")
    return result
