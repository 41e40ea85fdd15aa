"""What laying out the repositories of a run has in common, whatever system the run is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from ..training.common.cards import render_card
from ..training.common.errors import UserError
from ..training.common.files import read_json
from ..training.common.known import DATASETS
from ..training.common.sources import Source, content_revision
from .staging import Repo

Json = dict[str, Any]


class Layout(ABC):
    """Lays the repositories of the run in `run` out under `staging`, for the user or organisation `namespace`."""

    def __init__(self, run: Path, namespace: str, staging: Path, model_name: str | None = None) -> None:
        self.run, self.namespace, self.staging, self.asked_name = run, namespace, staging, model_name
        self.info: Json = read_run(run)
        self.recipe: Json = self.info["recipe"]

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """Folders of the run that files are taken from."""

    def all(self) -> Iterator[Repo]:
        """What the run has, each laid out when it is asked for.

        Raises:
            UserError: it is not finished, a fact is missing, or its figures are of other weights.
        """
        if not self.info.get("finished", True):
            raise UserError(
                f"{self.run}: its last command, `{self.info['command']}`, broke off; run it again to its end"
            )
        for folder, lay_out in self.repositories():
            try:
                yield lay_out()
            except (KeyError, TypeError) as error:  # results of another version, or edited ones
                raise UserError(f"{folder}: a fact is missing in its results ({error}); make them anew") from error

    @abstractmethod
    def repositories(self) -> Iterator[tuple[Path, Callable[[], Repo]]]:
        """What lays out each of them, with the results that it reads."""

    def pins(self, repos: Sequence[Repo], commits: Mapping[str, str]) -> Json:
        """What the Space's `pins.json` says of the run's repositories, at their commits."""
        model = next(repo for repo in repos if repo.kind == "model")
        return {self.info["system"]: {"id": model.id, "revision": commits[model.id]}}

    def local_pins(self) -> Json:
        """The same, for the run's own folders on this machine.

        Raises:
            UserError: there is no trained model in it.
        """
        if not (self.run / "model" / "config.json").exists():
            raise UserError(f"{self.run}: holds no trained model yet; run `{self.info['command']}` to its end")
        return {self.info["system"]: {"id": str((self.run / "model").resolve())}}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Where what the run read came from, by how it was asked for."""
        return {source["asked"]: Source.of(source) for source in self.info.get("sources", [])}

    @property
    def results(self) -> Path:
        """The file with the figures of a sister system's run.

        Raises:
            UserError: there is none yet.
        """
        path = self.run / "evaluation.json"
        if not path.exists():
            raise UserError(f"{self.run}: is not evaluated yet; run `{self.info['command']}` to its end")
        return path

    def place(self, name: str) -> tuple[str, Path]:
        """The id of a repository, and the new folder that it is laid out in.

        Raises:
            UserError: the Hub takes no such id.
        """
        repo_id, folder = f"{self.namespace}/{name}", self.staging / name
        try:
            validate_repo_id(repo_id)
        except HFValidationError as error:
            rule = str(error).partition(": ")[0]
            raise UserError(f"{repo_id}: {rule}; give another --namespace or --model-name") from None
        folder.mkdir(parents=True)
        return repo_id, folder

    def facts(self) -> Json:
        """What every card says of the run."""
        return {
            "recipe": self.recipe,
            "sources": list(self.sources.values()),
            "versions": self.info["versions"],
            "textvae": self.info["textvae"],
            "hardware": self.info["hardware"],
            "command": self.info["command"],
            "seed": self.info["seed"],
        }

    def card(
        self, template: str, metadata: ModelCardData | DatasetCardData, facts: Json, results: Path, revision: str
    ) -> str:
        return render_card(__package__, template, metadata, facts | {"revision": revision}, results)


def read_run(run: Path) -> Json:
    """What `run.json` holds.

    Raises:
        UserError: there is none.
    """
    if not (run / "run.json").is_file():
        raise UserError(f"{run}: holds no run.json; give a folder that textvae made")
    return read_json(run / "run.json")


def language(dataset: str) -> str | None:
    """The datasets that we know are English."""
    return "en" if dataset in DATASETS else None


def needed(facts: Json, name: str) -> Any:
    """A figure for a card's metadata.

    Raises:
        KeyError: it is null, or not there.
    """
    if facts[name] is None:
        raise KeyError(name)
    return facts[name]


def check_weights(weights: Path, measured: str | None, place: Path) -> None:
    """Raises:
    UserError: the figures in `place` were measured with other weights.
    """
    if content_revision([weights]) != measured:
        raise UserError(f"{place}: its figures are not of {weights}; measure that model anew")


def hub_datasets(*sources: Source) -> list[str] | None:
    """The ids that the Hub has of data that was read, for a card's metadata; a stand-in was not what it stands for."""

    def is_there(source: Source) -> bool:
        known = DATASETS.get(source.id)
        return source.stand_in is None and (known.on_hub if known else source.origin in ("hub", "mirror"))

    return [source.id for source in sources if is_there(source)] or None


def hub_model(source: Source) -> str | None:
    """The id of the model that was read, likewise."""
    return source.id if source.is_same_model and source.origin != "path" else None


def measured_on(source: Source, split: str) -> Json:
    """What an `EvalResult` says of the rows that figures are of."""
    dataset = source.id if hub_datasets(source) else None
    return {
        "dataset_type": dataset or "other",
        "dataset_name": dataset or source.stand_in or source.id,
        "dataset_split": split,
    }


def classification(figures: Json, source: Source, split: str) -> list[EvalResult]:
    """A classifier's figures on those rows, for a card's metadata; errors as for `needed`."""
    return [
        EvalResult(
            task_type="text-classification", metric_type=metric, metric_name=metric,
            metric_value=needed(figures, metric), **measured_on(source, split),
        )
        for metric in ("accuracy", "precision", "recall", "f1")
    ]  # fmt: skip
