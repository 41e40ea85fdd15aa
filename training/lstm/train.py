"""Train one LSTM with the Trainer."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from textvae.modeling_lstm.configuration_lstm import LstmConfig
from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification, vocabulary_digest

from ..classify.train import ClassifierTrainer, encode, predict
from ..common.errors import UserError
from ..common.files import atomic_folder
from ..common.machine import hardware
from ..common.progress import say
from .arguments import training_arguments
from .calibration import at_temperature, cross_entropy, fit_temperature
from .callbacks import Clock, Report
from .checkpoints import last_checkpoint, stopped_early
from .data import Parts, sample
from .embeddings import pretrained_embeddings
from .pretrain import pretrain
from .recipe import LstmRecipe
from .speed import matmul_peak

EVALUATION_BATCH = 64
# oneDNN keeps what it compiled for each length of a batch, some megabytes: 50 lengths instead of 400 spare 3 gigabytes.
LENGTH_STEP = 8


def train_lstm(
    recipe: LstmRecipe,
    parts: Parts,
    tokenizer: PreTrainedTokenizerBase,
    run: Path,
    checkpoints: Path,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Train the recipe's LSTM into the model folder `run/model`, going on from the last of the checkpoints.

    Writes `run/metrics.jsonl` along the way. A training that is interrupted and goes on ends with the same weights as
    one that is not.

    Returns:
        parameters, recurrent_parameters, steps, best_step, tokens (read in training), seconds (of the training with its
        evaluations, and of the pre-training), pretraining (what `pretrain` gave, or None), step_seconds and
        step_cpu_seconds (of the training's steps alone), the device, its threads (None on a GPU), its `matmul_peak`,
        and the temperature that the logits were divided by (1 where the recipe does not ask for it).

    Raises:
        UserError: the recipe's sizes do not fit together, or the loss is no longer finite.
    """
    logging.disable_progress_bar()
    set_seed(recipe.seed)
    model = build_lstm(recipe, tokenizer, parts.train.label_names)
    if recipe.pretrained_embeddings:
        table = pretrained_embeddings(recipe.tokenizer, model.embedding.weight, recipe.initializer_range)
        table[tokenizer.pad_token_id] = 0.0  # read in place of a token that word dropout drops
        model.embedding.weight.data = table
    rows = encode(parts.train, tokenizer, recipe.max_length)
    validation_rows = encode(parts.validation, tokenizer, recipe.max_length)
    collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=LENGTH_STEP)
    pretraining = None
    if recipe.pretraining_epochs:
        more = encode(parts.unlabelled, tokenizer, recipe.max_length) if parts.unlabelled else []
        place = checkpoints / "pretraining"
        pretraining = pretrain(model, recipe, [*rows, *more], validation_rows, collator, place, dtype)
        pretraining["unlabelled"] = len(more)
        set_seed(recipe.seed)  # so that what comes is the same where the pre-training was gone on with
    steps = max(1, round(recipe.epochs * len(rows) / recipe.batch_size))
    arguments = _arguments(recipe, checkpoints, steps, dtype)
    last = last_checkpoint(checkpoints)
    if last:
        say(f"lstm: goes on from {last}")
        if recipe.patience and stopped_early(last, recipe.patience):
            arguments.max_steps = int(last.name.partition("-")[2])  # the Trainer forgets that it was to stop
    trainer = LstmTrainer(
        model,
        arguments,
        train_dataset=rows,
        train_sample=_by_length(sample(rows, recipe.seed)),
        eval_dataset=_by_length(validation_rows),
        data_collator=collator,
        compute_metrics=_figures,
        callbacks=[
            Clock(),
            Report(run / "metrics.jsonl", recipe, steps, len(rows) / recipe.batch_size),
            *([EarlyStoppingCallback(recipe.patience)] if recipe.patience else []),
        ],
    )
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    # Not the one that it was given: the Trainer makes callbacks anew from a checkpoint.
    clock = next(one for one in trainer.callback_handler.callbacks if isinstance(one, Clock))
    temperature = 1.0
    if recipe.temperature_scaling:
        validation = predict(scorer(model, tokenizer), validation_rows)  # as test rows will be scored
        temperature = fit_temperature(validation, np.array(parts.validation.labels))
        with torch.no_grad():
            for parameter in model.classifier.parameters():
                parameter /= temperature
    with atomic_folder(run / "model") as folder:
        trainer.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    state, device = trainer.state, trainer.args.device
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recurrent_parameters": sum(parameter.numel() for parameter in model.layers.parameters()),
        "steps": state.global_step,
        "best_step": state.best_global_step if recipe.patience else state.global_step,
        "tokens": int(state.num_input_tokens_seen),
        "seconds": clock.seconds + (pretraining["seconds"] if pretraining else 0.0),
        "pretraining": pretraining,
        "step_seconds": clock.step_seconds,
        "step_cpu_seconds": clock.step_cpu_seconds,
        "device": hardware()["cpu"] if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "matmul_peak": matmul_peak(dtype, device),
        "temperature": temperature,
    }


def build_lstm(
    recipe: LstmRecipe, tokenizer: PreTrainedTokenizerBase, label_names: list[str]
) -> LstmForSequenceClassification:
    """An untrained model for a tokenizer's vocabulary.

    Raises:
        UserError: the recipe's sizes do not fit together.
    """
    names = (
        "embedding_size", "bigram_buckets", "bigram_size", "hidden_size", "num_hidden_layers", "bidirectional",
        "num_attention_heads", "pooling", "bag_of_embeddings", "initializer_range", "word_dropout", "embedding_dropout",
        "hidden_dropout", "variational_dropout", "classifier_dropout",
    )  # fmt: skip
    try:
        config = LstmConfig(
            vocab_size=len(tokenizer),
            vocabulary_digest=vocabulary_digest(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            id2label=dict(enumerate(label_names)),
            label2id={name: index for index, name in enumerate(label_names)},
            **{name: getattr(recipe, name) for name in names},
        )
    except ValueError as error:
        raise UserError(f"recipe '{recipe.name}': {error}") from None
    return LstmForSequenceClassification(config)


def scorer(model: LstmForSequenceClassification, tokenizer: PreTrainedTokenizerBase) -> Trainer:
    """A Trainer that only predicts."""
    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is written there
        use_cpu=not torch.cuda.is_available(),
        per_device_eval_batch_size=EVALUATION_BATCH,
        report_to="none",
        disable_tqdm=True,
    )
    return Trainer(model, arguments, data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=LENGTH_STEP))


class LstmTrainer(ClassifierTrainer):
    """Measures loss and accuracy of some training rows, too, whenever it measures those of validation."""

    def __init__(self, *arguments: Any, train_sample: list[dict[str, Any]], **options: Any):
        super().__init__(*arguments, **options)
        self.train_sample = train_sample

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        known = self.evaluation_loop(
            self.get_eval_dataloader(self.train_sample), "training rows", metric_key_prefix="train_sample"
        )
        self.log({name: known.metrics[f"train_sample_{name}"] for name in ("loss", "accuracy")} | {"of": "train"})
        return super().evaluate(*arguments, **options)


def _arguments(recipe: LstmRecipe, folder: Path, steps: int, dtype: torch.dtype) -> TrainingArguments:
    interval = math.ceil(steps / recipe.evaluations)  # so that the last one falls on the last step
    return training_arguments(
        recipe,
        folder,
        steps,
        interval,
        dtype,
        per_device_eval_batch_size=EVALUATION_BATCH,
        weight_decay=recipe.weight_decay,
        eval_strategy="steps",
        eval_steps=interval,
        load_best_model_at_end=recipe.patience > 0,
        # The loss that the model will have: unscaled, the best is that of fewer steps.
        metric_for_best_model="scaled_loss" if recipe.temperature_scaling else "loss",
        greater_is_better=False,
        include_num_input_tokens_seen="non_padding",
    )


def _by_length(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: len(row["input_ids"]))


def _figures(prediction: Any) -> dict[str, float]:
    labels = prediction.label_ids
    probabilities = softmax(prediction.predictions.astype(np.float64), axis=1)
    scaled = at_temperature(probabilities, fit_temperature(probabilities, labels))
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "scaled_loss": cross_entropy(scaled, labels),
    }
