"""Sentences a CPU second of a language model of GPT-2's size with random weights: JSON.

transformers' own `generate`, batch 32, 28 new tokens, no early end, in its faster precision.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

BATCH, NEW_TOKENS = 32, 28


def main() -> None:
    torch.manual_seed(0)
    rates = {}
    # Without instructions for it, a processor takes minutes for what it does in seconds in float32.
    halves = (torch.bfloat16,) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ()
    for dtype in (torch.float32, *halves):
        model = GPT2LMHeadModel(GPT2Config()).to(dtype).eval()
        ids = torch.full((BATCH, 1), 50256)
        options = {"do_sample": True, "min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS, "pad_token_id": 50256}
        times = []
        for _ in range(3):
            start = time.process_time()
            with torch.inference_mode():
                model.generate(ids, attention_mask=torch.ones_like(ids), **options)
            times.append(time.process_time() - start)
        rates[str(dtype).removeprefix("torch.")] = BATCH / min(times)
    json.dump({"sentences_per_cpu_second": max(rates.values()), **rates}, sys.stdout)


if __name__ == "__main__":
    main()
