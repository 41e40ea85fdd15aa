"""Recipes of the emotion VAE: every field with its unit and default."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..common.recipe import AnyRecipe, Precision


@dataclass(frozen=True)
class EmotionModelRecipe:
    """One emotion VAE: its encoder, its shape, and how it is trained."""

    # What it reads
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    encoder_layers: tuple[int, ...] = (0, 4, 5, 6)  # hidden states whose means are the embedding; 0: word vectors
    trainable_encoder_layers: int = 0  # last layers of the encoder that are trained; -1 trains all of it
    max_length: int = 128  # encoder tokens a text, special tokens included
    max_deviation: float | None = None  # texts on which raters differ more are not trained on, in rating units

    # What it is
    hidden_size: int = 512  # units a layer
    num_hidden_layers: int = 3  # of the recognition network, and of the decoder
    num_members: int = 3  # networks whose predictions are averaged
    skip_connections: bool = True  # the decoder reads the recognition network's layers
    hidden_dropout: float = 0.3  # of every layer's units
    embedding_dropout: float = 0.3  # of the sentence embedding's numbers
    conditional: bool = False  # condition on the texts' categories
    prior_components: int = 1  # Gaussians of the prior; 1 is N(0, I)

    # How it is trained
    epochs: int = 8
    batch_size: int = 128  # texts of one optimiser step, all processes together
    learning_rate: float = 1.5e-3
    encoder_learning_rate: float = 3e-5  # of the encoder's own layers, where some are trained
    warmup_steps: int = 100  # and then a cosine down to 0
    weight_decay: float = 0.01
    reconstruction_weight: float = 1.0  # of the standardised embedding's mean squared error
    beta: float = 0.01  # weight of the KL in the end
    anneal_share: float = 0.5  # of the steps, over which it rises on a line from 0
    mean_weight: float = 0.5  # of the squared error of the posterior's mean, in the ratings' own deviations
    deviation_weight: float = 0.3  # of the squared error of its standard deviation
    nll_weight: float = 0.15  # of the head that predicts the mean's error
    nll_beta: float = 0.5  # exponent of the variance that weighs its texts (Seitzer et al. 2022)
    mmd_weight: float = 0.0  # of the discrepancy between latents and prior (InfoVAE, Zhao et al. 2019)
    hidden_skip_share: float = 0.5  # of texts whose skips the decoder is not shown, so that it can do without a text
    unknown_category_share: float = 0.1  # of texts whose category is hidden from a conditional model
    checkpoint_every: int = 200  # steps

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"'{name}' must be at least 1, not {getattr(self, name)}")
        for name in ("anneal_share", "hidden_skip_share", "unknown_category_share", "hidden_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"'{name}' is a share and must lie in 0 to 1, not {getattr(self, name)}")
        for name in ("learning_rate", "encoder_learning_rate", "mean_weight"):
            if getattr(self, name) <= 0:
                raise ValueError(f"'{name}' must be above 0, not {getattr(self, name)}")
        for name in (
            "reconstruction_weight", "beta", "deviation_weight", "nll_weight", "nll_beta", "mmd_weight", "weight_decay"
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"'{name}' must be 0 or more, not {getattr(self, name)}")
        if self.mmd_weight and self.prior_components > 1:
            raise ValueError("'mmd_weight' compares with N(0, I); leave 'prior_components' at 1 beside it")
        if self.trainable_encoder_layers < -1:
            raise ValueError(
                f"'trainable_encoder_layers' must be -1 (all), 0 (none) or more, not {self.trainable_encoder_layers}"
            )


@dataclass(frozen=True)
class EmotionRecipe(AnyRecipe):
    """A whole run: the data, the folds, the model, and what it is compared with."""

    system = "emotion"

    data: str = "JULIELab/EmoBank"  # columns text, V, stdV and, where there are any, A, stdA, category
    lowest_rating: float = 1.0
    highest_rating: float = 5.0
    min_deviation: float = 0.1  # floor of every predicted standard deviation, in rating units
    folds: int = 5  # of the cross-validation, by a hash of the text
    calibration_share: float = 0.1  # of a fold's training texts, on which the error's size is calibrated
    precision: Precision = "float32"  # of the training
    num_processes: int = 1  # of the training of the one model by `accelerate launch`; compared with what was launched
    baselines: bool = True  # ridge and kernel ridge on the same folds
    model: EmotionModelRecipe = field(default_factory=EmotionModelRecipe)
    variants: dict[str, EmotionModelRecipe] = field(default_factory=dict)  # name → what is compared with the model
    captions: dict[str, str] | None = None  # variant → what the report calls it, where its name does not say it
    base: str | None = None  # the variant that the others differ from in one thing each, whose worth the report tells
    rival: str | None = None  # the variant that stands beside the baselines on the data's own split, too
    beside: str | None = None  # run of a frozen encoder, in a folder beside this run's, whose figures stand beside

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"'folds' must be at least 2, not {self.folds}")
        if not 0 < self.calibration_share < 1:
            raise ValueError(f"'calibration_share' must lie between 0 and 1, not {self.calibration_share}")
        named = {"base": self.base, "rival": self.rival} | {f"captions.{name}": name for name in self.captions or ()}
        for where, name in named.items():
            if name is not None and name not in self.variants:
                raise ValueError(f"'{where}' names no variant; known: {', '.join(self.variants) or 'none'}")
        if self.beside is not None and not self.model.trainable_encoder_layers:
            raise ValueError(
                f"'beside' puts the figures of '{self.beside}' beside those of a trained encoder; set "
                "'model.trainable_encoder_layers', or leave it out"
            )
        if not self.lowest_rating < self.highest_rating:
            raise ValueError(
                f"'lowest_rating' ({self.lowest_rating}) must be under 'highest_rating' ({self.highest_rating})"
            )
        if not 0 < self.min_deviation < self.highest_rating - self.lowest_rating:
            raise ValueError(f"'min_deviation' must be above 0 and under the scale's length, not {self.min_deviation}")

    def reads(self) -> list[str]:
        encoders = {model.encoder: None for model in (self.model, *self.variants.values())}
        return [f"datasets/{self.data}", *(f"models/{encoder}" for encoder in encoders)]
