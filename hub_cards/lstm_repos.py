"""The repositories of an LSTM's run: the classifier, and the tricky reviews that it was scored on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from huggingface_hub import DatasetCardData, ModelCardData

from ..training.common.errors import UserError
from ..training.common.files import file_digest, read_json
from ..training.common.intervals import wilson_interval
from ..training.common.rows import read_rows
from ..training.lstm.data import TRICKY
from .layout import Json, Layout, check_weights, classification, hub_datasets, language
from .staging import MODEL_FILES, Repo, short_name, stage

REVIEWS = "tricky-reviews"
EXAMPLES = 3  # pairs that the dataset's card shows


class LstmRepos(Layout):
    parts = ("model", "plots")

    def __init__(self, run: Path, namespace: str, staging: Path, model_name: str | None = None) -> None:
        super().__init__(run, namespace, staging, model_name)
        if "members" in self.recipe:
            members = " ".join(self.info["members"].values())
            raise UserError(f"{run}: compares LSTMs and holds none itself; give folders of theirs: {members}")

    def pins(self, repos: Sequence[Repo], commits: Mapping[str, str]) -> Json:
        """The Space colours words between two classes."""
        return super().pins(repos, commits) if self._classes() == 2 else {}

    def local_pins(self) -> Json:
        pins = super().local_pins()
        if self._classes() != 2:
            raise UserError(f"{self.run}: tells {self._classes()} classes apart; the page colours words between two")
        return pins

    @property
    def results(self) -> Path:
        path = self.run / "evaluation.json"
        if not path.exists():
            # The command that trained it may be of a comparison that scores no test rows.
            again = shlex.join(["textvae", "lstm", str(self.run / "recipe.yaml"), "--output", str(self.run)])
            raise UserError(f"{self.run}: is not evaluated yet; run `{again}` to its end")
        return path

    def _classes(self) -> int:
        return len(read_json(self.run / "model" / "config.json")["id2label"])

    def repositories(self) -> Iterator[tuple[Path, Callable[[], Repo]]]:
        yield self.results, self.classifier
        if read_json(self.results)["tricky"]:
            yield TRICKY, self.reviews

    def classifier(self) -> Repo:
        results = self.results
        figures: Json = read_json(results)
        check_weights(self.run / "model" / "model.safetensors", figures.get("weights"), results)
        dataset, source = self.recipe["dataset"], self.sources[self.recipe["dataset"]]
        name = self.asked_name or f"{short_name(dataset)}-{self.recipe['name'].replace('_', '-')}"
        repo_id, folder = self.place(name)
        plots = {
            f"learning-{self.recipe['name']}.svg": "Loss and accuracy of training and validation rows",
            "reliability.svg": "Accuracy by confidence",
        }
        test, tricky = figures["test"], figures["tricky"]
        facts = self.facts() | {
            "name": name,
            "repo_id": repo_id,
            "figures": figures,
            "interval": wilson_interval(test["accuracy"], test["rows"]),
            "solved": tricky and wilson_interval(tricky["pairs_solved"], tricky["pairs"]),
            "label_names": list(read_json(self.run / "model" / "config.json")["id2label"].values()),
            "plots": [{"file": file, "title": title} for file, title in plots.items()],
            "reviews_id": f"{self.namespace}/{REVIEWS}",
        }
        metadata = ModelCardData(
            license="apache-2.0",
            library_name="transformers",
            pipeline_tag="text-classification",
            language=language(dataset),
            datasets=hub_datasets(source),
            tags=["lstm", "custom_code", "textvae"],
            metrics=["accuracy", "f1", "precision", "recall"],
            model_name=name,
            eval_results=classification(test, source, "test"),
        )
        write_card = partial(self.card, "lstm", metadata, facts, results)
        sources = [
            (self.run / "model", MODEL_FILES, ""),
            (self.run / "plots", tuple(plots), "plots"),
            (self.run, ("evaluation.json",), ""),
        ]
        return stage("model", repo_id, folder, sources, write_card)

    def reviews(self) -> Repo:
        """The tricky reviews as a dataset: the same for every run."""
        repo_id, folder = self.place(REVIEWS)
        columns = read_rows(TRICKY).columns
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        facts = {
            "repo_id": repo_id,
            "rows": len(rows),
            "pairs": len(set(columns["pair"]) - {""}),
            "categories": list(dict.fromkeys(columns["category"])),
            "examples": [row for row in rows if row["pair"]][: 2 * EXAMPLES],
            "file": TRICKY.name,
            "sha256": file_digest(TRICKY),
        }
        metadata = DatasetCardData(
            license="apache-2.0",
            language="en",
            pretty_name="Tricky film reviews",
            task_categories=["text-classification"],
            size_categories="n<1K",
            tags=["textvae"],
            configs=[{"config_name": "default", "data_files": [{"split": "test", "path": TRICKY.name}]}],
        )
        write_card = partial(self.card, "tricky_reviews", metadata, facts, TRICKY)
        return stage("dataset", repo_id, folder, [(TRICKY.parent, (TRICKY.name,), "")], write_card)
