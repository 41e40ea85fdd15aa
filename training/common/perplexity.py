"""How likely a language model finds a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .precision import device
from .sources import resolve_model

TOKENS = 1024  # scored together; their logits over a vocabulary of 49,000 take 200 MB


@torch.no_grad()
def perplexities(
    texts: list[str],
    model_id: str,
    tokens: int,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], Any] | None = None,
) -> list[float | None]:
    """exp of a causal language model's mean negative log-likelihood a token, over a text's first `tokens`
    (or as many as it has positions for).

    `dtype` is that of its weights. The first token has no context and is not scored; a text of one token, or of none,
    has no perplexity (null). `progress` is told of texts done.

    Raises:
        UserError: the model is not found.
    """
    folder, _ = resolve_model(model_id)
    # Weights of that type: autocast would convert them anew for every batch, half of the time that sentences take.
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device()).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokens = min(tokens, getattr(model.config, "max_position_embeddings", None) or tokens)
    results: list[float | None] = [None] * len(texts)
    ids = [tokenizer(text, truncation=True, max_length=tokens)["input_ids"] for text in texts]
    written = sorted((row for row, text in enumerate(texts) if text.strip()), key=lambda row: len(ids[row]))
    for rows in _batches(written, ids):
        batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt").to(model.device)
        logits = model(**batch).logits[:, :-1]
        scored = batch["attention_mask"][:, 1:].bool()
        targets = batch["input_ids"][:, 1:][scored]
        losses = torch.nn.functional.cross_entropy(logits[scored].float(), targets, reduction="none")
        for row, own in zip(rows, losses.split(scored.sum(1).tolist()), strict=True):
            if len(own):
                results[row] = float(own.mean().exp())
        if progress:
            progress(len(rows))
    return results


def _batches(rows: list[int], ids: list[list[int]]) -> Iterator[list[int]]:
    """Rows, given from the shortest to the longest, in parts that hold at most TOKENS when padded (or one row)."""
    part: list[int] = []
    for row in rows:
        if part and (len(part) + 1) * len(ids[row]) > TOKENS:
            yield part
            part = []
        part.append(row)
    if part:
        yield part
