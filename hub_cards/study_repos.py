"""The repositories of a study's run: its VAE, its grown datasets, its classifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from textvae.modeling_textvae.priors import FittedPrior

from ..training.augment.card import dataset_card
from ..training.common.errors import UserError
from ..training.common.files import read_json, read_jsonl
from ..training.common.intervals import wilson_interval
from ..training.common.known import MODELS
from ..training.common.progress import say
from ..training.common.sources import Source
from ..training.study.report import report_facts
from .layout import Json, Layout, check_weights, classification, hub_datasets, hub_model, language, measured_on, needed
from .staging import DATASET_FILES, MODEL_FILES, Repo, short_name, stage

SAMPLES = 20
RECONSTRUCTIONS = 5
EVALUATION_PLOTS = {
    "rate-distortion.svg": "What a sentence costs, by how much its posterior may tell",
    "neighbours.svg": "How near neighbours stay to their source, by the noise",
    "latent-map.svg": "Posterior means of the test sentences on two principal components",
}


class StudyRepos(Layout):
    """A text VAE, grown datasets and classifiers, of which a run may have some only."""

    parts = ("vae", "evaluation", "augmented", "classifiers", "plots")

    @property
    def model_name(self) -> str:
        return self.asked_name or f"textvae-{short_name(self.recipe['vae']['texts'])}"

    def repositories(self) -> Iterator[tuple[Path, Callable[[], Repo]]]:
        parts: list[tuple[str, Callable[[Path], Repo]]] = [
            ("vae/training.json", self.text_vae),
            ("augmented/*/provenance.json", self.dataset),
            ("classifiers/*/tokenizer_config.json", self.classifier),
        ]
        for sign, lay_out in parts:
            for folder in sorted(path.parent for path in self.run.glob(sign)):
                if (problem := self._without_body(folder)) is None:
                    yield folder, partial(lay_out, folder)
                else:
                    say(f"{folder}: is left out: {problem}")

    def pins(self, repos: Sequence[Repo], commits: Mapping[str, str]) -> Json:
        model = next((repo for repo in repos if (repo.folder / "modeling_textvae.py").exists()), None)
        if model is None:
            return {}
        pins = self._models({"id": model.id, "revision": commits[model.id]})
        datasets = [repo for repo in repos if repo.kind == "dataset"]
        if datasets:
            largest = max(datasets, key=lambda repo: (repo.folder / "train.parquet").stat().st_size)
            pins["dataset"] = {"id": largest.id, "revision": commits[largest.id]}
            if (largest.folder / "evidence" / "report.md").exists():
                pins["evidence"] = pins["dataset"]
        return pins

    def local_pins(self) -> Json:
        if not (self.run / "vae" / "training.json").exists():
            raise UserError(f"{self.run}: holds no trained text VAE; give a folder that `textvae run` made")
        pins = self._models({"id": str((self.run / "vae").resolve())})
        rows = sorted((self.run / "augmented").glob("*/train.parquet"), key=lambda path: path.stat().st_size)
        if rows:
            pins["dataset"] = {"id": str(rows[-1].parent.resolve())}
        if (self.run / "report.md").exists():
            pins["evidence"] = {"id": str(self.run.resolve())}
        return pins

    def _models(self, model: Json) -> Json:
        """Where the VAE is, and how its draws read best."""
        return {"models": {self.recipe["evaluation"]["profile"]: model | {"sampling": self._sampling}}}

    @property
    def _sampling(self) -> Json:
        """How the samples of an evaluation are drawn, as `generate` is told it."""
        evaluation = self.recipe["evaluation"]
        return {
            "prior_temperature": evaluation["prior_temperature"],
            "latent_share": evaluation["latent_share"],
            "top_p": evaluation["token_top_p"],
        }

    def text_vae(self, vae: Path) -> Repo:
        """The VAE with its fitted priors, its figures and plots.

        Raises:
            UserError: it has not been evaluated, or other weights have.
        """
        evaluation = self.run / "evaluation"
        if not (evaluation / "evaluation.json").exists():
            raise UserError(
                f"{self.run}: its VAE has no figures; run `textvae evaluate-vae {self.recipe['name']}` first"
            )
        figures, page = read_json(evaluation / "evaluation.json"), read_json(evaluation / "page.json")
        check_weights(vae / "model.safetensors", figures.get("weights"), evaluation / "evaluation.json")
        training = read_json(vae / "training.json")["facts"]
        sources = [Source(**source) for source in training["sources"]]
        encoder, texts, *others = sources
        repo_id, folder = self.place(self.model_name)
        facts = self.facts() | {
            "name": self.model_name,
            "repo_id": repo_id,
            "figures": figures,
            "training": training,
            "priors": [_prior(path) for path in sorted(vae.glob("*.prior.safetensors"))],
            "plots": [{"file": file, "title": title} for file, title in EVALUATION_PLOTS.items()],
            "samples": page["samples"]["vae"][:SAMPLES],
            "reconstructions": page["reconstructions"][:RECONSTRUCTIONS],
            "sources": sources,
            "stand_ins": [source for source in figures["sources"] if source["stand_in"]],
            "compatible": read_json(Path(__file__).with_name("compatibility.json")),
        }
        facts["sampling"] = self._sampling
        metadata = ModelCardData(
            license="apache-2.0",
            library_name="transformers",
            language=language(texts.id),
            base_model=hub_model(encoder),
            datasets=hub_datasets(texts, *others),
            tags=["variational-autoencoder", "data-augmentation", "custom_code", "textvae"],
            model_name=self.model_name,
            eval_results=[
                EvalResult(
                    task_type="text-generation", metric_type=kind, metric_name=name,
                    metric_value=needed(figures, figure), **measured_on(texts, "test"),
                )
                for kind, name, figure in (
                    ("bleu", "reconstruction BLEU", "bleu_reconstruction"),
                    ("mauve", "MAUVE of samples", "mauve"),
                    ("perplexity", "importance-weighted perplexity", "iw_ppl"),
                )
            ],
        )  # fmt: skip
        write_card = partial(self.card, "text_vae", metadata, facts, evaluation)
        plots = (evaluation / "plots", tuple(EVALUATION_PLOTS), "plots")
        results = (evaluation, ("evaluation.json",), "")
        return stage("model", repo_id, folder, [(vae, MODEL_FILES, ""), plots, results], write_card)

    def dataset(self, source: Path) -> Repo:
        repo_id, folder = self.place(source.name)
        evidence = [
            (self.run, ("report.md", "run.json", "summary.json", "results.jsonl"), "evidence"),
            (self.run / "plots", ("*.svg",), "evidence/plots"),
        ]
        sources = [(source, DATASET_FILES, ""), *evidence]
        return stage("dataset", repo_id, folder, sources, partial(dataset_card, source, repo_id))

    def _without_body(self, folder: Path) -> str | None:
        """Why nobody could load an adapter; None where everybody can, or where the folder holds none."""
        if not (folder / "adapter_config.json").exists():
            return None
        body = self.sources.get(self.recipe["classifiers"].get(folder.name, {}).get("model"))
        if body is None:
            return "its recipe does not say over which body its adapter was trained"
        if not body.is_same_model:
            return f"its adapter was trained on a stand-in for {body.id} ({body.stand_in}) and fits no other body"
        return "its adapter's body is a folder of this machine" if body.origin == "path" else None

    def classifier(self, source: Path) -> Repo:
        """A trained classifier, or its adapter, with the study that it was a part of.

        Raises:
            UserError: results.jsonl does not hold its figures.
        """
        kind = source.name
        results = self.run / "results.jsonl"
        rows = read_jsonl(results)
        row = next((row for row in rows if row["classifier"] == kind and row.get("model_revision")), None)
        if row is None:
            raise UserError(f"{results}: has no figures of the classifier in {source}; run the recipe again")
        adapter = (source / "adapter_config.json").exists()
        check_weights(
            source / ("adapter_model.safetensors" if adapter else "model.safetensors"), row["model_revision"], results
        )
        facts = report_facts(rows, self.info)
        about = next(one for one in facts["classifiers"] if one["name"] == kind)
        settings = self.recipe["classifiers"][kind]
        study, dataset = self.info["study"], self.info["study"]["dataset"].rpartition("/")[2]
        name = f"{dataset}-{kind.replace('_', '-')}-vae-aug{row['size']}"
        repo_id, folder = self.place(name)
        body, rows_of = self.sources[settings["model"]], self.sources[study["dataset"]]
        plot = f"learning-curve-{kind}.svg"
        split = "train" if study["role"] == "development" else "test"
        card = self.facts() | {
            "name": name,
            "repo_id": repo_id,
            "kind": about["kind"],
            "row": row,
            "interval": wilson_interval(row["accuracy"], row["test_rows"]),
            "arms": about["arms"],
            "arm_names": {arm["arm"] for arm in about["arms"]},
            "verdict": next(verdict.sentence for verdict in facts["verdicts"] if verdict.about == kind),
            "label_names": study["label_names"],
            "study": study,
            "settings": settings,
            "adapter": adapter,
            "remote_code": "auto_map" in read_json(source / "config.json") if not adapter else False,
            "body": body,
            "body_revision": _pinned(body),
            "cue": settings["cue"],
            "plots": [{"file": plot, "title": f"Accuracy of {kind} by rows and arm"}],
            "saw": facts["saw"],
            "sources": [rows_of, body],
            "dataset_id": f"{self.namespace}/{dataset}-vae-aug{row['size']}",
            "stage": self.info["stages"]["classify"],
        }
        metadata = ModelCardData(
            license="apache-2.0",
            library_name="peft" if adapter else "transformers",
            pipeline_tag="text-classification",
            language=language(study["dataset"]),
            base_model=hub_model(body),
            datasets=[*(hub_datasets(rows_of) or []), card["dataset_id"]],
            tags=["textvae", *(["lora"] if adapter else ["custom_code"] if card["remote_code"] else [])],
            metrics=["accuracy", "f1", "precision", "recall"],
            model_name=name,
            eval_results=classification(row, rows_of, split),
        )
        write_card = partial(self.card, "classifier", metadata, card, results)
        sources = [(source, MODEL_FILES, ""), (self.run / "plots", (plot,), "plots")]
        return stage("model", repo_id, folder, sources, write_card)


def _pinned(body: Source) -> str | None:
    """The commit on the Hub that a body is the model of."""
    if body.origin == "hub":
        return body.revision
    return MODELS[body.id].revision if body.id in MODELS else None


def _prior(path: Path) -> Json:
    facts = FittedPrior.load(path).facts
    return {"name": path.name.removesuffix(".prior.safetensors"), "facts": facts, "classes": facts.get("classes", [])}
