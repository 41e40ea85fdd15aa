"""What a generated row must not be, and how likely a language model finds it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..common.precision import autocast, device
from ..common.sources import resolve_model
from ..common.text import normalise

NGRAM = 5
BATCH = 8  # rows scored together; the logits of a 49,000-token vocabulary take 25 MB a row of 128 tokens

_WORD = re.compile(r"\w+")

Ngrams = set[tuple[str, ...]]


def find_copies(texts: list[str], tests: Iterable[str], overlap: float) -> list[str | None]:
    """Why each text must go because of a test text, or null; test labels are never asked for.

    A copy has the letters and digits of a test text; a near-copy shares at least `overlap` of its different
    word 5-grams with one test text. One pass over the test texts, whose 5-grams are looked up among those of
    `texts`: seconds for 25,000 reviews.
    """
    identities: dict[str, list[int]] = defaultdict(list)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes = []
    for row, text in enumerate(texts):
        identities[normalise(text)].append(row)
        ngrams = _ngrams(text)
        sizes.append(len(ngrams))
        for ngram in ngrams:
            holders[ngram].append(row)
    known = set(holders)
    reasons: list[str | None] = [None] * len(texts)
    for test in tests:
        for row in identities.get(normalise(test), ()):
            reasons[row] = "copy of a test row"
        shared = Counter(row for ngram in _ngrams(test) & known for row in holders[ngram])
        for row, count in shared.items():
            if count >= overlap * sizes[row]:
                reasons[row] = reasons[row] or "near-copy of a test row"
    return reasons


def _ngrams(text: str) -> Ngrams:
    words = _WORD.findall(text.lower())
    return set(zip(*(words[start:] for start in range(NGRAM)), strict=False))


@torch.no_grad()
def perplexities(
    texts: list[str],
    model_id: str,
    tokens: int,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[float | None]:
    """exp of a causal language model's mean negative log-likelihood a token, over a text's first `tokens`.

    The first token has no context and is not scored; a text of one token has no perplexity (null).

    Raises:
        UserError: the model is not found.
    """
    folder, _ = resolve_model(model_id)
    place = device()
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(place).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    results: list[float | None] = [None] * len(texts)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
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
            progress("perplexity", len(rows), len(texts))
    return results
