"""A mirror is fetched once, verified each time, and stands in for the Hub."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from processes import textvae

from textvae.training.common.known import DATASETS, MODELS
from textvae.training.common.recipe_files import load_recipe

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def stocked(hub, tiny_encoder, tmp_path):
    """A Hub with a model and a dataset of the recipe `smoke`."""
    files = {path.name: path.read_bytes() for path in tiny_encoder.iterdir()}
    hub.add("hf-internal-testing/tiny-random-BertModel", {**files, "pytorch_model.bin": b"a pickle"})
    rows = pd.DataFrame({"text": ["a fine film.", "a dull film."] * 4, "label": [1, 0] * 4})
    rows.to_parquet(tmp_path / "rows.parquet")
    hub.add("some/rows", {"data/train-00000-of-00001.parquet": (tmp_path / "rows.parquet").read_bytes()}, "datasets")
    return hub


ASKED = ["mirror", "shelf", "hf-internal-testing/tiny-random-BertModel", "datasets/some/rows"]


def test_what_is_fetched_is_verified_reused_and_read_without_the_hub(stocked, tmp_path):
    done = textvae(ASKED, tmp_path, **stocked.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("2 repositories, ")
    model = tmp_path / "shelf/models/hf-internal-testing/tiny-random-BertModel"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in model.iterdir()}
    assert not list((tmp_path / "shelf").rglob("*.bin"))
    manifest = json.loads((tmp_path / "shelf/mirror.json").read_text())
    commit = stocked.repo("some/rows", "datasets").refs["main"]
    assert manifest["datasets/some/rows"]["revision"] == commit

    asked = len(stocked.requests)
    again = textvae(ASKED, tmp_path, **stocked.environment)
    assert again.stderr.count(": unchanged, ") == 2
    assert "resolve" not in stocked.requests[asked:]

    offline = textvae(
        ["classify", "--train", "some/rows", "--test", "some/rows:train", "--classifier", "probe", "--model",
         "hf-internal-testing/tiny-random-BertModel", "--output", "out"],
        tmp_path, TEXTVAE_MIRROR=tmp_path / "shelf",
    )  # fmt: skip
    assert offline.returncode == 0, offline.stderr[-3000:]
    assert "some/rows: mirror, datasets/some/rows" in offline.stderr


def test_damage_is_found_and_mended(stocked, tmp_path):
    assert textvae(ASKED, tmp_path, **stocked.environment).returncode == 0
    file = tmp_path / "shelf/datasets/some/rows/data/train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    found = textvae(["mirror", "shelf"], tmp_path)
    assert found.returncode == 2
    assert found.stderr.strip().endswith("is not what mirror.json says; fetch datasets/some/rows again")
    assert textvae(ASKED, tmp_path, **stocked.environment).returncode == 0
    assert textvae(["mirror", "shelf"], tmp_path).returncode == 0


def test_what_breaks_off_leaves_nothing_half_and_goes_on(stocked, tmp_path):
    stocked.fault = lambda route: 403 if route == "resolve" and len(stocked.requests) > 9 else None
    broken = textvae(ASKED, tmp_path, **stocked.environment)
    assert broken.returncode == 2
    assert "run the command again" in broken.stderr
    assert not (tmp_path / "shelf/models/hf-internal-testing/tiny-random-BertModel").exists()
    stocked.fault = lambda route: None
    assert textvae(ASKED, tmp_path, **stocked.environment).returncode == 0


def test_a_recipes_generators_are_fetched_where_an_arm_asks_for_them(tmp_path):
    def asked(arms):
        recipe = load_recipe("smoke").to_dict()
        recipe["augment"] |= {"teacher_model": "some/teacher", "language_model": "some/lm", "masked_lm": "some/mlm"}
        recipe["variants"] = {"bent": {"generators": ["masked_lm"]}}
        recipe["classifiers"] = {"probe": recipe["classifiers"]["probe"] | {"arms": arms}}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
        return {name for name in load_recipe(tmp_path / "mine.yaml").reads() if name.startswith("models/some/")}

    assert asked({"vae": [200]}) == {"models/some/teacher"}
    assert asked({"bent": [200], "language_model": [200]}) == {
        "models/some/teacher", "models/some/lm", "models/some/mlm",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "read"),
    [
        ("digits_mnist", ["datasets/ylecun/mnist"]),
        ("emotion", ["datasets/JULIELab/EmoBank", f"models/{MINILM}"]),
        ("lstm", ["datasets/stanfordnlp/imdb", f"models/{MINILM}"]),
    ],
)
def test_what_other_verbs_recipes_read_is_fetched_too(hub, tmp_path, recipe, read):
    for name in read:
        kind, _, rest = name.partition("/")
        hub.add(rest, {"config.json": b"{}"}, kind)
        hub.repo(rest, kind).refs[(DATASETS | MODELS)[rest].revision] = hub.repo(rest, kind).refs["main"]
    done = textvae(["mirror", "shelf", "--recipe", recipe], tmp_path, **hub.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(json.loads((tmp_path / "shelf/mirror.json").read_text())) == read


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "no mirror stands there yet"),
        (["datasets/a/b/c"], "is no Hub id"),
        (["no/such"], "no/such: the Hub does not deliver it"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_a_line(hub, tmp_path, asked, said):
    done = textvae(["mirror", "shelf", *asked], tmp_path, **hub.environment)
    assert done.returncode == 2
    assert said in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "shelf").exists()
