"""A finished run, made once for all, and a Hub to publish it to."""

from __future__ import annotations

import shutil

import pytest
from filelock import FileLock
from loopback import LoopbackHub
from running import publish, textvae


@pytest.fixture(scope="session")
def finished_run(smoke_mirror, tmp_path_factory, testrun_uid):
    """The folder of the recipe `smoke`, run and evaluated; shared by the workers, to be read only."""
    shared = tmp_path_factory.getbasetemp().parent / f"finished-run-{testrun_uid}"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            work = tmp_path_factory.mktemp("work")
            for verb in ("run", "evaluate-vae"):
                done = textvae([verb, "smoke"], work, TEXTVAE_MIRROR=str(smoke_mirror), HF_HUB_OFFLINE="1")
                assert done.returncode == 0, done.stderr[-3000:]
            shutil.move(work / "runs/smoke", shared)
    return shared


@pytest.fixture
def hub():
    with LoopbackHub() as hub:
        yield hub


BASE = "hf-internal-testing/tiny-random-gpt2"  # of the adapter


@pytest.fixture(scope="session")
def published(finished_run, smoke_mirror, tmp_path_factory):
    """The Hub after `textvae publish --push`, and what the command said."""
    with LoopbackHub() as hub:
        base = smoke_mirror / "models" / BASE
        hub.add(BASE, {path.name: path.read_bytes() for path in base.iterdir()})
        done = publish(hub, finished_run, smoke_mirror, tmp_path_factory.mktemp("publisher"), "--push")
        assert done.returncode == 0, done.stderr[-3000:]
        yield hub, done
