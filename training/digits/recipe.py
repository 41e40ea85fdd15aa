"""Recipes of the digit autoencoders: every field with its unit and default."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..common.intervals import FEWEST_SUBSETS
from ..common.recipe import AnyRecipe

BUNDLED = "sklearn/digits"  # comes with scikit-learn


@dataclass(frozen=True)
class AutoencoderRecipe:
    """One of the run's autoencoders."""

    latent_size: int = 16
    variational: bool = False
    channels: tuple[int, ...] = (32, 64, 128)  # of convolutions that halve the side
    hidden_size: int = 256  # width of the dense layers
    num_hidden_layers: int = 1  # residual blocks of that width, in encoder and decoder each
    noise: float = 0.0  # deviation of Gaussian noise on the pixels that are read; those to be rebuilt stay clean
    prior_components: int = 0  # Gaussians fitted to the codes of the training images, to generate from


@dataclass(frozen=True)
class DigitsRecipe(AnyRecipe):
    """Autoencoders of one dataset, the classifier that judges what they make, and what their codes are good for."""

    system = "digits"

    dataset: str = BUNDLED  # a Hub id, or a folder of parquet files
    validation_images: int = 144  # last ones of the training part
    models: dict[str, AutoencoderRecipe] = field(default_factory=dict)  # name of its folder -> what it is
    main: str = ""  # the model whose samples stand for the run, and whose code is put to use
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.001  # of Adam
    final_learning_rate_share: float = 0.01  # it falls to this share on a cosine; 1 keeps it as it is
    judge_epochs: int = 10
    samples: int = 1000  # images of each generator, and test images, that are judged and compared with training images
    few_labels: int = 10  # labelled images a class
    subsets: int = 10  # draws of them
    few_steps: int = 300  # optimiser steps of each small classifier, the same for all it is compared with

    def __post_init__(self) -> None:
        for name in (
            "validation_images", "epochs", "batch_size", "judge_epochs", "samples", "few_steps",
        ):  # fmt: skip
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"'{name}' must be at least 1, not {value}")
        if self.few_labels < 2:
            raise ValueError(f"'few_labels' must be at least 2, not {self.few_labels}: images are mixed within a class")
        if self.subsets < FEWEST_SUBSETS:
            raise ValueError(f"'subsets' must be at least {FEWEST_SUBSETS}, not {self.subsets}: an interval needs them")
        if self.batch_size < 2:
            raise ValueError("'batch_size' must be at least 2: batches are normalised")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"'learning_rate' must lie between 0 and 1, not {self.learning_rate:g}")
        if not 0 <= self.final_learning_rate_share <= 1:
            raise ValueError(f"'final_learning_rate_share' must lie in [0, 1], not {self.final_learning_rate_share:g}")
        if not self.models:
            raise ValueError("'models' is empty; name one, as {autoencoder: {latent_size: 16}}")
        if self.main not in self.models:
            raise ValueError(f"'main' must be one of {', '.join(self.models)}, not '{self.main}'")
        if not self.generates(self.main):
            raise ValueError(f"'models.{self.main}' is the main one and must generate: set its 'prior_components'")
        kinds: dict[tuple[int, bool, bool], str] = {}
        for name, model in self.models.items():
            if not name.isidentifier() or name in RESERVED:
                raise ValueError(f"'models' key '{name}' must be letters, digits and underscores, and not {RESERVED}")
            if not 0 <= model.noise <= 1:
                raise ValueError(f"'models.{name}.noise' must lie in [0, 1], not {model.noise:g}")
            kind = model.latent_size, model.variational, model.noise > 0
            if other := kinds.get(kind):
                raise ValueError(f"'models.{name}' and 'models.{other}' would have the same figures; change one's size")
            kinds[kind] = name

    def reads(self) -> list[str]:
        return [] if self.dataset == BUNDLED else [f"datasets/{self.dataset}"]

    def generates(self, name: str) -> bool:
        """Whether a model has something to draw latents from."""
        return self.models[name].variational or self.models[name].prior_components > 0


RESERVED = ("judge", "pictures")  # the run's other folders
