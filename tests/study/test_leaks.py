"""Test rows serve to drop copies: nothing else about them reaches a generated row."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from textvae.training.augment import making
from textvae.training.augment.generators import language_model
from textvae.training.common.errors import UserError
from textvae.training.common.files import write_json
from textvae.training.common.model_folders import save_model
from textvae.training.common.recipe import (
    AugmentRecipe,
    ClassifierRecipe,
    Recipe,
    StudyRecipe,
    VaeRecipe,
    VariantRecipe,
)
from textvae.training.common.recipe_files import load_recipe
from textvae.training.common.run_folder import open_run
from textvae.training.common.sources import content_revision
from textvae.training.study import banks, cells, growing
from textvae.training.study.plan import Cell, Growth
from textvae.training.study.rows import candidates_file, subset_file, training_rows
from textvae.training.study.run import check_unread, draw_rows, train_generator
from textvae.training.vae.data import Sentences

SOURCE = {"id": "org/reviews", "origin": "path", "location": "r", "revision": "1", "stand_in": None, "licence": None}
RECIPE = Recipe(
    name="tiny",
    study=StudyRecipe(budget=4),
    augment=AugmentRecipe(
        sizes=(), vae_latents="prior", bank_sentences=80, bank_share=0.8, oversample=3, perplexity_model=None
    ),
    classifiers={"lstm": ClassifierRecipe(model="org/body", arms={"vae": (12,), "rules": (12,)}, subsets=1)},
)
BUDGET = ["a moving film. the cast is good.", "a dull film.", "i loved the story.", "the story is bad."]
TESTS = ["the film is long and odd", "one of the best films of the year", "it is not good", "a moving story"]


REAL = [f"{start} {thing} is {word}." for start in ("the", "a") for thing in ("film", "plot", "cast")
        for word in ("good", "bad", "dull", "moving", "long")]  # fmt: skip


@pytest.fixture
def grown(tmp_path, tiny_model, tiny_tokenizer, monkeypatch):
    """Bytes of the candidates of every generator, for test rows and labels."""
    monkeypatch.setattr(making, "wordnet", lambda: ({"film": ["movie"], "story": ["tale", "plot"]}, None))
    sentences = Sentences(REAL, len(REAL), None, 0, [], [])
    monkeypatch.setattr(banks, "load_sentences", lambda *_: sentences)

    def grow(
        name: str,
        tests: list[str],
        labels: list[int],
        recipe: Recipe = RECIPE,
        generators=("vae", "rules"),
        own=(1, 0, 1, 0),
    ) -> dict[str, bytes]:
        folder = tmp_path / name
        (folder / "rows").mkdir(parents=True)
        write_json(folder / "rows" / "dataset.json", {"label_names": ["neg", "pos"], "source": SOURCE})
        frame = pd.DataFrame({"row": range(4), "text": BUDGET, "label": own})
        frame.to_parquet(subset_file(folder, 0))
        held_out = pd.DataFrame({"row": range(len(tests)), "text": tests, "label": labels})
        held_out[:1].to_parquet(folder / "rows" / "test.parquet")  # a study scores few of them
        held_out[["text"]].to_parquet(folder / "rows" / "test-texts.parquet")
        save_model(tiny_model, tiny_tokenizer, folder / "vae")
        for generator in generators:
            cells.grow_budget(folder, recipe, Growth(generator, 4, 0), 12, "float32")
        return {generator: candidates_file(folder, Growth(generator, 4, 0)).read_bytes() for generator in generators}

    return grow


@pytest.fixture
def recipes(tiny_causal, tiny_tokenizer, monkeypatch):
    """Of every kind of generated rows, and of an arm with filters of its own: recipe and generators."""
    ends = torch.zeros(len(tiny_tokenizer), dtype=torch.bool)  # a tokenizer of words knows no line breaks
    ends[tiny_tokenizer("is", add_special_tokens=False)["input_ids"][0]] = True
    monkeypatch.setattr(language_model._Writer, "_line_ends", lambda self: ends)
    settings = replace(RECIPE.augment, language_model=str(tiny_causal[1]), language_model_steps=1)
    lstm = replace(RECIPE.classifiers["lstm"], arms={**RECIPE.classifiers["lstm"].arms, "chosen": (8,)})
    chosen = VariantRecipe(generators=("vae",), filters=("confidence", "novelty"))
    whole = replace(RECIPE, augment=settings, variants={"chosen": chosen}, classifiers={"lstm": lstm})
    posterior = replace(whole, augment=replace(settings, vae_latents="posterior"))
    return {
        "prior": (whole, ("vae", "rules", "self_training", "language_model")),
        "posterior": (posterior, ("vae",)),
    }


@pytest.mark.parametrize("latents", ["prior", "posterior"])
def test_labels_and_order_of_test_rows_change_no_byte_and_no_filters_choice(grown, recipes, tmp_path, latents):
    recipe, generators = recipes[latents]

    def everything(
        name: str, tests: list[str], labels: list[int]
    ) -> tuple[dict[str, bytes], list[str], dict[str, str]]:
        tables = grown(name, tests, labels, recipe, generators)
        chosen, _ = training_rows(tmp_path / name, Cell("lstm", "chosen", 8, 4, 0, 0), recipe)
        weights = {path.name: content_revision([path]) for path in (tmp_path / name / "vae").iterdir()}
        return tables, chosen.texts, weights

    plain = everything("plain", TESTS, [0, 1, 0, 1])
    assert len(plain[1]) > 4
    assert everything("labels", TESTS, [1, 0, 1, 0]) == plain
    assert everything("order", TESTS[::-1], [1, 0, 1, 0]) == plain


def test_from_the_sources_on_checkpoint_and_rows_are_the_same_whatever_the_tests_labels_and_order(
    smoke_mirror, tmp_path, monkeypatch
):
    recipe = load_recipe("smoke").to_dict() | {"name": "leak"}
    recipe["vae"] |= {"steps": 6, "checkpoint_every": 6, "exclude": ["stanfordnlp/imdb"], "unlabelled_sentences": 20}
    recipe["augment"] |= {
        "sizes": [16], "vae_latents": "prior", "bank_sentences": 120, "bank_share": 0.8, "oversample": 3,
        "filters": ["confidence", "perplexity", "diversity"],
    }  # fmt: skip
    arms = {"vae": [16], "self_training": [16]}
    recipe["classifiers"] = {"probe": recipe["classifiers"]["probe"] | {"arms": arms, "subsets": 1}}
    (tmp_path / "leak.yaml").write_text(yaml.safe_dump(recipe))

    def written(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, bytes]:
        mirror = tmp_path / name
        shutil.copytree(smoke_mirror, mirror)
        tests = mirror / "datasets/stanfordnlp/imdb/test.parquet"
        change(pd.read_parquet(tests)).to_parquet(tests)
        monkeypatch.setenv("TEXTVAE_MIRROR", str(mirror))
        with open_run(tmp_path / f"run-{name}", settings) as run:
            for stage in (draw_rows, train_generator, growing.grow_budgets):
                stage(run, settings)
            patterns = ("vae/*.safetensors", "rows/test-texts.parquet", "augmented/candidates/*")
            files = [path for pattern in patterns for path in run.path.glob(pattern)]
            return {str(path.relative_to(run.path)): path.read_bytes() for path in sorted(files)}

    # In this process: workers of their own would take half a minute to start.
    monkeypatch.setattr(growing, "in_workers", lambda work, tasks, **_: [(k, work(*of)) for k, of in tasks.items()])
    settings = load_recipe(tmp_path / "leak.yaml")

    plain = written("plain", lambda rows: rows)
    assert {"vae/model.safetensors", "augmented/candidates/vae-of8-subset0.parquet"} <= set(plain)
    assert written("labels", lambda rows: rows.assign(label=1 - rows["label"])) == plain
    # Other rows are drawn for scoring, and candidates held against the same.
    shuffled = np.random.default_rng(0).permutation
    assert written("permuted", lambda rows: rows.assign(label=shuffled(rows["label"]))) == plain
    assert written("order", lambda rows: rows[::-1]) == plain
    drawn = [(tmp_path / f"run-{name}" / "rows/test.parquet").read_bytes() for name in ("plain", "permuted", "order")]
    assert len(set(drawn)) == 3


def test_a_test_text_among_the_candidates_is_dropped(grown, recipes, tmp_path):
    recipe, generators = recipes["prior"]
    grown("plain", TESTS, [0, 1, 0, 1], recipe, generators)
    for generator in generators:
        place = Growth(generator, 4, 0)
        rows = pd.read_parquet(candidates_file(tmp_path / "plain", place))
        planted = rows[rows["kept"] & (rows["method"] != "original")]["text"].iloc[0]
        grown(f"planted-{generator}", [*TESTS, f"{planted.upper()}!"], [0, 1, 0, 1, 0], recipe, (generator,))
        again = pd.read_parquet(candidates_file(tmp_path / f"planted-{generator}", place))
        reasons = again[again["text"] == planted]["reject_reason"]
        assert set(reasons) <= {"copy of a test row", "duplicate"}
        assert "copy of a test row" in set(reasons)


def test_generated_rows_make_unequal_classes_equal(grown, recipes, tmp_path):
    recipe, _ = recipes["prior"]
    unequal = replace(recipe, study=replace(recipe.study, class_shares=(0.75, 0.25)))
    grown("unequal", TESTS, [0, 1, 0, 1], unequal, ("vae",), own=(0, 0, 0, 1))
    for arm, size in (("vae", 12), ("chosen", 8)):
        data, _ = training_rows(tmp_path / "unequal", Cell("lstm", arm, size, 4, 0, 0), unequal)
        assert Counter(data.labels) == {0: size // 2, 1: size // 2}


def test_another_budget_gives_other_rows(grown):
    """The comparison above can fail."""
    other = replace(RECIPE, seed=1)
    assert grown("one", TESTS, [0, 1, 0, 1])["rules"] != grown("two", TESTS, [0, 1, 0, 1], other)["rules"]


def test_a_generator_of_which_nothing_is_left_says_what_took_its_rows(grown, monkeypatch):
    monkeypatch.setattr(
        cells, "sentence_perplexities", lambda *_: lambda texts: [10.0 if text in BUDGET else 1e9 for text in texts]
    )
    strict = replace(RECIPE, augment=replace(RECIPE.augment, filters=("perplexity",), perplexity_model="some/model"))
    with pytest.raises(
        UserError,
        match=r"rules, budget 4, subset 0: none of 24 candidates is left \(.*perplexity \d+\); take a filter out",
    ):
        grown("none", TESTS, [0, 1, 0, 1], strict, generators=("rules",))


def test_a_generator_that_is_trained_on_test_rows_is_refused(tmp_path):
    texts = tmp_path / "sentences"
    texts.mkdir()
    for part, own in (("train", [*REAL, "A moving  story"]), ("validation", ["Held out."]), ("test", ["Too."])):
        pd.DataFrame({"text": own}).to_parquet(texts / f"{part}.parquet")
    vae = VaeRecipe(texts=str(texts), unlabelled=None)
    recipe = replace(RECIPE, vae=vae, study=replace(RECIPE.study, dataset="org/reviews"))
    with pytest.raises(UserError, match=r"1 of its 4 test rows stand in .*add org/reviews to 'vae.exclude'"):
        check_unread(recipe, TESTS)
    check_unread(recipe, TESTS[:3])
    check_unread(replace(recipe, vae=replace(recipe.vae, exclude=("org/reviews",))), TESTS)


def test_the_study_of_sentences_has_a_generator_that_did_not_read_its_tests():
    recipe = load_recipe("study_sst2")
    assert recipe.study.dataset in recipe.vae.exclude
