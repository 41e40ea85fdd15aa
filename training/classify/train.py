"""Train one classifier on one dataset and score it on fixed test rows."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from ..common.files import atomic_folder
from ..common.recipe import ClassifierName, ClassifierRecipe
from ..common.sources import LabelledTexts, Source, resolve_model
from . import setfit
from .head import fit_head
from .metrics import compute
from .models import build, prompt
from .probe import FeatureCache, fit_predict
from .targets import Targets, soft_cross_entropy

WARMUP_SHARE = 0.1  # of the steps; then the learning rate falls linearly to 0
POOL = 8  # batches that are cut from one sorted pool of rows
TEST_BATCH = 32


@dataclass(frozen=True)
class Outcome:
    """What one trained cell gave."""

    metrics: dict[str, float]  # those of metrics.compute
    probabilities: np.ndarray  # (test rows, classes) float32
    seconds: float  # wall time of everything
    train_seconds: float  # wall time of the training alone
    weights: str  # the body it started from: id, revision, stand-in
    steps: int  # optimiser steps


def train_classifier(
    name: ClassifierName,
    settings: ClassifierRecipe,
    train: LabelledTexts,
    test: LabelledTexts,
    *,
    steps: int,
    seed: int,
    dtype: torch.dtype,
    targets: Targets | None = None,
    counted: int | None = None,
    output: Path | None = None,
    features: Path | None = None,
) -> Outcome:
    """Train a classifier and predict the test rows; the same seed gives the same bits on a CPU.

    Args:
        steps: optimiser steps, exactly; not read for `probe`.
        dtype: float32, or bfloat16 for autocast (and for the frozen body of `gpt2_lora`).
        targets: of the training rows, where they are not simply their labels.
        counted: as how many rows all of them count against the penalty of `probe`; None: as those that there are.
        output: a folder that gets the trained model (of `gpt2_lora` its adapters) and tokenizer;
            `probe` and `setfit` write nothing there.
        features: a folder where `probe` keeps features for later cells; without it, a temporary one.

    Raises:
        UserError: weights that cannot be found or do not fit, or a folder that cannot be written.
        ValueError: texts without labels.
    """
    start = time.perf_counter()
    if train.labels is None or test.labels is None:
        raise ValueError("a classifier is trained and scored on labelled texts")
    set_seed(seed)
    folder, source = resolve_model(settings.model)
    if name == "probe":
        probabilities, train_seconds = _probe(settings, train, test, folder, dtype, targets, counted, features)
        steps = 0
    elif name == "setfit":
        probabilities, train_seconds = setfit.fit_predict(
            settings, train, test, folder, steps=steps, seed=seed, dtype=dtype
        )
    else:
        model, tokenizer = build(name, folder, train.label_names, dtype)
        positions = getattr(model.config, "max_position_embeddings", None) or settings.max_length
        longest = min(settings.max_length, positions, tokenizer.model_max_length)
        train_rows, test_rows = (encode(texts, tokenizer, longest, prompt(name, settings)) for texts in (train, test))
        if name == "gpt2_lora":
            fit_head(model, train_rows, dtype, seed)
        if targets is not None:
            for row, mass in zip(train_rows, targets.tolist(), strict=True):
                row["labels"] = mass
        with tempfile.TemporaryDirectory() as scratch:
            trainer = ClassifierTrainer(
                model,
                training_arguments(scratch, settings, steps, seed, dtype),
                train_dataset=train_rows,
                data_collator=DataCollatorWithPadding(tokenizer),
                compute_loss_func=None if targets is None else _soft_loss,
            )
            train_start = time.perf_counter()
            trainer.train()
            train_seconds = time.perf_counter() - train_start
            probabilities = predict(trainer, test_rows)
        if output is not None:
            _save(model, tokenizer, source, output)
    return Outcome(
        metrics=compute(probabilities, test.labels),
        probabilities=probabilities,
        seconds=time.perf_counter() - start,
        train_seconds=train_seconds,
        weights=_weights(source),
        steps=steps,
    )


class BucketSampler(Sampler[int]):
    """Row indices of exactly `steps` batches in which rows of like length stand together.

    Rows come in passes over the whole set, each freshly shuffled; a pool of batches is sorted by length and
    cut, and its batches are shuffled. No batch is short, whatever the size of the set.
    """

    def __init__(self, lengths: list[int], batch_size: int, steps: int, seed: int):
        self.lengths, self.batch_size, self.steps, self.seed = lengths, batch_size, steps, seed

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(self.seed)
        stream: list[int] = []
        while len(stream) < len(self):
            stream += generator.sample(range(len(self.lengths)), len(self.lengths))
        for start in range(0, len(self), POOL * self.batch_size):
            pool = stream[start : min(start + POOL * self.batch_size, len(self))]
            pool.sort(key=self.lengths.__getitem__)
            batches = [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
            generator.shuffle(batches)
            for batch in batches:
                yield from batch


class ClassifierTrainer(Trainer):
    """The Trainer for models whose loss is a mean over their batch.

    Left alone, the Trainer believes that any forward with `**kwargs` normalises by the number of items in all
    micro-batches. Classification losses do not, so gradients would grow with every accumulation step.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)  # standard output is for results

    def get_train_dataloader(self) -> DataLoader:
        sampler = BucketSampler(
            [len(row["input_ids"]) for row in self.train_dataset],
            self.args.per_device_train_batch_size,
            self.args.max_steps * self.args.gradient_accumulation_steps,
            self.args.seed,
        )
        return self.accelerator.prepare(
            DataLoader(
                self.train_dataset,
                batch_size=self.args.per_device_train_batch_size,
                sampler=sampler,
                collate_fn=self.data_collator,
            )
        )


def training_arguments(
    scratch: str, settings: ClassifierRecipe, steps: int, seed: int, dtype: torch.dtype
) -> TrainingArguments:
    """The Trainer's arguments for one cell: AdamW, linear warm-up and decay, nothing saved or logged."""
    return TrainingArguments(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=TEST_BATCH,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="linear",
        warmup_steps=round(WARMUP_SHARE * steps),
        seed=seed,
        bf16=dtype is torch.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def encode(
    data: LabelledTexts, tokenizer: PreTrainedTokenizerBase, max_length: int, suffix: str = ""
) -> list[dict[str, Any]]:
    """Rows for a model: a text's first tokens, then the suffix, at most `max_length` in all."""
    ending = tokenizer(suffix, add_special_tokens=False)["input_ids"] if suffix else []
    encoded = tokenizer(data.texts, truncation=True, max_length=max_length - len(ending))["input_ids"]
    rows = [{"input_ids": ids + ending, "attention_mask": [1] * (len(ids) + len(ending))} for ids in encoded]
    for row, label in zip(rows, data.labels or [], strict=False):
        row["labels"] = label
    return rows


def predict(trainer: Trainer, rows: list[dict[str, Any]]) -> np.ndarray:
    """(rows, classes) float32 probabilities in the order of the rows, computed in batches of like length."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    # Without labels: a training's own loss may be of other ones.
    unlabelled = [{name: value for name, value in rows[index].items() if name != "labels"} for index in order]
    logits = trainer.predict(unlabelled).predictions
    probabilities = np.empty(logits.shape, dtype=np.float32)
    probabilities[order] = torch.tensor(logits).double().softmax(dim=-1).float().numpy()
    return probabilities


def _weights(source: Source) -> str:
    weights = f"{source.id}@{source.revision[:19]}"
    return f"{weights} (stand-in: {source.stand_in})" if source.stand_in else weights


def _soft_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    return soft_cross_entropy(outputs.logits, labels)


def _probe(
    settings: ClassifierRecipe,
    train: LabelledTexts,
    test: LabelledTexts,
    folder: Path,
    dtype: torch.dtype,
    targets: Targets | None,
    counted: int | None,
    features: Path | None,
) -> tuple[np.ndarray, float]:
    with tempfile.TemporaryDirectory() as scratch:
        cache = FeatureCache(features or Path(scratch), folder, settings.max_length, dtype)
        train_features, test_features = cache.features(train.texts), cache.features(test.texts)
    start = time.perf_counter()
    assert train.labels is not None  # train_classifier has looked
    classes = len(train.label_names)
    probabilities = fit_predict(train_features, train.labels, test_features, classes, targets, counted)
    return probabilities, time.perf_counter() - start


def _save(model: nn.Module, tokenizer: PreTrainedTokenizerBase, source: Source, output: Path) -> None:
    options = {}
    if hasattr(model, "peft_config"):
        # Embeddings are never trained here; to find that out by itself, peft would ask the Hub.
        options = {"save_embedding_layers": False}
        for adapter in model.peft_config.values():
            # The folder of a downloaded body would mean nothing to anyone else who loads the adapters.
            adapter.base_model_name_or_path = source.location if source.origin == "path" else source.id
    with atomic_folder(output) as folder:
        model.save_pretrained(folder, **options)
        tokenizer.save_pretrained(folder)
