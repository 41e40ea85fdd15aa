"""Model folders as trainings write them and later stages read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from transformers import AutoTokenizer, PreTrainedModel

from .errors import UserError
from .files import atomic_folder

M = TypeVar("M", bound=PreTrainedModel)
T = TypeVar("T")


def save_model(model: PreTrainedModel, tokenizer: Any, output: Path) -> None:
    """Write what `from_pretrained` loads into `output`, config.json last.

    It leaves checkpoints there: whoever has noted that the training is done removes them.
    """
    with atomic_folder(output / ".model") as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for item in sorted((output / ".model").iterdir(), key=lambda item: item.name == "config.json"):
        os.replace(item, output / item.name)
    (output / ".model").rmdir()


def load_model(kind: type[M], folder: Path, made_by: str) -> M:
    """The model of a folder, in eval mode, on the CPU.

    Args:
        made_by: the command that makes such folders, for the errors.

    Raises:
        UserError: there is no such folder, or what it holds is truncated or of another model.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder}: holds no model (config.json is missing); give a folder that `{made_by}` made, or run that first"
        )
    model, loading = _loaded(lambda: kind.from_pretrained(folder, output_loading_info=True), folder, made_by)
    if loading["missing_keys"] or loading["mismatched_keys"]:
        raise UserError(f"{folder}: the weights do not fit config.json; {_remedy(made_by)}")
    return model.eval()


def load_tokenizer(folder: Path, made_by: str) -> Any:
    """The tokenizer beside a model; arguments and errors as for `load_model`."""
    return _loaded(lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False), folder, made_by)


def _loaded(load: Callable[[], T], folder: Path, made_by: str) -> T:
    try:
        return load()
    except Exception as error:  # readers of weights and tokenizers raise whatever they like
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        problem = f"cannot be loaded, it is damaged or of another kind ({reason})"
        raise UserError(f"{folder}: {problem}; {_remedy(made_by)}") from error


def _remedy(made_by: str) -> str:
    return f"if `{made_by}` made it, delete it and run that again, else give a folder that it made"
