"""The repository of a run of emotions: the one model that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from ..training.common.files import read_json
from ..training.common.known import DATASETS
from .layout import Json, Layout, check_weights, hub_datasets, hub_model, language, measured_on, needed
from .staging import MODEL_FILES, Repo, stage

MAP = "map.json"  # sentences as the model places them, for the Space
DRAWINGS = ("*.svg",)


class EmotionRepos(Layout):
    parts = ("model", "plots")

    def repositories(self) -> Iterator[tuple[Path, Callable[[], Repo]]]:
        yield self.results, self.emotion_vae

    def emotion_vae(self) -> Repo:
        results = self.results
        figures: Json = read_json(results)
        settings: Json = self.recipe["model"]
        suffix = "_finetuned" if settings["trainable_encoder_layers"] else ""
        measured = f"sha256:{needed(figures, f'weights_sha256{suffix}')}"
        check_weights(self.run / "model" / "model.safetensors", measured, results)
        name = self.asked_name or self.recipe["name"].replace("_", "-") + "-vae"
        repo_id, folder = self.place(name)
        config: Json = read_json(self.run / "model" / "config.json")
        data, encoder, *_ = self.sources.values()
        plots = sorted(path.name for path in (self.run / "plots").glob("*.svg"))
        facts = self.facts() | {
            "name": name,
            "repo_id": repo_id,
            # Those of another run, without a suffix, may stand beside them.
            "figures": {key.replace(suffix, ""): value for key, value in figures.items() if suffix in key},
            "official": read_json(self.run / "official.json")["facts"],
            "rated": config["rated"],
            "config": config,
            "data": self.info["data"],
            "measured": measured,
            "plots": [{"file": file, "title": file.removesuffix(".svg").replace("-", " ")} for file in plots],
        }
        emobank = data.id == "JULIELab/EmoBank" and data.stand_in is None
        licence = "cc-by-sa-4.0" if emobank else "apache-2.0" if data.id in DATASETS else "unknown"
        metadata = ModelCardData(
            # Test sentences travel in the map: EmoBank's licence asks that what is made of them be shared alike, and
            # which licence a user's own sentences have is not known.
            license=licence,
            library_name="transformers",
            language=language(data.id),
            base_model=hub_model(encoder),
            datasets=hub_datasets(data),
            tags=["emotion", "valence-arousal", "variational-autoencoder", "regression", "custom_code", "textvae"],
            model_name=name,
            eval_results=[
                EvalResult(
                    task_type="text-classification", metric_type="pearsonr", metric_name=f"Pearson r of {dimension}",
                    metric_value=needed(figures, f"official_r_{dimension}{suffix}"), **measured_on(data, "test"),
                )
                for dimension in config["rated"]
            ],
        )  # fmt: skip
        write_card = partial(self.card, "emotion_vae", metadata, facts, results)
        sources = [
            (self.run / "model", (*MODEL_FILES, MAP), ""),
            (self.run / "plots", DRAWINGS, "plots"),
            (self.run, ("evaluation.json",), ""),
        ]
        return stage("model", repo_id, folder, sources, write_card)
