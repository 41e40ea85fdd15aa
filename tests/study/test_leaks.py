"""Test rows serve to drop copies: nothing else about them reaches a generated row."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from textvae.training.common.errors import UserError
from textvae.training.common.files import write_json
from textvae.training.common.recipe import AugmentRecipe, ClassifierRecipe, Recipe, StudyRecipe
from textvae.training.study import cells
from textvae.training.study.plan import Growth
from textvae.training.study.rows import candidates_file, subset_file
from textvae.training.vae.train import save_model

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


@pytest.fixture
def grown(tmp_path, tiny_model, tiny_tokenizer, monkeypatch):
    """Bytes of the candidates of every generator, for test rows and labels."""
    monkeypatch.setattr(cells, "wordnet", lambda: ({"film": ["movie"], "story": ["tale", "plot"]}, None))

    def grow(
        name: str, tests: list[str], labels: list[int], recipe: Recipe = RECIPE, generators=("vae", "rules")
    ) -> dict[str, bytes]:
        folder = tmp_path / name
        (folder / "rows").mkdir(parents=True)
        write_json(folder / "rows" / "dataset.json", {"label_names": ["neg", "pos"], "source": SOURCE})
        frame = pd.DataFrame({"row": range(4), "text": BUDGET, "label": [1, 0, 1, 0]})
        frame.to_parquet(subset_file(folder, 0))
        pd.DataFrame({"row": range(len(tests)), "text": tests, "label": labels}).to_parquet(
            folder / "rows" / "test.parquet"
        )
        save_model(tiny_model, tiny_tokenizer, folder / "vae")
        for generator in generators:
            cells.grow_budget(folder, recipe, Growth(generator, 4, 0), 12, "float32")
        return {generator: candidates_file(folder, Growth(generator, 4, 0)).read_bytes() for generator in generators}

    return grow


def test_labels_and_order_of_test_rows_change_no_byte(grown):
    plain = grown("plain", TESTS, [0, 1, 0, 1])
    assert grown("labels", TESTS, [1, 0, 1, 0]) == plain
    assert grown("order", TESTS[::-1], [1, 0, 1, 0]) == plain


def test_a_test_text_among_the_candidates_is_dropped(grown, tmp_path):
    grown("plain", TESTS, [0, 1, 0, 1])
    for generator in ("vae", "rules"):
        place = Growth(generator, 4, 0)
        rows = pd.read_parquet(candidates_file(tmp_path / "plain", place))
        planted = rows[rows["kept"] & (rows["method"] != "original")]["text"].iloc[0]
        grown(f"planted-{generator}", [*TESTS, f"{planted.upper()}!"], [0, 1, 0, 1, 0])
        again = pd.read_parquet(candidates_file(tmp_path / f"planted-{generator}", place))
        reasons = again[again["text"] == planted]["reject_reason"]
        assert set(reasons) <= {"copy of a test row", "duplicate"}
        assert "copy of a test row" in set(reasons)


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
