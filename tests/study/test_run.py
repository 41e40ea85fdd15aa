"""The cells of a run: kept, reused, and the same rows after a SIGKILL as without one."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from processes import environment, python, started

from textvae.training.common.recipe import AugmentRecipe, ClassifierRecipe, Recipe, VariantRecipe
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.run_folder import RunFolder, open_run
from textvae.training.study import run as study
from textvae.training.study.banks import vae_home

# A run whose cells take a moment each and score what their key says: all but the training is real.
SCRIPT = """
import hashlib, json, os, sys, time
from dataclasses import replace
from pathlib import Path

import pandas as pd

def train(folder, recipe, cell, dtype):
    (folder / "begun").mkdir(exist_ok=True)
    (folder / "begun" / f"{cell.key}.{os.getpid()}.{time.monotonic_ns()}").touch()
    time.sleep(PAUSE)
    accuracy = int(hashlib.sha256(cell.key.encode()).hexdigest()[:4], 16) / 2**16
    return vars(cell) | {"accuracy": accuracy, "rows": cell.size, "steps": 1, "weights": "w",
                         "seconds": time.monotonic()}

PAUSE = float(sys.argv[1])

if __name__ == "__main__":
    from textvae.training.common.recipe import ClassifierRecipe, Recipe
    from textvae.training.common import run_folder
    from textvae.training.common.run_folder import RunFolder
    from textvae.training.study import rows, run as study

    arms = {"real": (4,), "oracle": (8,)}
    settings = ClassifierRecipe(model="org/body", steps={4: 1, 8: 1}, arms=arms, subsets=2)
    recipe = Recipe(name="tiny", precision="float32", classifiers={"lstm": settings, "bert": settings})
    source = {"id": "org/body", "location": "a folder", "revision": "1", "stand_in": None}
    run_folder.resolve_model = lambda name: (None, type("Source", (), source))
    for folder, steps in zip(sys.argv[2::2], sys.argv[3::2]):
        folder = Path(folder)
        run = RunFolder(folder, recipe)
        run.update(sources=[{"asked": "org/body", **source}])
        for path in [rows.held_out_file(folder, 0), *(rows.subset_file(folder, k) for k in range(3))]:
            path.parent.mkdir(exist_ok=True)
            texts = [f"{path.name} {k}" for k in range(8)]
            pd.DataFrame({"row": range(8), "text": texts, "label": [0, 1] * 4}).to_parquet(path)
        (folder / "rows" / "dataset.json").write_text(json.dumps({
            "label_names": ["neg", "pos"],
            "source": dict.fromkeys(("id", "origin", "location", "revision", "stand_in", "licence"), "a"),
        }))
        grown = replace(settings, subsets=2 + steps.count("+"))
        changed = {"lstm": grown, "bert": replace(grown, steps={4: int(steps.rstrip("+")), 8: 1})}
        study.classify(run, replace(recipe, classifiers=changed), train)
"""
CELLS = 8


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "cells.py"
    path.write_text(SCRIPT)
    return path


def _rows(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def _begun(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in (folder / "begun").iterdir())


def test_a_killed_run_goes_on_and_ends_with_the_same_rows(script, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with started([script, "0.5", killed, "1"], tmp_path) as process:
        deadline = time.monotonic() + 120
        while not (killed / "results.jsonl").exists() or len(_rows(killed)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finished = {(row["classifier"], row["arm"], row["subset"]) for row in _rows(killed)}
    assert 2 <= len(finished) < CELLS
    torn = (killed / "results.jsonl").read_text() + '{"classifier": "ls'  # a crash in the middle of a line
    (killed / "results.jsonl").write_text(torn)
    before = _begun(killed)

    done = python([script, "0", killed, "1", whole, "1", killed, "1", killed, "2"], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert _rows(whole) != []
    order = [(row["classifier"], row["arm"], row["subset"]) for row in _rows(whole)]
    assert order == [(c, arm, k) for c in ("lstm", "bert") for arm in ("real", "oracle") for k in range(2)]
    expected = {(row["classifier"], row["arm"], row["subset"]): row for row in _rows(whole)}
    final = _rows(killed)
    # The last pass changed the steps of bert's `real` cells: two new rows, the others untouched.
    changed = [row for row in final if row != expected[row["classifier"], row["arm"], row["subset"]]]
    assert [(row["classifier"], row["arm"]) for row in changed] == [("bert", "real")] * 2
    assert [row | {"fingerprint": ""} for row in final] == [row | {"fingerprint": ""} for row in _rows(whole)]
    # Two cells at most were lost by the kill, and two were trained anew for their new steps.
    assert len(before) <= len(finished) + 2
    assert len(_begun(killed)) == len(before) + (CELLS - len(finished)) + 2
    assert f"8 cells, {len(finished)} of them reused" in done.stderr
    assert "classify: reused" in done.stderr
    # What the report says of it: two rows of the test's scores were thrown away for a changed recipe.
    assert len(json.loads((killed / "run.json").read_text())["replaced_cells"]) == 2
    assert json.loads((whole / "run.json").read_text())["replaced_cells"] == []


def test_cells_of_a_plan_that_grew_are_told_from_those_trained_anew_however_often_it_is_stopped(script, tmp_path):
    folder = tmp_path / "run"
    assert python([script, "0", folder, "1"], tmp_path).returncode == 0
    with started([script, "0.5", folder, "2+"], tmp_path) as process:  # bert's `real` anew, and a third subset
        deadline = time.monotonic() + 120
        while len(_begun(folder)) < CELLS + 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert python([script, "0", folder, "2+"], tmp_path).returncode == 0
    info = json.loads((folder / "run.json").read_text())
    assert len(info["replaced_cells"]) == 2
    assert len(_rows(folder)) == 12
    assert sorted(info["later_cells"]) == sorted(key for key in info["scored_cells"] if "-subset2-" in key)
    assert len(info["later_cells"]) == 4


def test_arms_of_a_masked_language_model_that_cannot_be_had_are_left_out_and_named(tmp_path, tiny_encoder, capsys):
    """As where the stand-in for BERT is an encoder without a head."""
    arms = {"real": (4,), "vae": (8,), "masked_lm": (8,), "both": (8,)}
    lstm = ClassifierRecipe(model="org/body", steps={4: 1, 8: 1}, arms=arms, subsets=1)
    recipe = Recipe(
        name="tiny",
        augment=AugmentRecipe(masked_lm=str(tiny_encoder)),
        variants={"both": VariantRecipe(generators=("vae", "masked_lm"))},
        classifiers={"lstm": lstm},
    )
    run = RunFolder(tmp_path / "run", recipe)
    left = study._less_what_is_absent(run, recipe)
    assert left.classifiers["lstm"].arms == {"real": (4,), "vae": (8,)}
    assert "its arms are left out" in capsys.readouterr().err
    (absent,) = json.loads((tmp_path / "run" / "run.json").read_text())["absent"]
    assert absent.startswith("masked_lm: ")
    assert "has no head that predicts words" in absent
    assert study._less_what_is_absent(run, left) == left


def test_ctrl_c_ends_the_workers_at_once(script, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, str(script), "600", str(folder), "1"]
    # Where the tests themselves run in the background, Ctrl-C is switched off for them and for what they start.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, preexec_fn=listening) as process:
        deadline = time.monotonic() + 120
        while not (folder / "begun").exists() or len(_begun(folder)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
    assert _rows(folder) == []


@pytest.mark.slow
def test_the_whole_chain_survives_being_killed_at_every_stage(smoke_mirror, tmp_path):
    def start(folder: Path) -> subprocess.Popen:
        return started(["-m", "textvae", "run", "smoke", "--output", folder], tmp_path, TEXTVAE_MIRROR=smoke_mirror)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    errors = start(whole).communicate()[1]
    assert "report: " in errors, errors
    recorded = json.loads((whole / "run.json").read_text())
    assert list(recorded["stages"]) == ["sources", "vae", "augment", "classify", "analyse"]

    for sign in (
        "rows/test.parquet",
        "vae/metrics.jsonl",
        "augmented/candidates/vae-of8-subset0.parquet",
        "results.jsonl",
    ):
        with start(killed) as process:
            deadline = time.monotonic() + 180
            while not (killed / sign).exists() and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
    errors = start(killed).communicate()[1]
    assert "sources: reused" in errors
    assert _rows(killed) == _rows(whole)
    assert len(_rows(whole)) == 2 + 4 + 2 * 5 * 3
    for path in ("rows/test.parquet", "augmented/imdb-vae-aug24/train.parquet", "vae/model.safetensors"):
        assert (killed / path).read_bytes() == (whole / path).read_bytes()

    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.parquet")}
    errors = start(whole).communicate()[1]
    assert [f"{stage}: reused" in errors for stage in recorded["stages"]] == [True] * 5
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.parquet")} == before
    assert json.loads((whole / "run.json").read_text())["stages"] == recorded["stages"]


@pytest.mark.slow
def test_a_study_killed_ten_times_at_random_gives_the_rows_of_one_that_was_not(smoke_mirror, tmp_path):
    recipe = load_recipe("smoke").to_dict() | {"name": "killed"}
    recipe["augment"] |= {
        "vae_latents": "prior", "bank_sentences": 120, "bank_share": 0.8, "oversample": 3,
        "filters": ["confidence", "perplexity"], "language_model": "hf-internal-testing/tiny-random-gpt2",
        "language_model_sentences": 256, "language_model_steps": 2,
    }  # fmt: skip
    recipe["variants"] = {"plain": {"generators": ["vae"], "filters": []}}
    for name in ("lstm", "probe"):
        recipe["classifiers"][name]["arms"] |= {"self_training": [24], "language_model": [16], "plain": [24]}
    (tmp_path / "killed.yaml").write_text(yaml.safe_dump(recipe))

    def start(folder: Path) -> subprocess.Popen:
        command = ["-m", "textvae", "run", "killed.yaml", "--output", folder]
        return started(command, tmp_path, TEXTVAE_MIRROR=smoke_mirror)

    def written(folder: Path) -> dict[Path, int]:
        """Sizes of what the stages make, without what every start writes; files may go while they are counted."""
        sizes = {}
        for place, _, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                if path.parts[-2] != "logs" and (Path(place) != folder or path.name == "results.jsonl"):
                    with contextlib.suppress(FileNotFoundError):
                        sizes[path] = path.stat().st_size
        return sizes

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    took = []
    for _ in range(2):  # the second one finds everything there
        begun = time.monotonic()
        errors = start(whole).communicate()[1]
        assert "report: " in errors, errors
        took.append(time.monotonic() - begun)
    work, idle = took[0] - took[1], took[1]
    draw, at_work = random.Random(0), 0
    for kill in range(10):
        before = written(killed)
        with start(killed) as process:
            if kill % 2:  # while it starts, or a little later
                time.sleep(idle * draw.uniform(0.2, 1))
            else:  # at a moment after it has written something
                deadline = time.monotonic() + 180
                while process.poll() is None and written(killed) == before:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                time.sleep(work * draw.uniform(0, 0.1))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the workers, too
        at_work += written(killed) != before
    assert at_work >= 5
    errors = start(killed).communicate()[1]
    assert "report: " in errors, errors
    assert _rows(killed) == _rows(whole)
    assert {row["arm"] for row in _rows(whole)} >= {"vae", "plain", "self_training", "language_model"}
    tables = sorted(path.name for path in whole.glob("augmented/candidates/*.parquet"))
    assert tables == sorted(path.name for path in killed.glob("augmented/candidates/*.parquet"))
    for name in tables:
        one, other = (pd.read_parquet(folder / "augmented/candidates" / name) for folder in (whole, killed))
        pd.testing.assert_frame_equal(one, other)
    assert (killed / "summary.json").exists()


def test_a_study_takes_the_vae_of_another_recipe_from_the_folder_beside_it(tmp_path, monkeypatch):
    """Which is trained there once for all, its banks beside it."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"vae": "smoke", "classifiers": {}}))
    recipe, trained = load_recipe(tmp_path / "study.yaml"), []

    def train(of, folder):
        trained.append((of.name, folder))
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "model.safetensors").write_text("weights")
        return {"sentences": 3}

    monkeypatch.setattr(study, "train_vae", train)
    with open_run(tmp_path / "runs" / "study", recipe) as run:
        assert study._shared_vae(run, recipe, recipe.vae_of) == {"sentences": 3}
        assert vae_home(run.path, recipe) == tmp_path / "runs" / "smoke"
        own = load_recipe("smoke")
        assert vae_home(run.path, own) == run.path
    assert trained == [("smoke", tmp_path / "runs/smoke/vae")]
    assert [path.name for path in (tmp_path / "runs/study/vae").iterdir()] == ["model.safetensors"]
