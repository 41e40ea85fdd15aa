"""What a recipe's fields may be, beyond their types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    from .recipe import AugmentRecipe, EvaluationRecipe, Recipe, StudyRecipe, VaeRecipe, VariantRecipe

GENERATORS = ("rules", "masked_lm", "self_training", "language_model", "vae")
PLAIN_ARMS = ("real", "weighted")  # the budget's rows alone, simply or with a weight that makes classes equal
ARMS = (*PLAIN_ARMS, "duplicate", *GENERATORS, "oracle")


Need = Callable[[bool, str], None]  # refuses the recipe, with the message, unless the condition holds


def check_recipe(recipe: Recipe, place: str) -> None:
    """Refuse fields that are of the right type and make no sense, alone or together.

    Raises:
        UserError: names `place`, where the recipe stands, and the field.
    """

    def need(condition: bool, message: str) -> None:
        if not condition:
            raise UserError(f"{place}: {message}")

    need(recipe.num_processes >= 1, f"'num_processes' must be at least 1, not {recipe.num_processes}")
    _check_vae(recipe.vae, need)
    _check_evaluation(recipe.evaluation, need)
    need(
        recipe.evaluation.latent_share == 1 or recipe.vae.chunk_dropout > 0,
        "'evaluation.latent_share' below 1 needs 'vae.chunk_dropout'",
    )
    _check_augment(recipe.augment, need)
    _check_study(recipe.study, need)
    for size in recipe.augment.sizes:
        need(
            size > recipe.study.budget,
            f"'augment.sizes' has {size}, not more than the budget of {recipe.study.budget}",
        )
    _check_arms(recipe, need)


def _check_vae(vae: VaeRecipe, need: Need) -> None:
    for name in (
        "chunk_tokens", "steps", "tokens_per_step", "gradient_accumulation", "checkpoint_every", "log_every",
        "text_weight", "cycle_steps", "beta_cycles",
    ):  # fmt: skip
        need(getattr(vae, name) >= 1, f"'vae.{name}' must be at least 1, not {getattr(vae, name)}")
    for name in (
        "latent_size", "latent_chunks", "unlabelled_sentences", "language_model_steps", "average_cycles", "free_bits",
        "mmd_weight", "bag_of_words_weight", "refinement_steps",
    ):  # fmt: skip
        need(getattr(vae, name) >= 0, f"'vae.{name}' must not be negative: {getattr(vae, name)}")
    need(
        vae.latent_chunks == 0 or (vae.latent_size > 0 and vae.latent_size % vae.latent_chunks == 0),
        "'vae.latent_size' must be a multiple of 'vae.latent_chunks'",
    )
    need(
        len(vae.encoder_layers) > 0,
        "'vae.encoder_layers' must name at least one layer; 0 is the embedding layer",
    )
    need(
        vae.trainable_encoder_layers <= 0 or max(vae.encoder_layers) > 0,
        "'vae.trainable_encoder_layers' trains layers of which 'vae.encoder_layers' reads none",
    )
    need(vae.max_length >= 4, f"'vae.max_length' must be at least 4, not {vae.max_length}")
    for name in (
        "final_text_share", "language_model_final_text_share", "autoencoder_share", "anneal_share", "chunk_dropout",
        "refinement_slope",
    ):  # fmt: skip
        need(0 <= (getattr(vae, name) or 0.0) <= 1, f"'vae.{name}' must lie in [0, 1]")
    for name in ("word_dropout", "final_word_dropout"):
        need(0 <= (getattr(vae, name) or 0.0) < 1, f"'vae.{name}' must lie in [0, 1)")
    need(
        vae.final_word_dropout is None or vae.final_text_share > 0,
        "'vae.final_word_dropout' is of the steps that 'vae.final_text_share' sets aside, and that is 0",
    )
    need(
        vae.average_cycles == 0 or vae.average_cycles * vae.cycle_steps < (1 - vae.autoencoder_share) * vae.steps,
        f"'vae.average_cycles' × 'vae.cycle_steps' are {vae.average_cycles * vae.cycle_steps} steps, and 'vae.steps' "
        f"has not more than these after the autoencoder's ({vae.steps}); lower one, or raise 'vae.steps'",
    )
    need(
        vae.unlabelled_sentences == 0 or vae.unlabelled is not None,
        f"'vae.unlabelled_sentences' is {vae.unlabelled_sentences}, and 'vae.unlabelled' names no dataset",
    )
    need(
        vae.chunk_dropout == 0 or vae.latent_chunks > 0,
        "'vae.chunk_dropout' hides chunks, and 'vae.latent_chunks' is 0",
    )
    need(
        vae.target_kl is None or vae.target_kl > 0,
        "'vae.target_kl' must be positive, or null for a schedule of beta",
    )
    need(
        vae.target_kl is None or vae.beta_schedule == "constant",
        f"'vae.beta_schedule' is '{vae.beta_schedule}', but 'vae.target_kl' steers beta; set it to null",
    )
    need(
        vae.prior == "standard" or vae.latent_chunks >= 2,
        "'vae.prior' is autoregressive, which needs at least 2 'vae.latent_chunks'",
    )
    need(
        vae.prior == "standard" or vae.mmd_weight == 0,
        "'vae.mmd_weight' compares latents with N(0, I); set it to 0 or 'vae.prior' to standard",
    )
    need(
        vae.refinement_beta is None or vae.refinement_beta > 0,
        f"'vae.refinement_beta' must be positive, or null: {vae.refinement_beta}",
    )
    need(
        not vae.cache_encoder_states or (len(vae.encoder_layers) <= 3 and vae.trainable_encoder_layers == 0),
        "'vae.cache_encoder_states' needs a frozen encoder and at most three 'vae.encoder_layers'",
    )


def _check_evaluation(evaluation: EvaluationRecipe, need: Need) -> None:
    for name in (
        "samples", "importance_samples", "language_model_steps", "baseline_steps", "reverse_steps", "class_candidates",
    ):  # fmt: skip
        need(getattr(evaluation, name) >= 1, f"'evaluation.{name}' must be at least 1, not {getattr(evaluation, name)}")
    for name in ("prior_components", "prior_temperature", "class_sharpness"):
        need(getattr(evaluation, name) >= 0, f"'evaluation.{name}' must not be negative: {getattr(evaluation, name)}")
    dropouts = evaluation.language_model_word_dropout
    need(
        len(dropouts) > 0 and all(0 <= dropout < 1 for dropout in dropouts),
        "'evaluation.language_model_word_dropout' must be a list of at least one share in [0, 1)",
    )
    need(0 < evaluation.token_top_p <= 1, "'evaluation.token_top_p' must lie in (0, 1]")
    need(0 <= evaluation.latent_share <= 1, "'evaluation.latent_share' must lie in [0, 1]")


def _check_augment(augment: AugmentRecipe, need: Need) -> None:
    for factor in (augment.oversample, *augment.oversample_by_generator.values()):
        need(factor >= 1, f"'augment.oversample' and 'oversample_by_generator' must be at least 1, not {factor}")
    for name in augment.oversample_by_generator:
        need(name in GENERATORS, f"'augment.oversample_by_generator' has '{name}'; known: {', '.join(GENERATORS)}")
    need(0 <= augment.interpolation_share <= 1, "'augment.interpolation_share' must lie in [0, 1]")
    need(augment.bank_sentences >= 1, f"'augment.bank_sentences' must be at least 1, not {augment.bank_sentences}")
    for name in ("rule_share", "bank_share", "confident_share", "prior_top_p"):
        need(0 < getattr(augment, name) <= 1, f"'augment.{name}' must lie in (0, 1]")


def _check_study(study: StudyRecipe, need: Need) -> None:
    for name in ("budget", "seeds", "workers"):
        need(getattr(study, name) >= 1, f"'study.{name}' must be at least 1, not {getattr(study, name)}")
    shares = study.class_shares
    need(
        shares is None or (min(shares, default=0) > 0 and abs(sum(shares) - 1) < 1e-6),
        "'study.class_shares' must be positive and add up to 1",
    )


def _weighs(variant: VariantRecipe | None) -> bool:
    return variant is not None and (variant.soft_labels or variant.synthetic_weight != 1)


def _check_arms(recipe: Recipe, need: Need) -> None:
    for name, variant in recipe.variants.items():
        where = f"variants.{name}"
        own = name not in ARMS or variant.generators == (name,)
        need(own and re.fullmatch(r"\w+", name) is not None, f"'{where}': give it a name of its own")
        need(
            len(variant.generators) > 0 and set(variant.generators) <= set(GENERATORS),
            f"'{where}.generators' must be some of {', '.join(GENERATORS)}",
        )
        need(variant.synthetic_weight > 0, f"'{where}.synthetic_weight' must be positive")
        need(
            variant.confident_share is None or 0 < variant.confident_share <= 1,
            f"'{where}.confident_share' must lie in (0, 1], or be null for that of 'augment'",
        )
    filters = [recipe.augment.filters, *(v.filters or () for v in recipe.variants.values())]
    need(
        recipe.augment.perplexity_model is not None or not any("perplexity" in names for names in filters),
        "the filter 'perplexity' needs 'augment.perplexity_model'",
    )
    known = recipe.arms()
    for name, classifier in recipe.classifiers.items():
        where = f"classifiers.{name}"
        need(bool(classifier.model), f"'{where}.model' is missing; give a Hub id or a folder")
        need(classifier.seeds is None or classifier.seeds >= 1, f"'{where}.seeds' must be at least 1, or null")
        need(
            recipe.study.budget not in classifier.other_budgets,
            f"'{where}.other_budgets' has {recipe.study.budget}, the study's own; write it into 'arms'",
        )
        for arm, number in classifier.fewer_subsets.items():
            need(
                arm in known and 0 <= number <= classifier.subsets,
                f"'{where}.fewer_subsets.{arm}' must be of a known arm, and at most {classifier.subsets}, not {number}",
            )
        for budget in (recipe.study.budget, *classifier.other_budgets):
            for arm, sizes in classifier.arms_of(budget, recipe.study.budget).items():
                need(arm in known, f"'{where}.arms' has '{arm}'; known: {', '.join(known)}")
                need(
                    name != "setfit" or not (arm == "weighted" or _weighs(recipe.variants.get(arm))),
                    f"'{where}.arms' has '{arm}', and SetFit takes neither weights nor soft labels; leave it out",
                )
                for size in sizes:
                    need(
                        name == "probe" or size in classifier.steps,
                        f"'{where}.steps' has no entry for size {size}",
                    )
                    need(
                        size == budget if arm in PLAIN_ARMS else size > budget,
                        f"'{where}.arms.{arm}' has size {size}; 'real' and 'weighted' are the budget ({budget}), "
                        "every other arm is larger",
                    )
