"""Text VAEs, augmented datasets, and an honest answer to whether they help a classifier.

The public names below are imported on first use, so `import textvae` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "LstmConfig": ".modeling_lstm",
    "LstmForSequenceClassification": ".modeling_lstm",
    "TextVAEConfig": ".modeling_textvae",
    "TextVAEModel": ".modeling_textvae",
    "UserError": ".training.common.errors",
    "advise": ".training.study.advise",
    "load_recipe": ".training.common.recipe_files",
    "load_texts": ".training.common.sources",
    "run_recipe": ".training.study.run",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("textvae")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module 'textvae' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
