"""From pins to folders, and from folders to models.

torch and transformers are imported where they are used: the page is up seconds before they are.
"""

from __future__ import annotations

import json
import os
import re
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

PROFILES = ("augment", "generate")
SISTERS = ("lstm", "emotion", "digits")  # systems with a tab of their own
SAMPLING = {"prior_temperature": 1.0, "latent_share": 1.0, "top_p": 0.9}
PRIOR = "classes.prior.safetensors"


class PinError(ValueError):
    """A pins file that the publisher has to mend."""


@dataclass(frozen=True)
class Pin:
    """A repository at a commit, or a folder; `sampling` is how a model's draws read best."""

    id: str
    revision: str | None = None
    sampling: dict[str, float] = field(default_factory=dict)

    def folder(self, kind: str, holds: str) -> Path:
        """Where the files are: a path, else the mirror's, else the Hub's, fetched if need be.

        Args:
            kind: "models" or "datasets".
            holds: pattern of a file that has to be there.

        Raises:
            PinError: neither a folder nor pinned to a commit, without that file, or not to be read here.
        """
        folder = self._find(kind)
        if not any(folder.glob(holds)):
            raise PinError(f"{self.id}: holds no {holds}; pin another folder or revision")
        return folder

    def _find(self, kind: str) -> Path:
        if Path(self.id).expanduser().is_dir():
            return Path(self.id).expanduser()
        mirror = os.environ.get("TEXTVAE_MIRROR")
        if mirror and (Path(mirror) / kind / self.id).is_dir():
            return Path(mirror) / kind / self.id
        # A branch may say something else tomorrow, and a model's code is run.
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision or ""):
            raise PinError(f"{self.id}: no such folder, and no commit to fetch; pin a revision of 40 hex digits")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(self.id, revision=self.revision, repo_type=kind.removesuffix("s")))
        except (HfHubHTTPError, LocalEntryNotFoundError) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code not in (401, 403, 404):
                raise
            raise PinError(  # what is private looks absent
                f"{self.id}: the Hub shows no such commit here; make the repository public, or add a secret HF_TOKEN "
                "that may read it in the Space's settings"
            ) from None

    def __str__(self) -> str:
        return f"{self.id} @ {self.revision}" if self.revision else self.id


@dataclass(frozen=True)
class Pins:
    """What a pins file says; what it does not pin has no tab, and one text VAE may serve all of its tabs."""

    models: dict[str, Pin]  # text VAEs by profile
    dataset: Pin | None = None
    evidence: Pin | None = None
    lstm: Pin | None = None
    emotion: Pin | None = None
    digits: Pin | None = None


def read_pins(path: str | Path) -> Pins:
    """The pins in a JSON file.

    Raises:
        PinError: the file cannot be read, or pins no model that has a tab.
    """
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        models = {name: Pin(**pin) for name, pin in table.get("models", {}).items()}
        others = {name: Pin(**table[name]) for name in ("dataset", "evidence", *SISTERS) if table.get(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PinError(f"{path}: no pins file ({error}); spaces_demo/README.md shows one") from error
    if not set(models) <= set(PROFILES):
        raise PinError(f"{path}: models may hold `augment` and `generate`, nothing else")
    if not models and not set(SISTERS) & set(others):
        raise PinError(f"{path}: pins no model; spaces_demo/README.md shows how")
    for pin in models.values():
        if not set(pin.sampling) <= set(SAMPLING):
            raise PinError(f"{path}: sampling may hold {', '.join(SAMPLING)}, nothing else")
    return Pins(models, **others)


class Loaded(NamedTuple):
    """A model with what came along: its tokenizer, two modules of its code, its class prior."""

    model: Any
    tokenizer: Any
    generation: ModuleType
    sentences: ModuleType
    prior: Any | None


class Pinned(ABC):
    """A model in a folder, loaded when it is first asked for and then shared by all requests, which only read it."""

    def __init__(self, pin: Pin) -> None:
        self.pin, self.folder = pin, pin.folder("models", "config.json")
        self._lock = threading.Lock()
        self._loaded: Any = None

    def load(self) -> Any:
        """The model; the first call runs the code that came with its weights."""
        with self._lock:
            if self._loaded is None:
                for name in ("config.json", "tokenizer_config.json"):
                    path = self.folder / name
                    if path.is_file() and "--" in json.dumps(json.loads(path.read_text("utf-8")).get("auto_map", {})):
                        raise PinError(
                            f"{path}: auto_map names another repository, whose code is not pinned; keep it here"
                        )
                self._loaded = self._load()
            return self._loaded

    @abstractmethod
    def _load(self) -> Any:
        """The model, with what belongs to it, from `folder`."""

    def record(self, **settings: Any) -> str:
        """One line that says how to get a result again."""
        told = (f"{name.replace('_', ' ')} {value}" for name, value in settings.items())
        return " · ".join([str(self.pin), *told])


class PinnedModel(Pinned):
    """A text VAE."""

    def __init__(self, pin: Pin) -> None:
        super().__init__(pin)
        self.sampling = SAMPLING | pin.sampling

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes that the model can be asked for, known before its weights are loaded."""
        from safetensors import safe_open

        if not (self.folder / PRIOR).is_file():
            return []
        with safe_open(self.folder / PRIOR, framework="np") as file:
            return [str(name) for name in json.loads(file.metadata()["facts"]).get("classes", [])]

    def _load(self) -> Loaded:
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(self.folder, trust_remote_code=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=True)
        package = type(model).__module__.rpartition(".")[0]
        generation, sentences = (import_module(f"{package}.{name}") for name in ("generation", "sentences"))
        return Loaded(model, tokenizer, generation, sentences, model.load_prior("classes") if self.classes else None)


class PinnedClassifier(Pinned):
    """A text classifier; loaded, it is a pair of model and tokenizer."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of its classes, known before its weights are loaded."""
        names = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["id2label"]
        return [str(names[place]) for place in sorted(names, key=int)]

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        model = AutoModelForSequenceClassification.from_pretrained(self.folder, trust_remote_code=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=True)
        model.check_tokenizer(tokenizer)
        return model, tokenizer


class PinnedEmotion(Pinned):
    """A model that reads valence and arousal; loaded, it is a pair of model and tokenizer."""

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(self.folder, trust_remote_code=True).eval()
        return model, AutoTokenizer.from_pretrained(self.folder, trust_remote_code=True)


class PinnedAutoencoder(Pinned):
    """An autoencoder of images; loaded, it is the model."""

    def _load(self) -> Any:
        from transformers import AutoModel

        return AutoModel.from_pretrained(self.folder, trust_remote_code=True).eval()


def seeded(seed: int) -> Any:
    """A torch generator of a request's own."""
    import torch

    return torch.Generator().manual_seed(seed)
