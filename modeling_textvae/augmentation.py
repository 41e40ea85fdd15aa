"""Growing a small labelled set: split, encode, perturb, decode, reassemble.

A review is too long for one latent, so each of its sentences is encoded and disturbed by itself, and the
decoded sentences are joined again in the order of their sources: the row keeps the length and the course of a
review, and its label. What became of the label on the way is judged by a teacher that knows the given rows
alone.

Needs torch and the standard library only, because the file travels to the Hub with the weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .generation import DECODE_BATCH, batches_by_length, decode_latents, encode_texts, features_of
from .posterior import device_of
from .selection import Row, fill_quotas, reject_copies, undecided
from .sentences import fit_sentences, match_case

Progress = Callable[[str, int, int], None]  # stage, rows done since the last call, rows in all

BLOCK = 1024  # candidates held as latents at a time
NEIGHBOURS_DRAWN = 8  # sentences of which the nearest one is interpolated with


class Teacher:
    """Multinomial logistic regression on the features of the given rows alone.

    Minimises the mean cross-entropy + |W|² / (2 C N), by L-BFGS in double precision from zero: convex, so the
    result does not depend on a seed.

    Args:
        features: (N, H) floats. labels: N class indices. classes: C. inverse_penalty: the C of the usual
            libraries.

    Raises:
        ValueError: a class without a row, of which it would say nothing, or a label that is none of the classes.
    """

    def __init__(self, features: Tensor, labels: Sequence[int], classes: int, inverse_penalty: float = 10.0):
        if set(labels) != set(range(classes)):
            raise ValueError(
                f"a teacher of {classes} classes is given rows of the classes {sorted(set(labels))}; give it rows of "
                "every class and of no other"
            )
        with torch.inference_mode(False), torch.enable_grad():
            inputs = features.detach().to("cpu", torch.float64, copy=True)
            targets = torch.tensor(labels)
            self.weight = torch.zeros(inputs.shape[1], classes, dtype=torch.float64, requires_grad=True)
            self.bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
            optimiser = torch.optim.LBFGS([self.weight, self.bias], max_iter=500, line_search_fn="strong_wolfe")

            def closure() -> Tensor:
                optimiser.zero_grad()
                loss = torch.nn.functional.cross_entropy(inputs @ self.weight + self.bias, targets)
                loss = loss + self.weight.square().sum() / (2 * inverse_penalty * len(inputs))
                loss.backward()
                return loss

            optimiser.step(closure)
            self.weight.requires_grad_(False)
            self.bias.requires_grad_(False)

    def probabilities(self, features: Tensor) -> Tensor:
        """(N, H) → (N, C) float32 on the CPU."""
        return (features.double().cpu() @ self.weight + self.bias).softmax(-1).float()


def original_rows(texts: Sequence[str], labels: Sequence[Any]) -> list[Row]:
    """The given rows themselves, kept, in their order.

    Raises:
        ValueError: no rows, unequal numbers, a text that is empty or no text, fewer than two classes.
    """
    if len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts but {len(labels)} labels; give one label a text")
    for number, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"texts[{number}] is empty or not a string; drop it or fill it in")
    if len(set(labels)) < 2:
        raise ValueError(f"{len(set(labels))} class(es) among the labels; give rows of at least two")
    return [
        new_row(text, label, "original", number) | {"kept": True, "rank": number}
        for number, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def class_names(labels: Sequence[Any]) -> list[Any]:
    """The labels that occur, in the order of their class indices."""
    return sorted(set(labels), key=lambda label: (isinstance(label, str), label))


def new_row(text: str, label: Any, method: str, source_row: int) -> Row:
    """A row of which nothing else is known yet."""
    return {
        "text": text,
        "label": label,
        "method": method,
        "source_row": source_row,
        "temperature": None,
        "teacher_confidence": None,
        "seed": None,
        "kept": False,
        "reject_reason": None,
        "rank": None,
    }


def seed_of_row(seed: int, index: int) -> int:
    """The seed of candidate `index` alone, in [0, 2⁴⁸)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:6], "big")


def propose(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[Any],
    tokenizer: Any,
    count: int,
    *,
    progress: Progress | None = None,
    **how: Any,
) -> list[Row]:
    """`count` undecided candidate rows, as many a source as possible; `how` is what `proposer` asks for."""
    make = proposer(model, texts, labels, tokenizer, **how)
    rows: list[Row] = []
    for block in blocks(count):
        rows += make(block)
        if progress:
            progress("generate", len(block), count)
    return rows


def blocks(count: int) -> list[range]:
    """Numbers of the candidates that are decoded together."""
    return [range(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


@torch.no_grad()
def proposer(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[Any],
    tokenizer: Any,
    *,
    temperature: float,
    interpolation_share: float,
    seed: int,
) -> Callable[[range], list[Row]]:
    """What makes undecided candidate rows of given numbers.

    A *neighbour* is decoded from mean + temperature · sd · noise of each sentence's posterior; an
    *interpolation* from (1 - w) mean + w other mean, w drawn in [0.25, 0.5], where the other sentence is of
    another row of the class: the nearest of a few drawn, because unlike sentences mix into word salad.
    Candidate i is a function of (seed, i), the given rows and the weights: a larger `count` adds candidates
    and changes none, up to rounding in the batches that are decoded together.
    """
    sentences = fit_sentences(texts, tokenizer, model.config.max_text_length)
    flat = [sentence for row in sentences for sentence in row]
    owner = torch.tensor([number for number, row in enumerate(sentences) for _ in row])
    names = class_names(labels)
    classes = torch.tensor([names.index(label) for label in labels])[owner]
    if model.config.num_classes not in (0, len(names)):
        raise ValueError(f"{len(names)} classes of labels, but the model knows {model.config.num_classes}")
    class_ids = classes if model.config.num_classes else None
    posterior = encode_texts(model, flat, tokenizer, class_ids=class_ids)
    means, deviations = posterior.mean.float().cpu(), posterior.log_variance.float().cpu().mul(0.5).exp()
    spans = torch.arange(len(flat)).split([len(row) for row in sentences])

    def latents(own: Tensor, generator: torch.Generator) -> tuple[str, Tensor]:
        mean = means[own]
        if torch.rand((), generator=generator) < interpolation_share:
            others = ((classes == classes[own[0]]) & (owner != owner[own[0]])).nonzero()[:, 0]
            if len(others):
                drawn = others[torch.randint(len(others), (len(own), NEIGHBOURS_DRAWN), generator=generator)]
                nearest = (means[drawn] - mean[:, None]).norm(dim=-1).argmin(1, keepdim=True)
                weights = 0.25 + 0.25 * torch.rand(len(own), 1, generator=generator)
                return "interpolation", mean.lerp(means[drawn.gather(1, nearest)[:, 0]], weights)
        noise = torch.randn(mean.shape, generator=generator)
        return "neighbour", mean + temperature * deviations[own] * noise

    @torch.no_grad()
    def make(numbers: range) -> list[Row]:
        rows, drawn = [], []
        for index in numbers:
            number = index % len(texts)
            own_seed = seed_of_row(seed, index)
            method, latent = latents(spans[number], torch.Generator().manual_seed(own_seed))
            row = new_row("", labels[number], method, number)
            row.update(seed=own_seed, temperature=temperature if method == "neighbour" else 0.0)
            rows.append(row)
            drawn.append(latent)
        places = torch.cat([spans[row["source_row"]] for row in rows])
        sources = [flat[place] for place in places.tolist()]
        place_classes = None if class_ids is None else class_ids[places]
        decoded = iter(_decode(model, torch.cat(drawn), sources, tokenizer, place_classes))
        for row in rows:
            parts = [match_case(next(decoded), source) for source in sentences[row["source_row"]]]
            row["text"] = " ".join(filter(None, parts))
        return rows

    return make


def _decode(model: Any, latents: Tensor, sources: list[str], tokenizer: Any, class_ids: Tensor | None) -> list[str]:
    """Greedy texts of (N, Z) latents; batches hold sources of like length, so that they end early."""
    order = torch.tensor([row for batch in batches_by_length(sources, DECODE_BATCH) for row in batch])
    ordered_classes = None if class_ids is None else class_ids[order]
    decoded = decode_latents(model, latents[order], tokenizer, class_ids=ordered_classes)
    texts = [""] * len(sources)
    for place, text in zip(order.tolist(), decoded, strict=True):
        texts[place] = text.strip()
    return texts


def score(
    model: Any, rows: list[Row], tokenizer: Any, *, teacher_tokens: int, progress: Progress | None = None
) -> None:
    """Fit the teacher on the originals and write p(label) into every row that is not rejected, in place."""
    names = class_names([row["label"] for row in rows])
    originals = [row for row in rows if row["method"] == "original"]
    scored = originals + undecided(rows)
    labels = [names.index(row["label"]) for row in scored]
    teacher_tokens = min(teacher_tokens, getattr(model.config.encoder_config, "max_position_embeddings", 512))
    matrix = torch.empty(len(scored), model.config.encoder_config.hidden_size)
    for block in batches_by_length([row["text"] for row in scored], BLOCK // 4):
        matrix[block] = features_of(
            model, [scored[place]["text"] for place in block], tokenizer, max_length=teacher_tokens
        )
        if progress:
            progress("score", len(block), len(scored))
    teacher = Teacher(matrix[: len(originals)], labels[: len(originals)], len(names))
    for row, label, probabilities in zip(scored, labels, teacher.probabilities(matrix).tolist(), strict=True):
        row["teacher_confidence"] = probabilities[label]


def augment(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[Any],
    tokenizer: Any,
    target_size: int,
    *,
    temperature: float = 0.5,
    interpolation_share: float = 0.25,
    oversample: float = 4.0,
    teacher_tokens: int = 128,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Grow labelled texts to `target_size` rows: the given ones, then generated ones, most confident first.

    Args:
        texts, labels: one label a text, strings or integers, at least two classes; kept as given.
        target_size: rows wanted, the given ones included.
        temperature: posterior standard deviations of noise.
        interpolation_share: share of candidates made between two sentences of a class.
        oversample: candidates a wanted row.
        teacher_tokens: encoder tokens of a row that the teacher reads.
        generator: source of the one seed that everything drawn here follows from; None: torch's global one.
        progress: called as progress(stage, rows done since the last call, rows in all); the stages are
            "generate" and "score".

    Returns:
        Every row, kept or not, as dicts: text, label, method ("original", "neighbour", "interpolation"),
        source_row (index into `texts`), temperature, teacher_confidence (p(label) by a teacher fitted on the
        given rows), seed, kept, reject_reason (null, "empty", "duplicate", "over quota"), rank (the rows with
        rank < n are the dataset of size n). Kept rows come first, by rank.

    Raises:
        ValueError: a text is empty, labels are missing, one class only, or no row is wanted.
    """
    rows = original_rows(texts, labels)
    if target_size <= len(rows):
        raise ValueError(f"target_size is {target_size}, but {len(rows)} rows are given; ask for more")
    rows += propose(
        model,
        texts,
        labels,
        tokenizer,
        math.ceil(oversample * (target_size - len(rows))),
        temperature=temperature,
        interpolation_share=interpolation_share,
        seed=int(torch.randint(2**31, (), generator=generator, device=device_of(generator))),
        progress=progress,
    )
    reject_copies(rows)
    score(model, rows, tokenizer, teacher_tokens=teacher_tokens, progress=progress)
    fill_quotas(rows, target_size)
    return sorted(rows, key=lambda row: math.inf if row["rank"] is None else row["rank"])
