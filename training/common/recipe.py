"""Recipes: what a run does. Every field stands here with its unit and default; `recipe_files.py` reads them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from .copies import NEAR_COPY_OVERLAP
from .recipe_checks import ARMS, GENERATORS

Precision = Literal["auto", "float32", "bfloat16"]
BetaSchedule = Literal["constant", "linear", "cyclical"]
ClassifierName = Literal["probe", "lstm", "bert", "gpt2_lora", "setfit"]
Filter = Literal["confidence", "agreement", "perplexity", "diversity", "novelty"]


@dataclass(frozen=True)
class VaeRecipe:
    """The text VAE: its texts, its shape, and how it is trained."""

    # What it reads
    encoder: str = "distilbert/distilbert-base-uncased"
    encoder_layers: tuple[int, ...] = (0,)  # 0 is the embedding layer; 0 alone skips the body
    trainable_encoder_layers: int = 0  # last layers of the body that are trained; -1 trains all of it
    texts: str = "cornell-movie-review-data/rotten_tomatoes"
    unlabelled: str | None = None  # a dataset whose *unlabelled* role adds sentences
    unlabelled_sentences: int = 0  # how many of them
    exclude: tuple[str, ...] = ()  # datasets whose validation and test sentences are not trained on either
    conditional: bool = False  # condition on the labels of `texts`; other sentences are of unknown class
    text_weight: int = 1  # how often each sentence of `texts` stands in an epoch
    final_text_share: float = 0.0  # this last share of the steps reads `texts` alone
    max_length: int = 40  # encoder tokens a sentence, special tokens included

    # What it is
    vocabulary_size: int = 12000  # most frequent tokens kept by the decoder, spelling pieces not counted
    latent_size: int = 288  # 0: a GRU language model
    latent_chunks: int = 48  # the latent is read in this many chunks; 1 is flat, 0 sets the initial state alone
    chunk_tokens: int = 1  # decoder tokens that a chunk speaks of
    rest_chunk: bool = True  # the last chunk speaks of all that remain; otherwise the decoder goes on by itself there
    prior: Literal["standard", "autoregressive"] = "standard"  # N(0, I), or one learned over the chunks
    embedding_size: int = 256
    pooler_size: int = 256  # units a direction of the pooler's biGRU
    hidden_size: int = 512  # units of the decoder's GRU

    # How it is used: may be changed without another training
    refinement_steps: int = 0  # gradient steps on each text's posterior
    refinement_beta: float | None = None  # weight of the KL in them; null for what beta was when the training ended
    refinement_slope: float = 0.0  # how much more a text's first token counts in them, and how much less its last

    # How it is trained
    language_model_steps: int = 0  # the decoder is first trained as a language model for so many steps
    language_model_final_text_share: float | None = None  # of language models; null for `final_text_share`
    steps: int = 3000  # optimiser steps
    tokens_per_step: int = 2400  # tokens of one optimiser step, all processes and micro-batches together
    gradient_accumulation: int = 1  # micro-batches a step and process
    learning_rate: float = 4e-3
    word_offset_learning_rate_share: float = 0.1  # of what a decoder token's vector has beside its mapped word vector
    encoder_learning_rate: float = 3e-5  # of the encoder's own layers, where some are trained
    final_learning_rate_share: float = 0.03  # cosine down to this share
    warmup_steps: int = 100
    gradient_clip: float = 5.0
    autoencoder_share: float = 0.1  # of the steps, from the first, that keep beta at its start
    reset_decoder: bool = False  # start the decoder anew after them (Li et al. 2019)
    beta: float = 0.003  # weight of the KL at the start
    target_kl: float | None = 110.0  # nats a sentence that beta is then steered to (training/vae/schedule.py); or null:
    target_kl_start: float = 220.0  # where the target starts to fall geometrically
    control_rate: float = 0.02  # gain of the controller a step, in log beta
    beta_schedule: BetaSchedule = "constant"  # without a target: how beta comes to beta_end
    beta_end: float = 1.0
    beta_cycles: int = 4
    anneal_share: float = 0.5  # of the steps, over which the target falls or beta rises on a line
    free_bits: float = 0.0  # nats a latent dimension that cost nothing (Kingma et al. 2016)
    chunk_dropout: float = 0.0  # share of the texts of which the decoder is shown only some chunks, any share of them
    word_dropout: float = 0.0  # share of decoder inputs replaced, but not before it is a VAE (Bowman et al. 2016)
    final_word_dropout: float | None = None  # where `texts` alone are read, and read often; null for `word_dropout`
    average_cycles: int = 0  # last cycles of the learning rate: the weights end as the mean of its lows (Izmailov 2018)
    cycle_steps: int = 400  # of each of them; they count among `steps`
    mmd_weight: float = 0.0  # of the discrepancy between latents and prior (InfoVAE, Zhao et al. 2019)
    bag_of_words_weight: float = 0.0  # of a loss that predicts every word from the latent alone (Zhao et al. 2017)
    candidate_words: int = 1500  # most frequent tokens always among the softmax candidates; 0: full softmax
    sampled_words: int = 600  # random others a step, importance weighted
    cache_encoder_states: bool = False  # keep the frozen encoder's states (at most three layers, bf16)
    cache_gigabytes: float = 2.0  # upper bound of that cache
    checkpoint_every: int = 500  # steps
    log_every: int = 50  # steps

    @property
    def final_start(self) -> int:
        """Number of the first step that reads `texts` alone."""
        return self.steps - round(self.final_text_share * self.steps)

    def unrefined(self) -> VaeRecipe:
        """Without what says how posteriors are refined, which reaches no training."""
        return dataclasses.replace(self, refinement_steps=0, refinement_beta=None, refinement_slope=0.0)


@dataclass(frozen=True)
class EvaluationRecipe:
    """How `evaluate-vae` measures a trained VAE, and the models beside it that it is measured against."""

    profile: Literal["augment", "generate"] = "augment"  # what the VAE is for: its figures have other bars
    prior_components: int = 0  # Gaussians of a prior fitted to the training texts; 0 samples the model's own prior
    # How the VAE's texts are sampled; language model and baseline draw their words alike
    prior_temperature: float = 1.0  # of draws from priors, in their standard deviations
    latent_share: float = 1.0  # of the chunks of draws from priors that the decoder is shown
    class_candidates: int = 16  # texts drawn for a text of a class, of which its words choose one
    class_sharpness: float = 1.0  # exponent of p(class | words) in that choice
    token_top_p: float = 1.0
    seen_joins: bool = True  # word pieces are joined only as in some word of the training text
    samples: int = 1000
    importance_samples: int = 100
    similarity_model: str = "sentence-transformers/all-MiniLM-L6-v2"  # cosines of neighbours to their sources
    feature_model: str = "sentence-transformers/all-mpnet-base-v2"  # MAUVE and the auditor
    perplexity_model: str = "openai-community/gpt2"
    language_model_steps: int = 3000
    language_model_word_dropout: tuple[float, ...] = (0.0,)  # each is trained, the best on validation is kept
    baseline_steps: int = 3000
    reverse_steps: int = 200  # of the small language models trained on samples


@dataclass(frozen=True)
class AugmentRecipe:
    """How a label budget grows."""

    sizes: tuple[int, ...] = (200, 500)  # rows of the published datasets, the budget included
    oversample: float = 4.0  # candidates a wanted row
    oversample_by_generator: dict[str, float] = field(default_factory=dict)  # where it is another

    # Arm `vae`: texts from around the budget's own sentences, or rows put together from samples of the prior
    vae_latents: Literal["posterior", "prior"] = "posterior"
    temperature: float = 0.5  # posterior standard deviations of noise
    interpolation_share: float = 0.25  # candidates made between two sentences of one class; the rest are neighbours
    prior_top_p: float = 0.85  # of the words of such samples

    # Banks of sentences that rows are put together from: samples of the prior, or real ones (arm `self_training`)
    bank_sentences: int = 12000  # the same for all subsets
    bank_share: float = 0.1  # of them, the clearest by the teachers, in equal parts for the classes

    # Other arms
    rule_share: float = 0.1  # of a row's words that a rule of the arm `rules`, or that `masked_lm`, changes
    masked_lm: str = "google-bert/bert-base-uncased"  # of the arm `masked_lm`
    language_model: str = "openai-community/gpt2"  # of the arm `language_model`
    language_model_sentences: int = 2000  # the most that it writes for a budget
    language_model_steps: int = 60  # of its adapters' training on the budget; 0: it is only prompted
    language_model_top_p: float = 0.9

    # What is found out about candidates, and which are kept
    teacher_model: str | None = None  # body of the teachers, a Hub id or a folder; null: the VAE's encoder
    teacher_tokens: int = 128  # tokens of a text that a teacher reads
    near_copy_overlap: float = NEAR_COPY_OVERLAP  # share of 5-grams, a row's or a test text's, that makes a copy
    filters: tuple[Filter, ...] = ("confidence",)  # training/augment/selection.py; copies go in any case
    confident_share: float = 0.25  # of a class's candidates, that the filter `confidence` leaves (more where needed)
    perplexity_model: str | None = "openai-community/gpt2"  # of kept rows; of all that a filter asks it of
    perplexity_tokens: int = 128  # tokens of a row that are scored
    perplexity_subsets: int = 1  # subsets whose kept rows are scored, from the first; null model: none


@dataclass(frozen=True)
class VariantRecipe:
    """An arm beside those that have the name of a generator: the same candidates, otherwise chosen or used.

    One that has a generator's own name says what that arm is.
    """

    generators: tuple[str, ...] = ("vae",)  # each gives an equal part of the rows
    filters: tuple[Filter, ...] | None = None  # null for those of `augment`
    confident_share: float | None = None  # that the filter `confidence` leaves; null for that of `augment`
    soft_labels: bool = False  # the teacher's probabilities are a generated row's target, not its label
    synthetic_weight: float = 1.0  # of a generated row in the loss; a real one has 1


@dataclass(frozen=True)
class ClassifierRecipe:
    """One classifier: its body, how it is trained, and on which cells."""

    model: str = ""  # Hub id or folder; the body of `bert`, `gpt2_lora`, `probe`, and the embeddings of `lstm`
    max_length: int = 256
    batch_size: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    cue: str = "Sentiment"  # what `gpt2_lora` is asked after each text
    steps: dict[int, int] = field(default_factory=dict)  # size -> optimiser steps, equal for all arms of it
    arms: dict[str, tuple[int, ...]] = field(default_factory=dict)  # arm -> sizes
    subsets: int = 5
    fewer_subsets: dict[str, int] = field(default_factory=dict)  # arm -> its number of subsets, where that is less
    seeds: int | None = None  # trainings a cell; null for those of `study`
    other_budgets: dict[int, dict[str, tuple[int, ...]]] = field(default_factory=dict)  # budget -> arm -> sizes
    test_rows: int = 1000

    def arms_of(self, budget: int, main: int) -> dict[str, tuple[int, ...]]:
        """Arm -> sizes at a budget, where `main` is the study's own."""
        return self.arms if budget == main else self.other_budgets.get(budget, {})


@dataclass(frozen=True)
class StudyRecipe:
    """Budgets, test rows and workers."""

    dataset: str = "stanfordnlp/imdb"
    budget: int = 100  # labelled rows of a subset, equal numbers a class
    seeds: int = 1  # trainings a cell
    # Training rows that budgets are drawn from; development: test rows are drawn there, too, to choose recipes by
    role: Literal["study", "development", "any"] = "study"
    # Of the budget's rows, in place of equal numbers; subsets give them to the classes in turns. Generated and repeated
    # rows then make the classes equal
    class_shares: tuple[float, ...] | None = None
    workers: int = 2  # cells run at a time, one thread each


@dataclass(frozen=True)
class AnyRecipe(ABC):
    """What the recipes of all systems have."""

    system: ClassVar[str]  # whose recipe it is, as run.json says it

    name: str
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is written to `recipe.yaml` and hashed."""
        return _plain(self)

    @abstractmethod
    def reads(self) -> list[str]:
        """What running and evaluating it reads, as `datasets/ID` or `models/ID`; an id may be a path."""


@dataclass(frozen=True)
class Recipe(AnyRecipe):
    """A whole run."""

    system = "study"

    num_processes: int = 1  # processes of the VAE's training; compared with what was launched
    precision: Precision = "auto"
    vae: VaeRecipe = field(default_factory=VaeRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    study: StudyRecipe = field(default_factory=StudyRecipe)
    vae_of: str | None = None  # the recipe whose `vae` this is, where a recipe says `vae: NAME`
    variants: dict[str, VariantRecipe] = field(default_factory=dict)  # arm -> what it is
    classifiers: dict[ClassifierName, ClassifierRecipe] = field(default_factory=dict)

    def reads(self) -> list[str]:
        vae, augment, evaluation = self.vae, self.augment, self.evaluation
        plans = [plan for one in self.classifiers.values() for plan in (one.arms, *one.other_budgets.values())]
        variants = [self.variant(arm) for plan in plans for arm in plan]
        generators = {name for variant in variants if variant for name in variant.generators}
        datasets = [vae.texts, vae.unlabelled, *vae.exclude, self.study.dataset]
        models = [
            vae.encoder, augment.perplexity_model, augment.teacher_model,
            *(getattr(augment, name) for name in ("language_model", "masked_lm") if name in generators),
            *(one.model for one in self.classifiers.values()),
            evaluation.similarity_model, evaluation.feature_model, evaluation.perplexity_model,
        ]  # fmt: skip
        names = [("datasets", name) for name in datasets] + [("models", name) for name in models]
        return [f"{kind}/{name}" for kind, name in names if name]

    def without(self, generator: str) -> Recipe:
        """The recipe less every arm that a generator has a part in."""
        gone = {generator} | {name for name, variant in self.variants.items() if generator in variant.generators}

        def left(arms: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
            return {arm: sizes for arm, sizes in arms.items() if arm not in gone}

        classifiers = {
            name: dataclasses.replace(
                classifier,
                arms=left(classifier.arms),
                other_budgets={budget: left(arms) for budget, arms in classifier.other_budgets.items()},
            )
            for name, classifier in self.classifiers.items()
        }
        variants = {name: variant for name, variant in self.variants.items() if name not in gone}
        return dataclasses.replace(self, classifiers=classifiers, variants=variants)

    def variant(self, arm: str) -> VariantRecipe | None:
        """What an arm of generated rows consists of; None for the arms that generate nothing."""
        return self.variants.get(arm, VariantRecipe((arm,)) if arm in GENERATORS else None)

    def filters(self, arm: str) -> tuple[Filter, ...]:
        """Those of an arm of generated rows, or of a generator: of the arm that has its name."""
        variant = self.variant(arm)
        return self.augment.filters if variant is None or variant.filters is None else variant.filters

    def arms(self) -> list[str]:
        """Every arm there can be, in the order of tables."""
        return [*ARMS[:-1], *(name for name in self.variants if name not in ARMS), ARMS[-1]]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
