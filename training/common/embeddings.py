"""Sentence embeddings of a named body, for measuring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from .precision import autocast, device
from .sources import resolve_model

BATCH = 32
TOKENS = 128  # read of a text, where nobody says otherwise


Embedder = Callable[[list[str], Callable[[int], Any] | None], np.ndarray]  # texts, progress → (N, H)


def embed(
    texts: list[str],
    model_id: str,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], Any] | None = None,
) -> np.ndarray:
    """(N, H) float32 means of a body's last token states, each of length 1.

    Raises:
        UserError: the model is not found.
    """
    return embedder(model_id, dtype)(texts, progress)


def embedder(model_id: str, dtype: torch.dtype = torch.float32, tokens: int = TOKENS) -> Embedder:
    """The same with the body loaded once, for texts that come in parts."""
    folder, _ = resolve_model(model_id)
    place = device()
    body = AutoModel.from_pretrained(folder, dtype=torch.float32).to(place).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def means(texts: list[str], progress: Callable[[int], Any] | None = None) -> np.ndarray:
        rows = np.empty((len(texts), body.config.hidden_size), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            batch = tokenizer(
                [texts[row] for row in part], truncation=True, max_length=tokens, padding=True, padding_side="right",
                return_tensors="pt",
            ).to(place)  # fmt: skip
            with autocast(dtype, place):
                states = body(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            mean = (states.float() * mask).sum(1) / mask.sum(1)
            rows[part] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
            if progress:
                progress(len(part))
        return rows

    return means
