"""What a recipe says of an arm."""

from __future__ import annotations

import pytest

from textvae.training.common.recipe import VariantRecipe
from textvae.training.study import arm_settings


@pytest.fixture
def info():
    variants = {
        "bare": VariantRecipe(generators=["vae"], filters=[]),
        "sure": VariantRecipe(generators=["rules"], filters=["confidence"]),
        "mixed": VariantRecipe(generators=["rules", "self_training"]),
        "unlabelled": VariantRecipe(generators=["self_training"]),
    }
    return {
        "recipe": {
            "augment": {"filters": ["diversity"], "vae_latents": "prior"},
            "variants": {name: vars(variant) for name, variant in variants.items()},
        }
    }


def test_an_arm_has_the_filters_of_its_variant_or_those_of_all(info):
    assert [arm_settings.filters(info, arm) for arm in ("vae", "bare", "sure", "mixed")] == [
        ["diversity"], [], ["confidence"], ["diversity"],
    ]  # fmt: skip


def test_an_arm_without_a_variant_is_the_generator_of_its_name(info):
    assert arm_settings.made_of(info, "vae") == ["vae"]
    assert arm_settings.made_of(info, "mixed") == ["rules", "self_training"]


@pytest.mark.parametrize("latents", ["prior", "posterior"])
def test_teachers_chose_what_comes_from_a_bank_or_through_their_filters(info, latents):
    info["recipe"]["augment"]["vae_latents"] = latents
    taught = {arm: arm_settings.taught(info, arm) for arm in ("real", "duplicate", "vae", "rules", "sure", "mixed")}
    assert taught == {
        "real": False, "duplicate": False, "vae": latents == "prior", "rules": False, "sure": True, "mixed": True,
    }  # fmt: skip


def test_real_rows_and_real_unlabelled_ones_were_not_written_for_an_arm(info):
    arms = ("real", "oracle", "vae", "mixed", "unlabelled", "self_training")
    assert [arm_settings.written(info, arm) for arm in arms] == [False, False, True, True, False, False]
