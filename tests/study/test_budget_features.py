from dataclasses import replace

import pytest
import torch

from textvae.training.common.recipe import AugmentRecipe, Recipe
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study import budget_features
from textvae.training.study.budget_features import BudgetFeatures

RECIPE = Recipe(name="tiny", augment=AugmentRecipe(teacher_model="org/body"))
BUDGET = LabelledTexts(["A good film. I liked it.", "Dull."], [1, 0], ["neg", "pos"], Source("x", "path", "x", "1"))
SENTENCES = ["A good film.", "I liked it.", "Dull."]


@pytest.fixture
def asked(monkeypatch):
    """Lists of texts that were read, and an `embed` that reads."""
    monkeypatch.setattr(budget_features, "revision_of", lambda model: model)
    found = []

    def embed(texts):
        found.append(texts)
        torch.rand(200_000).sort()  # takes some time
        return torch.tensor([[float(len(text)), 1.0] for text in texts]).T.contiguous().T

    return found, embed


def test_rows_and_sentences_are_read_once_and_what_else_is_asked_every_time(asked, tmp_path):
    read, embed = asked
    first, second = (BudgetFeatures(tmp_path, RECIPE, BUDGET, embed, "float32") for _ in range(2))
    for texts in (BUDGET.texts, SENTENCES, ["another"]):
        assert torch.equal(first(texts), embed(texts))
    assert first.spared_cpu_seconds == 0.0
    read.clear()
    for texts in (BUDGET.texts, SENTENCES, ["another"]):
        assert torch.equal(second(texts), first(texts))
    assert read == [["another"], ["another"]]
    assert second.spared_cpu_seconds > 0.0


def test_another_teacher_reads_for_itself(asked, tmp_path):
    read, embed = asked
    BudgetFeatures(tmp_path, RECIPE, BUDGET, embed, "float32")(SENTENCES)
    for change in ({"teacher_model": "org/other"}, {"teacher_tokens": 7}):
        other = replace(RECIPE, augment=replace(RECIPE.augment, **change))
        BudgetFeatures(tmp_path, other, BUDGET, embed, "float32")(SENTENCES)
    BudgetFeatures(tmp_path, RECIPE, BUDGET, embed, "bfloat16")(SENTENCES)
    assert read.count(SENTENCES) == 4
    own = replace(RECIPE, augment=replace(RECIPE.augment, teacher_model=None))  # the VAE's encoder
    for weights in (b"one", b"two", b"two"):
        (tmp_path / "vae").mkdir(exist_ok=True)
        (tmp_path / "vae" / "model.safetensors").write_bytes(weights)
        BudgetFeatures(tmp_path, own, BUDGET, embed, "float32")(SENTENCES)
    assert read.count(SENTENCES) == 6


def test_what_an_arm_remembers_has_no_part_in_what_all_arms_read(asked, tmp_path):
    _, embed = asked
    features = BudgetFeatures(
        tmp_path, RECIPE, BUDGET, embed, "float32", others=lambda texts: torch.zeros(len(texts), 2)
    )
    assert torch.equal(features(SENTENCES), embed(SENTENCES))
    assert not features(["another"]).any()
