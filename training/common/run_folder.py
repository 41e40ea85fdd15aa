"""The folder of a run: its facts, its sources, its stages, and what of it is done.

`run.json` remembers for each stage a fingerprint of what it read: a stage that finds its outputs there, made
from the same inputs, is reused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import yaml

from . import precision
from .errors import UserError
from .files import fingerprint, read_json, write_json, write_text
from .machine import hardware
from .progress import say
from .recipe import AnyRecipe
from .sources import Source, resolve_model

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


@contextlib.contextmanager
def open_run(path: str | Path, recipe: AnyRecipe) -> Iterator[RunFolder]:
    """The folder of a run, made where there is none; other runs are kept out of it, and of its files, until it is left.

    Raises:
        UserError: another run is at work there, or the folder cannot be made.
    """
    path = Path(path)
    lock = filelock.FileLock(path / ".lock", timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise UserError(f"{path}: another run is at work here; wait for it or give another --output") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; give another --output") from None
    try:
        yield RunFolder(path, recipe)
        facts = path / "run.json"  # as it is: a run may have opened itself anew with more of a recipe
        write_json(facts, read_json(facts) | {"finished": True})
    finally:
        lock.release()


class RunFolder:
    """A run's folder with `recipe.yaml` (resolved) and `run.json`, which only who has opened it (`open_run`) writes."""

    def __init__(self, path: str | Path, recipe: AnyRecipe):
        self.path = Path(path)
        self._file = self.path / "run.json"
        self.info: dict[str, Any] = read_json(self._file) if self._file.exists() else {"sources": [], "stages": {}}
        write_text(self.path / "recipe.yaml", yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True))
        self._maker = {
            "textvae": metadata.version("textvae"),
            "versions": {name: metadata.version(name) for name in LIBRARIES},
            "python": platform.python_version(),
            "hardware": hardware(),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        }
        self.update(
            system=recipe.system,
            recipe=recipe.to_dict(),
            seed=recipe.seed,
            finished=False,  # until then these facts may be of another recipe than the results
            # Who reuses all stages has made nothing of what is reported.
            **{name: self.info.get(name, fact) for name, fact in self._maker.items()},
        )

    def update(self, **facts: Any) -> None:
        """Set top-level keys of run.json; of `peak_memory_gb` the larger of old and new is kept."""
        if "peak_memory_gb" in facts:
            facts["peak_memory_gb"] = max(facts["peak_memory_gb"], self.info.get("peak_memory_gb", 0.0))
        self.info.update(facts)
        write_json(self._file, self.info)

    @property
    def log(self) -> Path:
        """Where its workers write."""
        return self.path / "logs" / "workers.log"

    def note_sources(self, sources: Mapping[str, Source]) -> None:
        """Set what the run reads, by the names that its recipe gives it."""
        self.update(sources=[{"asked": name, **source.to_dict()} for name, source in sources.items()])

    def source(self, name: str) -> dict[str, Any]:
        """What run.json says of a dataset or model, by the name that the recipe gives it."""
        return next(source for source in self.info["sources"] if source["asked"] == name)

    def check_sources(self, names: Iterable[str]) -> None:
        """Refuse to go on with other weights than the run began with: its cells would not be comparable.

        Raises:
            UserError: a model comes from elsewhere now, as when the Hub has come within reach.
        """
        for name in names:
            now, then = resolve_model(name)[1], self.source(name)
            if (now.revision, now.stand_in) != (then["revision"], then["stand_in"]):
                raise UserError(
                    f"{name}: this run began with {then['location']}, now it comes from {now.location}; "
                    f"restore that source, or run anew with another --output than {self.path}"
                )

    def dtype(self, asked: precision.Precision, layer: precision.Recurrent = "GRU") -> str:
        """The precision of its work, as torch names it: chosen once, so that all cells share it."""
        self.update(precision=precision.settle(asked, self.info.get("precision"), layer))
        return self.info["precision"]["dtype"]

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
        others = {key: value for key, value in self.info["stages"].items() if key != name}
        self.update(stages=others, **self._maker)
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
