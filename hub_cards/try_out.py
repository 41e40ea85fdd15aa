"""Loads what stands in folders as a stranger would: a program by itself, that knows nothing of textvae.

Reads from standard input, as JSON, a list of [kind, name, arguments]; dies with a line about the first that fails.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path


def text_vae(folder: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = model.generate(num_return_sequences=2, max_new_tokens=8)
    assert len(tokenizer.batch_decode(ids, skip_special_tokens=True)) == 2
    for path in Path(folder).glob("*.prior.safetensors"):
        model.load_prior(path.name.removesuffix(".prior.safetensors"))


def emotion_vae(folder: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert model.predict(["a film."], tokenizer).mean[:, model.rated].isfinite().all()


def digit_autoencoder(folder: str) -> None:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    side = model.config.image_size
    assert model(torch.zeros(1, 1, side, side)).reconstruction.isfinite().all()
    if model.config.variational or model.config.prior_components:
        assert len(model.generate(2)) == 2


def classifier(folder: str) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    if hasattr(model, "check_tokenizer"):  # an LSTM's
        model.check_tokenizer(tokenizer)
    assert model(**tokenizer("a film.", return_tensors="pt")).logits.isfinite().all()


def adapter(folder: str, base: str, classes: int) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    body = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=classes, pad_token_id=tokenizer.pad_token_id
    )
    model = PeftModel.from_pretrained(body, folder).eval()
    assert model(**tokenizer("a film.", return_tensors="pt")).logits.isfinite().all()


def grown_dataset(folder: str) -> None:
    from datasets import ClassLabel, load_dataset

    rows, candidates = (load_dataset(folder, name, split="train") for name in ("default", "candidates"))
    assert 0 < len(rows) <= len(candidates)
    assert isinstance(rows.features["label"], ClassLabel)


def test_dataset(folder: str) -> None:
    from datasets import load_dataset

    rows = load_dataset(folder, split="test")
    assert len(rows)
    assert {"text", "label"} <= set(rows.column_names)


def space(folder: str) -> None:
    for path in Path(folder).rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    assert json.loads((Path(folder) / "pins.json").read_bytes())


if __name__ == "__main__":
    for kind, name, arguments in json.load(sys.stdin):
        try:
            globals()[kind](**arguments)
        except Exception as error:
            sys.exit(f"{name}: does not work when it is loaded: {type(error).__name__} {' '.join(str(error).split())}")
