"""Rows of the budget with words replaced by what a masked language model finds likely in their place.

Contextual augmentation (Kobayashi 2018, https://arxiv.org/abs/1805.06201) without fine-tuning: nothing tells the model
the row's label, so a word that carries it may be turned into its opposite, which the teacher is there to notice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

from textvae.modeling_textvae.augmentation import Progress, new_row, seed_of_row
from textvae.modeling_textvae.selection import Row
from textvae.modeling_textvae.sentences import match_case, split_sentences

from ...common.errors import UserError
from ...common.precision import device
from ...common.shards import Keep, sharded
from ...common.sources import LabelledTexts, resolve_model
from . import Cost

BLOCK = 32  # candidates at a time
BATCH = 64  # sentences read together
LIKELIEST = 20  # words that a replacement is drawn from, by their probabilities
MAX_TOKENS = 128  # of a sentence; what follows is left as it is


@dataclass(frozen=True)
class MaskedLanguageModel:
    """A masked language model as a generator: candidate i is made of row i mod N.

    Args:
        model_id: a Hub id or a folder.
        share: of a row's words that are replaced, at least one; only words of one token are.
    """

    model_id: str
    share: float
    keep: Keep | None = None  # as for `sharded`
    cost: Cost = field(default_factory=Cost)

    def propose(self, budget: LabelledTexts, count: int, seed: int, progress: Progress | None = None) -> list[Row]:
        assert budget.labels is not None
        model, tokenizer = load(self.model_id)
        whole = _whole_words(tokenizer)
        labels = budget.labels

        def write(number: int) -> list[Row]:
            block = range(number * BLOCK, min((number + 1) * BLOCK, count))
            with self.cost.writing():
                texts = self._rewrite(
                    [budget.texts[index % len(budget)] for index in block],
                    [seed_of_row(seed, index) for index in block],
                    model, tokenizer, whole,
                )  # fmt: skip
            self.cost.words += sum(len(text.split()) for text in texts)
            made = []
            for index, text in zip(block, texts, strict=True):
                source = index % len(budget)
                row = new_row(text, labels[source], "masked_lm", source)
                made.append(row | {"seed": seed_of_row(seed, index)})
            return made

        def done(rows: list[Row]) -> None:
            if progress:
                progress("generate", len(rows), count)

        return [row for rows in sharded(math.ceil(count / BLOCK), write, self.keep, done) for row in rows]

    def _rewrite(
        self, texts: list[str], seeds: list[int], model: Any, tokenizer: Any, whole: torch.Tensor
    ) -> list[str]:
        sentences: list[tuple[int, str]] = []  # row of the block, sentence
        masked: list[list[int]] = []
        encoded: list[dict[str, Any]] = []
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        for row, text in enumerate(texts):
            parts = split_sentences(text)
            read = [
                tokenizer(part, truncation=True, max_length=MAX_TOKENS, return_offsets_mapping=True) for part in parts
            ]
            places = [
                (number, place)
                for number, one in enumerate(read)
                for place, word in enumerate(one.word_ids())
                if word is not None and one.word_ids().count(word) == 1 and whole[one["input_ids"][place]]
            ]
            words = sum(len(part.split()) for part in parts)
            order = torch.randperm(len(places), generator=draws[row]).tolist()
            chosen = {places[place] for place in order[: max(1, int(self.share * words))]}
            for number, (part, one) in enumerate(zip(parts, read, strict=True)):
                sentences.append((row, part))
                encoded.append(one)
                masked.append(sorted(place for sentence, place in chosen if sentence == number))
        replacements = self._replacements(
            encoded, masked, [draws[row] for row, _ in sentences], model, tokenizer, whole
        )
        rewritten: list[list[str]] = [[] for _ in texts]
        for (row, part), one, chosen_places, drawn in zip(sentences, encoded, masked, replacements, strict=True):
            for place, word in reversed(list(zip(chosen_places, drawn, strict=True))):
                first, last = one["offset_mapping"][place]
                part = part[:first] + match_case(word, part[first:last]) + part[last:]
            rewritten[row].append(part)
        return [" ".join(parts) for parts in rewritten]

    @torch.no_grad()
    def _replacements(
        self, encoded: list[Any], masked: list[list[int]], draws: list[torch.Generator], model: Any, tokenizer: Any,
        whole: torch.Tensor,
    ) -> list[list[str]]:  # fmt: skip
        """A word for each masked place of each sentence, never the one that stood there."""
        found: list[list[str]] = [[] for _ in encoded]
        order = sorted((k for k, places in enumerate(masked) if places), key=lambda k: len(encoded[k]["input_ids"]))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            longest = max(len(encoded[k]["input_ids"]) for k in part)
            ids = torch.full((len(part), longest), tokenizer.pad_token_id)
            mask = torch.zeros_like(ids)
            for line, k in enumerate(part):
                own = torch.tensor(encoded[k]["input_ids"])
                own[masked[k]] = tokenizer.mask_token_id
                ids[line, : len(own)], mask[line, : len(own)] = own, 1
            logits = model(input_ids=ids.to(device()), attention_mask=mask.to(device())).logits.float().cpu()
            for line, k in enumerate(part):
                for place in masked[k]:
                    scores = logits[line, place].masked_fill(~whole, -torch.inf)
                    scores[encoded[k]["input_ids"][place]] = -torch.inf
                    values, tokens = scores.topk(min(LIKELIEST, int(whole.sum()) - 1))
                    drawn = values.softmax(-1).multinomial(1, generator=draws[k])
                    found[k].append(tokenizer.decode([int(tokens[drawn])]).strip())
        return found


def load(model_id: str) -> tuple[Any, Any]:
    """The model, in eval mode, and its tokenizer.

    Raises:
        UserError: it is not found, or has no head that predicts words, as a stand-in for an encoder may not.
    """
    logging.disable_progress_bar()
    folder, source = resolve_model(model_id)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model, loading = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"masked_lm: {model_id} is no masked language model ({str(error).splitlines()[0]}); name another one"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    if loading["missing_keys"]:
        raise UserError(f"masked_lm: {source.sentence()} has no head that predicts words; name another model")
    return model.to(device()).eval(), AutoTokenizer.from_pretrained(folder)


def _whole_words(tokenizer: Any) -> torch.Tensor:
    """(V,) bool: tokens that are a word of letters by themselves."""
    texts = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return torch.tensor([text.isalpha() and text not in tokenizer.all_special_tokens for text in texts])
