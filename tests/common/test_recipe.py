from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from textvae.training.common import recipe as recipes
from textvae.training.common.errors import UserError
from textvae.training.common.files import DEFAULTS
from textvae.training.common.recipe import Recipe
from textvae.training.common.recipe_files import load_recipe, load_vae_recipe, read_recipe, shipped_recipes

KNOWN_DEFAULTS = Path(__file__).with_name("defaults.json")


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", ["smoke", "quickstart", "paper"])
def test_shipped_recipes_load(name):
    assert name in shipped_recipes()
    assert load_recipe(name).name == name


def test_every_shipped_recipe_survives_being_resolved(tmp_path):
    for name in shipped_recipes():
        recipe = load_recipe(name)
        path = write(tmp_path, yaml.safe_dump(recipe.to_dict()))
        assert load_recipe(path) == recipe


def test_a_study_that_names_another_recipes_vae_trains_that_one(tmp_path):
    assert load_vae_recipe("quickstart") == load_recipe("quickstart")
    assert load_vae_recipe("study_imdb") == load_recipe("vae_rt_imdb_generate_without_sst2")
    resolved = write(tmp_path, yaml.safe_dump(load_recipe("study_imdb").to_dict()))
    assert load_vae_recipe(resolved).name == "vae_rt_imdb_generate_without_sst2"


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name.endswith("_without_sst2")])
def test_a_copy_without_sst2_differs_in_that_alone(name):
    copy, original = load_recipe(name), load_recipe(name.removesuffix("_without_sst2"))
    vae = dataclasses.replace(copy.vae, exclude=original.vae.exclude)
    assert dataclasses.replace(copy, name=original.name, vae=vae) == original
    assert copy.vae.exclude == ("SetFit/sst2",)


def test_a_default_does_not_change_unnoticed():
    """Fingerprints leave out what is at its default, so `DEFAULTS` must say when one means something else."""
    kinds = [kind for kind in vars(recipes).values() if dataclasses.is_dataclass(kind)]
    now = {
        kind.__name__: {
            item.name: item.default for item in dataclasses.fields(kind) if item.default is not dataclasses.MISSING
        }
        for kind in kinds
    }
    known = json.loads(KNOWN_DEFAULTS.read_text())
    assert json.loads(json.dumps(now)) == known["fields"], f"raise files.DEFAULTS and record these in {KNOWN_DEFAULTS}"
    assert known["DEFAULTS"] == DEFAULTS


def test_defaults_and_values(tmp_path):
    text = """
vae: {steps: 7, learning_rate: 1, encoder_layers: [0, 3], target_kl: null}
classifiers:
  probe: {model: some/body, arms: {real: [100]}}
"""
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.name == "mine"
    assert recipe.vae.steps == 7
    assert recipe.vae.learning_rate == 1.0
    assert recipe.vae.encoder_layers == (0, 3)
    assert recipe.vae.target_kl is None
    assert recipe.classifiers["probe"].arms == {"real": (100,)}
    assert recipe.study == Recipe(name="x").study


BAD_RECIPES = [
    ("vae: {stepz: 5}", "unknown key 'vae.stepz'; did you mean 'steps'"),
    ("classifier: {}", "unknown key 'classifier'; did you mean 'classifiers'"),
    ("zzz: 1", "unknown key 'zzz'; known: name, seed"),
    ("vae: {steps: many}", "'vae.steps' must be a whole number, not 'many'"),
    ("vae: {steps: 5.0}", "'vae.steps' must be a whole number, not 5.0"),
    ("vae: {steps: true}", "'vae.steps' must be a whole number, not True"),
    ("vae: {learning_rate: '1'}", "'vae.learning_rate' must be a number, not '1'"),
    ("vae: {learning_rate: 1e-3}", "'vae.learning_rate' must be a number, not '1e-3'"),
    ("vae: {encoder: 5}", "'vae.encoder' must be a text, not 5"),
    ("vae: {cache_encoder_states: 1}", "'vae.cache_encoder_states' must be true or false"),
    ("vae: {encoder_layers: 0}", "'vae.encoder_layers' must be a list"),
    ("vae: {encoder_layers: [0, x]}", r"'vae.encoder_layers\[1\]' must be a whole number"),
    ("vae: 5", "'vae' must be a mapping, not 5"),
    ("precision: half", "'precision' must be one of 'auto', 'float32', 'bfloat16', not 'half'"),
    ("classifiers: {svm: {model: a/b}}", "must be one of 'probe', 'lstm', 'bert', 'gpt2_lora', 'setfit', not 'svm'"),
    ("vae: {steps: 0}", "'vae.steps' must be at least 1, not 0"),
    ("study: {budget: -1}", "'study.budget' must be at least 1"),
    ("vae: {latent_size: 10, latent_chunks: 4}", "'vae.latent_size' must be a multiple"),
    ("vae: {encoder_layers: []}", "must name at least one layer"),
    ("vae: {cache_encoder_states: true, encoder_layers: [1, 2, 3, 4]}", "at most three"),
    ("vae: {cache_encoder_states: true, encoder_layers: [3], trainable_encoder_layers: 1}", "needs a frozen encoder"),
    ("augment: {oversample: 0.5}", "must be at least 1, not 0.5"),
    ("augment: {oversample_by_generator: {gpt: 2}}", "'augment.oversample_by_generator' has 'gpt'; known: rules"),
    ("augment: {filters: [bleu]}", "must be one of 'confidence'"),
    ("augment: {filters: [perplexity], perplexity_model: null}", "needs 'augment.perplexity_model'"),
    ("augment: {confident_share: 0}", "'augment.confident_share' must lie in"),
    ("variants: {rules: {}}", "'variants.rules': give it a name of its own"),
    ("variants: {soft: {generators: [gpt]}}", "'variants.soft.generators' must be some of rules"),
    ("variants: {soft: {synthetic_weight: 0}}", "'variants.soft.synthetic_weight' must be positive"),
    ("variants: {sure: {confident_share: 0}}", "'variants.sure.confident_share' must lie in"),
    (
        "variants: {soft: {soft_labels: true}}\nclassifiers: "
        "{setfit: {model: some/body, steps: {200: 1}, arms: {soft: [200]}}}",
        "'classifiers.setfit.arms' has 'soft', and SetFit takes neither weights nor soft labels; leave it out",
    ),
    ("classifiers: {probe: {model: a/b, other_budgets: {100: {real: [100]}}}}", "other_budgets' has 100"),
    (
        "classifiers: {probe: {model: a/b, other_budgets: {20: {real: [40]}}}}",
        "has size 40; 'real' and 'weighted' are the budget .20.",
    ),
    ("classifiers: {probe: {model: a/b, fewer_subsets: {vae: 6}}}", "fewer_subsets.vae' must be of a known arm"),
    ("{vae: smoke, seed: 1}", "'seed' is 1, that of 'smoke' 0"),
    ("vae: nonsense", "nonsense: no such recipe"),
    ("augment: {sizes: [100]}", "'augment.sizes' has 100, not more than the budget of 100"),
    ("classifiers: {probe: {}}", "'classifiers.probe.model' is missing; give a Hub id"),
    (
        "classifiers: {probe: {model: a/b, arms: {vaee: [200]}}}",
        "has 'vaee'; known: real, weighted, duplicate, rules, masked_lm",
    ),
    (
        "classifiers: {bert: {model: a/b, arms: {real: [100]}}}",
        "'classifiers.bert.steps' has no entry for size 100",
    ),
    ("classifiers: {probe: {model: a/b, arms: {real: [200]}}}", "has size 200; 'real' and 'weighted' are the budget"),
    ("classifiers: {probe: {model: a/b, arms: {vae: [100]}}}", "has size 100; .* every other arm is larger"),
    ("study: {class_shares: [0.9, 0.2]}", "'study.class_shares' must be positive and add up to 1"),
    ("study: {class_shares: [1.0, 0.0]}", "'study.class_shares' must be positive"),
    ("seed: -1", "'seed' must lie in 0 to 4294967295, not -1"),
    ("seed: 4294967296", "'seed' must lie in 0 to 4294967295, not 4294967296"),
    ("vae: {steps: 800, average_cycles: 2}", "'vae.average_cycles' × 'vae.cycle_steps' are 800 steps"),
    ("vae: {final_word_dropout: 0.3}", "'vae.final_word_dropout' is of the steps that"),
    ("vae: {final_word_dropout: 1.0}", r"'vae.final_word_dropout' must lie in \[0, 1\)"),
    ("vae: {average_cycles: 1, cycle_steps: 0}", "'vae.cycle_steps' must be at least 1"),
    ("vae: {autoencoder_share: 2.0}", r"'vae.autoencoder_share' must lie in \[0, 1\]"),
    ("vae: {unlabelled_sentences: 100}", "'vae.unlabelled_sentences' is 100, and 'vae.unlabelled' names no dataset"),
    ("vae: {trainable_encoder_layers: 2}", "trains layers of which 'vae.encoder_layers' reads none"),
    ("evaluation: {token_top_p: 0.0}", r"'evaluation.token_top_p' must lie in \(0, 1\]"),
    ("evaluation: {language_model_word_dropout: []}", "must be a list of at least one share"),
    ("evaluation: {class_sharpness: -1.0}", "'evaluation.class_sharpness' must not be negative"),
    ("", "a recipe is a mapping of fields"),
    ("- a\n- b", "a recipe is a mapping of fields"),
    ("vae:\n  steps: [1\nseed: 2", "not valid YAML at line"),
    ("name: café".encode("latin-1"), "not UTF-8 at byte 9; save the recipe as UTF-8"),
]


@pytest.mark.parametrize(("text", "message"), BAD_RECIPES, ids=[str(text)[:40] for text, _ in BAD_RECIPES])
def test_bad_recipes_are_named_in_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        load_recipe(write(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_recipes_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing: no such recipe; give .* one of .*quickstart"):
        load_recipe("nothing")
    with pytest.raises(UserError, match="lstm_15m: is a recipe of `textvae lstm`"):
        load_recipe("lstm_15m")
    with pytest.raises(UserError, match="quickstart: is a recipe of `textvae run`"):
        read_recipe("quickstart", "digits")
    with pytest.raises(UserError, match=r"absent\.yaml: no such recipe file"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="no such recipe file"):
        load_recipe(tmp_path)
