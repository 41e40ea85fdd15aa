"""Decoding latents: greedy, sampled and beam search; from texts to latents and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from .decoder import BEGIN, END, PAD, LatentDecoder, Memory
from .posterior import Posterior, device_of

if TYPE_CHECKING:
    from .modeling_textvae import TextVAEModel

DECODE_BATCH = 256
REDRAWS = 4  # of a token that top-p leaves out, before its row is sorted


def decode(
    decoder: LatentDecoder,
    memory: Memory,
    max_new_tokens: int,
    *,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seen_joins: bool = True,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """(B, T) decoder ids, greedy or sampled; rows that have ended leave the batch."""
    count, device = len(memory.state), memory.state.device
    decoded = torch.full((count, max_new_tokens), PAD, dtype=torch.long, device=device)
    rows = torch.arange(count, device=device)
    tokens = torch.full((count, 1), BEGIN, device=device)
    state, vectors = None, decoder.vectors()
    for step in range(max_new_tokens):
        outputs, state = decoder(tokens, memory, state, place=step)
        scores = _allowed(decoder, decoder.logits(outputs[:, 0], vectors=vectors).float(), tokens[:, 0], seen_joins)
        chosen = _draw(scores / max(temperature, 1e-6), top_p, generator) if do_sample else scores.argmax(-1)
        decoded[rows, step] = chosen
        going = (chosen != END).nonzero()[:, 0]
        if len(going) == 0:
            break
        tokens = chosen[:, None]
        if len(going) < len(rows):
            rows, tokens, state = rows[going], tokens[going], state[:, going]
            memory = memory.select(going)
    lengths = (decoded != PAD).sum(1)
    return decoded[:, : max(int(lengths.max()), 1)] if count else decoded


def beam_search(
    decoder: LatentDecoder, memory: Memory, num_beams: int, max_new_tokens: int, seen_joins: bool = True
) -> torch.Tensor:
    """(B, T) decoder ids of the best of `num_beams` hypotheses by log-probability a token."""
    count, device = len(memory.state), memory.state.device
    memory = memory.select(torch.arange(count, device=device).repeat_interleave(num_beams))
    state, vectors = None, decoder.vectors()
    tokens = torch.full((count * num_beams, 1), BEGIN, device=device)
    history = torch.zeros(count, num_beams, 0, dtype=torch.long, device=device)
    # At first all beams of a row are alike, so only one of them may be continued.
    totals = torch.full((count, num_beams), float("-inf"), device=device)
    totals[:, 0] = 0.0
    ended = torch.zeros(count, num_beams, dtype=torch.bool, device=device)
    lengths = torch.zeros(count, num_beams, device=device)
    for step in range(max_new_tokens):
        outputs, state = decoder(tokens, memory, state, place=step)
        scores = _allowed(decoder, decoder.logits(outputs[:, 0], vectors=vectors).float(), tokens[:, 0], seen_joins)
        steps = scores.log_softmax(-1).view(count, num_beams, -1)
        # An ended hypothesis stays as it is: padding is its one continuation, at no cost.
        steps = steps.masked_fill(ended[..., None], float("-inf"))
        steps[..., PAD] = torch.where(ended, 0.0, steps[..., PAD])
        new_lengths = lengths + (~ended)
        reached = totals[..., None] + steps
        best = (reached / new_lengths[..., None].clamp(min=1)).flatten(1).topk(num_beams).indices
        parents, chosen = best // steps.shape[-1], best % steps.shape[-1]
        totals = reached.flatten(1).gather(1, best)
        lengths = new_lengths.gather(1, parents)
        ended = ended.gather(1, parents) | (chosen == END)
        history = history.gather(1, parents[..., None].expand(-1, -1, history.shape[-1]))
        history = torch.cat([history, chosen[..., None]], dim=-1)
        flat = (parents + torch.arange(count, device=device)[:, None] * num_beams).flatten()
        state, tokens = state[:, flat], chosen.flatten()[:, None]
        if bool(ended.all()):
            break
    best = (totals / lengths.clamp(min=1)).argmax(-1)
    return history[torch.arange(count, device=device), best]


def _allowed(decoder: LatentDecoder, scores: torch.Tensor, previous: torch.Tensor, seen_joins: bool) -> torch.Tensor:
    if seen_joins:
        scores = scores.masked_fill(~decoder.seen_joins(previous), float("-inf"))
    scores[..., PAD] = float("-inf")
    scores[..., BEGIN] = float("-inf")
    return scores


def _draw(scores: torch.Tensor, top_p: float, generator: torch.Generator | None) -> torch.Tensor:
    """(B,) draws from the softmax of scores (B, V), of the smallest set of tokens whose mass is `top_p`."""
    probabilities = scores.softmax(-1)
    tokens = _draw_any(probabilities, generator)
    if top_p >= 1.0:
        return tokens
    # A token is of that set where the mass of all likelier ones is below it, and is drawn again where it is not:
    # sorting every row takes several times as long.
    waiting, left = torch.arange(len(tokens), device=tokens.device), probabilities
    for _ in range(REDRAWS):
        likelier = ((left > left.gather(1, tokens[waiting, None])) * left).sum(-1)
        outside = likelier >= top_p
        waiting, left = waiting[outside], left[outside]
        if len(waiting) == 0:
            return tokens
        tokens[waiting] = _draw_any(left, generator)
    ordered, order = left.sort(-1, descending=True)
    ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= top_p, 0.0)
    tokens[waiting] = order.gather(1, _draw_any(ordered, generator)[:, None])[:, 0]
    return tokens


def _draw_any(weights: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """(B,) draws in proportion to weights (B, V), by a number a row; `torch.multinomial` draws one for each weight."""
    cumulative = weights.cumsum(-1)
    below_one = 1.0 - 2.0**-20  # rounding never reaches the last sum, beyond which nothing has a weight
    point = torch.rand(len(weights), 1, generator=generator, device=device_of(generator)).to(weights.device)
    return torch.searchsorted(cumulative, point * cumulative[:, -1:] * below_one, right=True)[:, 0]


def interpolate(start: torch.Tensor, end: torch.Tensor, steps: int, spherical: bool) -> torch.Tensor:
    """(steps, Z) points from `start` to `end` (Z,): on a line, or on an arc (Shoemake 1985)."""
    weights = torch.linspace(0.0, 1.0, steps, device=start.device)[:, None]
    if not spherical:
        return torch.lerp(start, end, weights)
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=0).clamp(-0.9999, 0.9999)
    angle = cosine.arccos()
    return (((1 - weights) * angle).sin() * start + (weights * angle).sin() * end) / angle.sin()


def batches_by_length(texts: list[str], batch_size: int) -> list[list[int]]:
    """Indices of texts in batches of like length, so that little padding is computed."""
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), index))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@torch.no_grad()
def encode_texts(
    model: TextVAEModel,
    texts: list[str],
    tokenizer: Any,
    batch_size: int = 64,
    class_ids: torch.Tensor | None = None,
    refinement_steps: int | None = None,
) -> Posterior:
    """Posterior of texts, in their order; batched by length. `refinement_steps` are the model's own by default."""
    _need_texts(texts)
    mean = torch.empty(len(texts), model.config.latent_size, device=model.device)
    log_variance = torch.empty_like(mean)
    for rows in batches_by_length(texts, batch_size):
        batch = _tokenize(model, [texts[row] for row in rows], tokenizer, model.config.max_text_length)
        classes = None if class_ids is None else class_ids[rows]
        posterior = model.posterior(**batch, class_ids=classes, refinement_steps=refinement_steps)
        mean[rows], log_variance[rows] = posterior.mean, posterior.log_variance
    return Posterior(mean, log_variance)


@torch.no_grad()
def features_of(
    model: TextVAEModel, texts: list[str], tokenizer: Any, max_length: int = 128, batch_size: int = 32
) -> torch.Tensor:
    """(N, encoder hidden size) float32 features of texts on the CPU, in their order; batched by length."""
    _need_texts(texts)
    features = torch.empty(len(texts), model.config.encoder_config.hidden_size)
    for rows in batches_by_length(texts, batch_size):
        batch = _tokenize(model, [texts[row] for row in rows], tokenizer, max_length)
        features[rows] = model.features(**batch).float().cpu()
    return features


@torch.no_grad()
def decode_latents(
    model: TextVAEModel,
    latents: torch.Tensor,
    tokenizer: Any,
    num_beams: int = 1,
    class_ids: torch.Tensor | None = None,
) -> list[str]:
    """Texts of latents (N, Z), without drawing, in batches."""
    texts: list[str] = []
    for start in range(0, len(latents), DECODE_BATCH):
        part = slice(start, start + DECODE_BATCH)
        ids = model.generate(
            latents[part],
            class_ids=None if class_ids is None else class_ids[part],
            do_sample=False,
            num_beams=num_beams,
        )
        texts.extend(decode_ids(ids, tokenizer))
    return texts


def decode_ids(ids: torch.Tensor, tokenizer: Any) -> list[str]:
    """Texts of encoder ids (B, T), spaces put as in ordinary writing."""
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    # WordPiece forgets which punctuation stood apart; byte-level tokenizers do not.
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return [tidy(text) for text in texts] if type(getattr(backend, "model", None)).__name__ == "WordPiece" else texts


def tidy(text: str) -> str:
    """Ordinary spacing of tokens joined by single spaces: `it ' s ( not ) good .` → `it's (not) good.`"""
    text = re.sub(r"(?<=[.\-]) (?=([.\-])(?: |$))", lambda m: "" if text[m.start() - 1] == m[1] else " ", text)
    text = re.sub(r" ([.,!?;:%)\]}…])", r"\1", text)
    text = re.sub(r"([(\[{$#]) ", r"\1", text)
    text = re.sub(r"(\w) ' (s|t|d|m|re|ve|ll|n)\b", r"\1'\2", text)
    text = re.sub(r"\b(o|d|l|rock) ' (?=\w)", r"\1'", text)
    text = re.sub(r"(\w) ([-/]) (?=\w)", r"\1\2", text)
    text = re.sub(r"(\d)([.,:]) (?=\d)", r"\1\2", text)
    parts = text.split('"')
    for index in range(1, len(parts), 2):  # what stands between an opening and a closing mark
        if index + 1 < len(parts):
            parts[index] = parts[index].strip()
    return '"'.join(parts).strip()


def _tokenize(model: TextVAEModel, texts: list[str], tokenizer: Any, max_length: int) -> dict[str, torch.Tensor]:
    batch = tokenizer(
        texts, truncation=True, max_length=max_length, padding=True, padding_side="right", return_tensors="pt"
    )
    return {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}


def _need_texts(texts: list[str]) -> None:
    if isinstance(texts, str):
        raise ValueError("texts is a str; give a list of texts")
    if not texts:
        raise ValueError("no texts were given; pass a list of at least one text")
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"texts[{row}] must be a text that is not empty, not {text!r}")
