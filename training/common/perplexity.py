"""How likely a language model finds a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .precision import autocast, device
from .sources import resolve_model

BATCH = 8  # rows scored together; the logits of a 49,000-token vocabulary take 25 MB a row of 128 tokens


@torch.no_grad()
def perplexities(
    texts: list[str],
    model_id: str,
    tokens: int,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[float | None]:
    """exp of a causal language model's mean negative log-likelihood a token, over a text's first `tokens`.

    The first token has no context and is not scored; a text of one token, or of none, has no perplexity (null).

    Raises:
        UserError: the model is not found.
    """
    folder, _ = resolve_model(model_id)
    place = device()
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(place).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    results: list[float | None] = [None] * len(texts)
    written = [row for row, text in enumerate(texts) if text.strip()]
    order = sorted(written, key=lambda row: len(texts[row]))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        batch = tokenizer(
            [texts[row] for row in rows],
            truncation=True,
            max_length=tokens,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        ).to(place)
        with autocast(dtype, place):
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        targets = batch["input_ids"][:, 1:].masked_fill(batch["attention_mask"][:, 1:] == 0, -100)
        losses = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2).float(), targets, reduction="none")
        counts = (targets != -100).sum(1)
        for row, total, count in zip(rows, losses.sum(1).tolist(), counts.tolist(), strict=True):
            if count:
                results[row] = float(torch.tensor(total / count).exp())
        if progress:
            progress("perplexity", len(rows), len(order))
    return results
