"""Rows and facts of a finished run, made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textvae.training.common.files import fingerprint
from textvae.training.common.recipe import ClassifierRecipe, Recipe

HOSTILE = "a <script>alert('x')</script> film | that *never* finds [its](http://evil.example) footing"


CELL = ("classifier", "arm", "size")


def _row(classifier: str, arm: str, size: int, subset: int, points: float, seed: int = 0) -> dict:
    share = points / 100
    figures = {
        "accuracy": share,
        "precision": share,
        "recall": share,
        "f1": share,
        "macro_f1": share,
        "cross_entropy": 0.6,
    }
    cell = {"classifier": classifier, "arm": arm, "size": size, "budget": 10, "subset": subset, "seed": seed}
    weights = f"org/{classifier}@123"
    return cell | figures | {
        "rows": size, "test_rows": 50, "steps": 9, "weights": weights, "seconds": 1.5, "fingerprint": "0",
    }  # fmt: skip


@pytest.fixture
def make_row():
    return _row


@pytest.fixture
def on_shared():
    """What an analysis says of rows that were all scored on the same fifty test rows."""

    def of(rows: list[dict]) -> dict:
        found: dict[tuple, dict] = {}
        for row in rows:
            place = (row["classifier"], row["arm"], row["size"])
            found.setdefault(place, {})[str(row["subset"])] = 100 * row["accuracy"]
        shared = [dict(zip(CELL, place, strict=True), accuracies=found[place]) for place in found]
        return {"shared_rows": 50, "shared": shared}

    return of


@pytest.fixture
def rows() -> list[dict]:
    """lstm gains about 3 points in each of three subsets; bert has two subsets, gpt2_lora no `duplicate`."""
    points = {
        ("real", 10): 60.0,
        ("duplicate", 50): 61.0,
        ("vae", 20): 62.0,
        ("vae", 50): 64.0,
        ("oracle", 50): 71.0,
    }
    made = [
        _row("lstm", arm, size, subset, value + subset + 0.1 * subset * (arm == "vae"))
        for (arm, size), value in points.items()
        for subset in range(3)
    ]
    made += [_row("bert", arm, 50, k, value) for arm, value in (("duplicate", 60), ("vae", 62)) for k in range(2)]
    return [*made, _row("gpt2_lora", "vae", 50, 0, 70.0)]


@pytest.fixture
def info() -> dict:
    names = ("lstm", "bert", "gpt2_lora")
    recipe = Recipe(name="tiny", classifiers={name: ClassifierRecipe(model=f"org/{name}") for name in names})

    def source(name: str, stand_in: str | None = None) -> dict:
        return {
            "asked": name, "id": name, "origin": "registry", "location": "npm thing 1.0",
            "revision": "sha256:12", "stand_in": stand_in, "licence": None,
        }  # fmt: skip

    hardware = {"cpu": "a processor", "cores": 2, "memory_gb": 24.0, "gpu": None}
    made = {"command": "textvae run tiny", "hardware": hardware}
    curve = [
        {"step": step, "nll": 90.0 - step, "kl": 5.0 + step, "beta": 0.01 * step, "active_units": 3}
        for step in range(1, 30)
    ]
    return {
        "recipe": recipe.to_dict(),
        "textvae": "0.1.0",
        "versions": {"torch": "2.13.0"},
        "python": "3.11.7",
        "seed": 0,
        **made,
        "sources": [
            source(recipe.study.dataset),
            source(recipe.vae.texts),
            source(recipe.vae.encoder),
            *(source(f"org/{name}", "a smaller body" if name == "bert" else None) for name in names),
        ],
        "stages": {
            name: {"fingerprint": "0", "seconds": seconds, "finished": "", "note": None} | made
            for name, seconds in (("sources", 20.0), ("vae", 100.5), ("augment", 30.0), ("classify", 60.0))
        },
        "setup_seconds": 90.0,
        "peak_memory_gb": 4.25,
        "study": {
            "dataset": recipe.study.dataset, "label_names": ["neg", "pos"], "budget": 10, "subsets": 3,
            "test_rows": 50, "role": "study",
        },
        "vae": {
            "steps": 29, "sentences": 800, "seconds": 77.0, "precision": "float32", "bleu_reconstruction": 31.4,
            "curve": curve, "reconstructions": [{"text": HOSTILE, "reconstruction": "a film"}] * 10,
            "prior_samples": ["a good film"] * 10,
        },
        "synthetic": [
            {"generator": "vae", "text": f"{number} {HOSTILE}", "label": number % 2, "method": "neighbour",
             "teacher_confidence": 0.8, "source": HOSTILE} for number in range(10)
        ],
        "augmentation": [
            {"generator": "vae", "budget": 10, "subset": 0, "candidates": 160, "kept": 40, "words": 1600,
             "rejected": {"over quota": 120}, "perplexity": 88.0, "seconds": 9.0,
             "choosing_cpu_seconds": 2.0,
             "writing": {"cpu_seconds": 8.0, "words": 1600, "training_cpu_seconds": 0.0}}
        ],
    }  # fmt: skip


@pytest.fixture
def write_run(tmp_path):
    """Writes rows and facts as a run folder, the facts' analysis being of these rows."""

    def write(rows: list[dict], info: dict) -> Path:
        results = tmp_path / "results.jsonl"
        results.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        if "analysis" in info:
            info = info | {"analysis": info["analysis"] | {"results": fingerprint(results)}}
        (tmp_path / "run.json").write_text(json.dumps(info), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def run_folder(write_run, rows, info):
    return write_run(rows, info)
