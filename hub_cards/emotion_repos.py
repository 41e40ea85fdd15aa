"""The repository of a run of emotions: the one model that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from ..training.common.errors import UserError
from ..training.common.files import read_json
from .layout import Json, Layout, check_weights, needed
from .staging import MODEL_FILES, Repo, stage

MAP = "map.json"  # sentences as the model places them, for the Space
PLOTS = ("*.svg",)


class EmotionRepos(Layout):
    parts = ("model", "plots")

    def repositories(self) -> Iterator[tuple[Path, Callable[[], Repo]]]:
        results = self.run / "evaluation.json"
        if not results.exists():
            raise UserError(f"{self.run}: its model has no figures yet; run `{self.info['command']}` to its end")
        yield results, self.emotion_vae

    def emotion_vae(self) -> Repo:
        results = self.run / "evaluation.json"
        figures: Json = read_json(results)
        settings: Json = self.recipe["model"]
        suffix = "_finetuned" if settings["trainable_encoder_layers"] else ""
        measured = f"sha256:{needed(figures, f'weights_sha256{suffix}')}"
        check_weights(self.run / "model" / "model.safetensors", measured, results)
        name = self.asked_name or self.recipe["name"].replace("_", "-") + "-vae"
        repo_id, folder = self.place(name)
        config: Json = read_json(self.run / "model" / "config.json")
        data, encoder = self.info["sources"][0], self.info["sources"][1]
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
        metadata = ModelCardData(
            # Sentences of EmoBank travel in the map: its licence asks that what is made of them be shared alike.
            license="cc-by-sa-4.0" if data["id"] == "JULIELab/EmoBank" else "apache-2.0",
            library_name="transformers",
            pipeline_tag="text-classification",
            language="en",
            base_model=encoder["id"] if encoder["stand_in"] is None else None,
            datasets=[data["id"]],
            tags=["emotion", "valence-arousal", "variational-autoencoder", "regression", "custom_code", "textvae"],
            model_name=name,
            eval_results=[
                EvalResult(
                    task_type="text-classification", dataset_type=data["id"], dataset_name=data["id"],
                    dataset_split="test", metric_type="pearsonr", metric_name=f"Pearson r of {dimension}",
                    metric_value=needed(figures, f"official_r_{dimension}{suffix}"),
                )
                for dimension in config["rated"]
            ],
        )  # fmt: skip
        write_card = partial(self.card, "emotion_vae", metadata, facts, results)
        sources = [
            (self.run / "model", (*MODEL_FILES, MAP), ""),
            (self.run / "plots", PLOTS, "plots"),
            (self.run, ("evaluation.json",), ""),
        ]
        return stage("model", repo_id, folder, sources, write_card)
