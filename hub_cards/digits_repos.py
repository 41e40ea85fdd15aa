"""The repositories of a run of digits: one for each of its autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ..training.common.errors import UserError
from ..training.common.files import read_json
from .layout import Json, Layout, check_weights, hub_datasets, measured_on, needed
from .staging import MODEL_FILES, Repo, short_name, stage

PICTURES = {
    "reconstructions_{}.png": "Test images, and what was made of them",
    "generated_{}.png": "Digits that nobody drew",
    "interpolations_{}.png": "From one digit to another",
    "latent_map_{}.svg": "Test images by their codes, drawn as their labels",
    "plane_{}.png": "What the plane of codes holds",
    "loss_{}.svg": "Loss of training and validation images",
}


class DigitsRepos(Layout):
    @property
    def parts(self) -> tuple[str, ...]:
        return (*(f"{name}/model" for name in self.recipe["models"]), "pictures")

    def repositories(self) -> Iterator[tuple[Path, Callable[[], Repo]]]:
        for name in sorted(self.recipe["models"], key=lambda name: name != self.recipe["main"]):
            yield self.results, partial(self.autoencoder, name)

    def local_pins(self) -> Json:
        model = self.run / self.recipe["main"] / "model"
        if not (model / "config.json").exists():
            raise UserError(f"{self.run}: holds no trained model yet; run `{self.info['command']}` to its end")
        return {"digits": {"id": str(model.resolve())}}

    def pins(self, repos: Sequence[Repo], commits: Mapping[str, str]) -> Json:
        return {"digits": {"id": repos[0].id, "revision": commits[repos[0].id]}}

    def autoencoder(self, name: str) -> Repo:
        results = self.results
        figures: Json = read_json(results)
        model: Json = self.recipe["models"][name]
        check_weights(self.run / name / "model" / "model.safetensors", figures.get(f"weights_{name}"), results)
        dataset, source = self.recipe["dataset"], self.sources[self.recipe["dataset"]]
        repo_name = f"{short_name(dataset)}-{name.replace('_', '-')}"
        if name == self.recipe["main"] and self.asked_name:
            repo_name = self.asked_name
        repo_id, folder = self.place(repo_name)
        pictures = {
            pattern.format(name): title
            for pattern, title in PICTURES.items()
            if (self.run / "pictures" / pattern.format(name)).exists()
        }
        metric, value = self._measure(name, model, figures)
        generates = model["variational"] or model["prior_components"] > 0
        facts = self.facts() | {
            "name": repo_name,
            "repo_id": repo_id,
            "model": model,
            "of": f"_{name}",
            "generates": generates,
            "ending": f"_latent_{model['latent_size']}",
            "figures": figures,
            "training": read_json(self.run / name / "training.json"),
            "image_size": read_json(self.run / name / "model" / "config.json")["image_size"],
            "plots": [{"file": file, "title": title} for file, title in pictures.items()],
        }
        metadata = ModelCardData(
            license="apache-2.0",
            library_name="transformers",
            datasets=hub_datasets(source),
            tags=["variational-autoencoder" if model["variational"] else "autoencoder", "custom_code", "textvae"],
            model_name=repo_name,
            eval_results=[
                EvalResult(
                    task_type="image-to-image", metric_type=metric, metric_name=metric, metric_value=value,
                    **measured_on(source, "test"),
                )
            ],
        )  # fmt: skip
        write_card = partial(self.card, "digit_autoencoder", metadata, facts, results)
        sources = [
            (self.run / name / "model", MODEL_FILES, ""),
            (self.run / "pictures", tuple(pictures), "pictures"),
            (self.run, ("evaluation.json",), ""),
        ]
        return stage("model", repo_id, folder, sources, write_card)

    @staticmethod
    def _measure(name: str, model: Json, figures: Json) -> tuple[str, Any]:
        """What the model's training minimised, on the test images."""
        if model["noise"]:
            return "denoised mean squared error", needed(figures, f"denoised_mse_{name}")
        if model["variational"]:
            return "negative ELBO in nats", needed(figures, f"vae_loss_latent_{model['latent_size']}")
        return "mean squared error", needed(figures, f"mse_latent_{model['latent_size']}")
