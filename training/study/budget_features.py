"""What the teachers see of a label budget, read once for all its arms and for the report."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..augment.generators.composing import sentences_of
from ..augment.judging import Embed
from ..common.files import atomic_path, fingerprint
from ..common.recipe import Recipe
from ..common.sources import LabelledTexts
from .banks import encoded, revision_of


class BudgetFeatures:
    """An `Embed` that looks up a budget's rows, and their sentences, where they have been read before.

    Each list by itself, so that nothing depends on who asked first.
    """

    spared_cpu_seconds = 0.0  # that others spent on what was looked up here

    def __init__(
        self, folder: Path, recipe: Recipe, budget: LabelledTexts, body: Embed, dtype: str, others: Embed | None = None
    ) -> None:
        """`body` reads the budget; `others`, which may remember what an arm knows, every other text."""
        self._folder, self._settings, self._dtype = folder, recipe.augment, dtype
        self._read, self._others = body, others or body
        sentences = [sentence for row in sentences_of(budget) for sentence in row]
        self._lists = (budget.texts, sentences)

    def __call__(self, texts: list[str]) -> Tensor:
        if texts not in self._lists:
            return self._others(texts)
        read = fingerprint(self._body, self._settings.teacher_tokens, self._dtype, texts)
        path = self._folder / "augmented" / "features" / f"{read}.safetensors"
        if path.exists():
            found = load_file(path)
            self.spared_cpu_seconds += float(found["cpu_seconds"])
        else:
            found = encoded(texts, self._read)
            with atomic_path(path) as temporary:
                save_file({name: tensor.contiguous() for name, tensor in found.items()}, temporary)
        return found["features"]

    @cached_property
    def _body(self) -> str:
        """The teacher's body: the one that is named, or the VAE's encoder."""
        return revision_of(self._settings.teacher_model) or fingerprint(self._folder / "vae" / "model.safetensors")
