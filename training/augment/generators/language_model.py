"""Sentences that a causal language model writes for a class, put together to rows.

Three ways, as the literature has them: *prompted* with lines "label: sentence" of the class from the budget, of which
the model writes one more; the same with a *continuation* of the first words of one of the budget's sentences; and
*tuned*, where LoRA adapters (Hu et al. 2021) have been trained on all such lines of the budget, and the label alone is
the prompt (as in Kumar et al. 2020, https://arxiv.org/abs/2003.02245).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import TaskType
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from textvae.modeling_textvae.augmentation import Progress, seed_of_row
from textvae.modeling_textvae.selection import Row

from ...common.lora import add_lora
from ...common.precision import device
from ...common.shards import Keep, sharded
from ...common.sources import LabelledTexts, resolve_model
from . import Cost
from .composing import compose, sentences_of

METHODS = ("prompted", "continuation", "tuned")
EXAMPLES = 8  # lines of a prompt
FIRST_WORDS = 3  # of a sentence that is continued
PROMPTS = 8  # read together
BLOCK = 64  # sentences written together, an equal part from each prompt
TUNING_BATCH = 16
TUNING_RATE = 1e-3
NUCLEUS = 2048  # most tokens of one: sorting the whole vocabulary takes a third of a step

Line = tuple[str, int]  # sentence, class


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model as a generator.

    Args:
        model_id: a Hub id or a folder.
        sentences: the most that are written for a budget, in equal parts for classes and methods; fewer where as many
            candidates as are asked for need no more.
        steps: optimiser steps of the adapters; 0 leaves *tuned* out.
        top_p: of their tokens.
        dtype: of the frozen weights.
        max_tokens: of a sentence; a longer one is dropped.
        keep: as for `sharded`.
    """

    model_id: str
    sentences: int
    steps: int
    top_p: float
    dtype: torch.dtype = torch.float32
    max_tokens: int = 64
    keep: Keep | None = None
    cost: Cost = field(default_factory=Cost)

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        """As every generator; sentence block b follows from (seed, b) alone."""
        assert budget.labels is not None
        writer = _Writer(self)
        lines = [
            (sentence, label)
            for row, label in zip(sentences_of(budget), budget.labels, strict=True)
            for sentence in row
        ]
        methods = METHODS if self.steps else METHODS[:2]
        names = budget.label_names
        needed = min(self.sentences, math.ceil(count * len(lines) / len(budget)))
        blocks = math.ceil(needed / BLOCK / len(methods) / len(names)) * len(names)
        written: list[str] = []
        pools: dict[str, list[list[int]]] = {}
        for place, method in enumerate(methods):  # `tuned` is the last: its adapters stay
            if method == "tuned":
                with self.cost.training():
                    writer.tune(lines, names, self.steps, seed)

            def write(block: int, method: str = method, first: int = place * blocks) -> list[str]:
                own = seed_of_row(seed, first + block)
                draw = random.Random(own)
                prompts, starts = zip(
                    *(_prompt(method, lines, block % len(names), names, draw) for _ in range(PROMPTS)), strict=True
                )
                with self.cost.writing():
                    texts = writer.write(list(prompts), own)
                self.cost.words += sum(len(text.split()) for text in texts)
                begun = [starts[place * PROMPTS // BLOCK] for place in range(BLOCK)]
                return [f"{start} {text}".strip() for start, text in zip(begun, texts, strict=True) if text]

            def keep(name: str, make: Callable[[], list[str]], method: str = method) -> list[str]:
                return self.keep(f"{method}-{name}", make) if self.keep else make()

            def done(_: list[str]) -> None:
                if progress:
                    progress("generate", BLOCK, blocks * BLOCK * len(methods))

            pools[method] = [[] for _ in names]
            for block, texts in enumerate(sharded(blocks, write, keep, done)):
                pools[method][block % len(names)] += range(len(written), len(written) + len(texts))
                written += texts
        made = compose(budget, written, pools, count, seed)
        return [row | {"sentences": [written[place] for place in places]} for row, places in made]


def _line(label: str, sentence: str = "") -> str:
    return f"{label}: {sentence}".rstrip()


def _prompt(method: str, lines: list[Line], label: int, names: list[str], draw: random.Random) -> tuple[str, str]:
    """What the model is given, and the sentence's first words, where they are given, too."""
    if method == "tuned":
        return _line(names[label]), ""
    own = [sentence for sentence, owner in lines if owner == label]
    shown = draw.sample(own, min(EXAMPLES, len(own)))
    start = " ".join(draw.choice(own).split()[:FIRST_WORDS]) if method == "continuation" else ""
    return "\n".join([*(_line(names[label], sentence) for sentence in shown), _line(names[label], start)]), start


class _Writer:
    """The model at work."""

    def __init__(self, settings: LanguageModel) -> None:
        logging.disable_progress_bar()
        folder, _ = resolve_model(settings.model_id)
        self.settings = settings
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left", truncation_side="left")
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=settings.dtype).to(device()).eval()
        self.ends = self._line_ends()
        positions = getattr(self.model.config, "max_position_embeddings", None) or 10**6
        self.max_tokens = min(settings.max_tokens, positions // 2)
        self.room = positions - self.max_tokens

    def _line_ends(self) -> Tensor:
        """(V,) bool: tokens with which a line is over."""
        texts = self.tokenizer.batch_decode([[token] for token in range(len(self.tokenizer))])
        ends = torch.tensor(["\n" in text for text in texts])
        if self.tokenizer.eos_token_id is not None:
            ends[self.tokenizer.eos_token_id] = True
        return ends.to(device())

    @torch.no_grad()
    def write(self, prompts: list[str], seed: int) -> list[str]:
        """BLOCK ends of the prompts' last lines, in order; "" for one that did not end within `max_tokens`."""
        draw = torch.Generator(device()).manual_seed(seed)
        # A model of few positions reads the last lines of a prompt, which ends with what is to be gone on with.
        read = self.tokenizer(prompts, padding=True, truncation=True, max_length=self.room, return_tensors="pt")
        mask = read["attention_mask"].to(device())
        found = self._step(read["input_ids"].to(device()), mask, None)
        # A prompt is read once; its keys and values then serve all its sentences.
        cache, each = found.past_key_values, BLOCK // len(prompts)
        cache.batch_repeat_interleave(each)
        logits, mask = (part.repeat_interleave(each, 0) for part in (found.logits[:, -1], mask))
        places = torch.arange(BLOCK, device=device())  # of the sentences that the batch still holds
        tokens = torch.full((BLOCK, self.max_tokens), -1, device=device())
        open_ = torch.ones(BLOCK, dtype=torch.bool, device=device())
        for step in range(self.max_tokens):
            chosen = _nucleus(logits.float(), self.settings.top_p, draw)
            open_[places] &= ~self.ends[chosen]
            going = open_[places]
            tokens[places[going], step] = chosen[going]
            if not going.any():
                break
            if 2 * int(going.sum()) <= len(going):
                left = going.nonzero()[:, 0]
                cache.batch_select_indices(left)
                places, chosen, mask = places[left], chosen[left], mask[left]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            logits = self._step(chosen[:, None], mask, cache).logits[:, -1]
        kept = [[token for token in row if token >= 0] for row in tokens.tolist()]
        texts = self.tokenizer.batch_decode(kept, skip_special_tokens=True)
        return ["" if cut else " ".join(text.split()) for text, cut in zip(texts, open_.tolist(), strict=True)]

    def _step(self, ids: Tensor, mask: Tensor, cache: Any) -> Any:
        """Read (B, T) tokens after those of the cache; a row padded on the left has its first position later."""
        positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        return self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip

    def tune(self, lines: list[Line], names: list[str], steps: int, seed: int) -> None:
        """Train adapters on the budget's lines, each with its end."""
        torch.manual_seed(seed)
        model = add_lora(self.model, TaskType.CAUSAL_LM)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=TUNING_RATE, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
        model.train()
        texts = [_line(names[label], sentence) + "\n" for sentence, label in lines]
        for batch in _batches(texts, steps, random.Random(seed)):
            encoded = [self.tokenizer(text)["input_ids"][: self.max_tokens] for text in batch]
            longest = max(map(len, encoded))
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in encoded], device=device())
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in encoded], device=device())
            # Inside another autocast the cache would keep the adapters as they were at the first step.
            half = self.settings.dtype is torch.bfloat16
            with torch.autocast(device().type, torch.bfloat16, enabled=half, cache_enabled=False):
                loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        self.model = model.merge_and_unload().to(self.settings.dtype).eval()


def _batches(texts: list[str], steps: int, draw: random.Random) -> Iterator[list[str]]:
    stream: list[str] = []
    for _ in range(steps):
        while len(stream) < TUNING_BATCH:
            stream += draw.sample(texts, len(texts))
        yield stream[:TUNING_BATCH]
        del stream[:TUNING_BATCH]


def _nucleus(logits: Tensor, top_p: float, draw: torch.Generator) -> Tensor:
    """(B, V) → (B,): one token a row from the smallest set that holds `top_p` (Holtzman et al. 2020)."""
    ordered, tokens = logits.softmax(-1).topk(min(NUCLEUS, logits.shape[-1]))
    ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= top_p, 0.0)
    return tokens.gather(1, ordered.multinomial(1, generator=draw))[:, 0]
