"""Language-model training of an LSTM's word embeddings and first layer, before it reads a label (Dai and Le 2015).

The layer reads a text in both directions, so each direction predicts the word that it has not read yet, from its state
alone (the bidirectional language model of Peters et al. 2018, https://arxiv.org/abs/1802.05365). Pairs of tokens are
left out: a pair's second token tells the backward direction its answer.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, set_seed
from transformers.modeling_outputs import ModelOutput

from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification

from ..classify.train import ClassifierTrainer
from ..common.precision import autocast
from ..common.progress import say
from .arguments import training_arguments
from .callbacks import Clock, Guard, Progress, check_finite
from .checkpoints import last_checkpoint
from .data import sample
from .recipe import LstmRecipe

CANDIDATES = 1024  # wrong tokens that each right one is told from in a step
FLATTENING = 0.75  # power of the frequencies that they are drawn by (Mikolov et al. 2013)
DROPOUT = 0.2  # of the layer's input and of its states
DECAY = 0.01
MEASURED_ROWS = 200
MEASURED_BATCH = 8  # whole rows of the vocabulary are computed there: 8 texts of 800 tokens take 0.8 GB


class LanguageModel(nn.Module):
    """The embedding table and the first layer of a classifier, and heads that map its states back to the table."""

    def __init__(self, classifier: LstmForSequenceClassification, frequencies: Tensor):
        """`frequencies`: (vocab,) counts of the tokens to be predicted, above 0."""
        super().__init__()
        config = classifier.config
        self.embedding, self.layer = classifier.embedding, classifier.layers[0]
        self.hidden_size = config.hidden_size
        directions = 2 if config.bidirectional else 1
        self.heads = nn.ModuleList(nn.Linear(config.hidden_size, config.embedding_size) for _ in range(directions))
        self.bias = nn.Parameter((frequencies / frequencies.sum()).log())
        drawn = frequencies**FLATTENING
        self.padding = config.pad_token_id
        drawn[self.padding] = 0.0  # word dropout reads its embedding, which has to stay 0
        self.register_buffer("log_drawn", (drawn / drawn.sum()).log(), persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> ModelOutput:
        """Mean cross-entropy of the unread words, over directions, in nats a word; in training by sampled softmax.

        Args:
            input_ids, attention_mask: (B, T) int64, padded on the right.
        """
        mask = attention_mask.bool()
        positions = torch.arange(input_ids.size(1), device=input_ids.device).expand_as(input_ids)
        mirror = torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - positions, positions)
        words = self.embedding(input_ids)
        words = words * nn.functional.dropout(torch.ones_like(words[:, :1]), DROPOUT, self.training)
        pairs = words.new_zeros(*input_ids.shape, self.layer.forward_lstm.input_size - words.size(2))
        states = nn.functional.dropout(self.layer(torch.cat([words, pairs], dim=2), mirror), DROPOUT, self.training)
        both = mask[:, 1:]  # neighbours that are both real
        reading = [(states[:, :-1, : self.hidden_size], input_ids[:, 1:])]
        if len(self.heads) == 2:
            reading.append((states[:, 1:, self.hidden_size :], input_ids[:, :-1]))
        losses = [
            self._loss(head(read[both]), unread[both]) for head, (read, unread) in zip(self.heads, reading, strict=True)
        ]
        return ModelOutput(loss=torch.stack(losses).mean())

    def _loss(self, predicted: Tensor, right: Tensor) -> Tensor:
        table = self.embedding.weight
        if not self.training:
            logits = (predicted @ table.T.to(predicted.dtype)).float() + self.bias
            logits[:, self.padding] = float("-inf")
            return nn.functional.cross_entropy(logits, right)
        # All wrong tokens together are estimated by those that are drawn, each over how often it is (Jean et al. 2015).
        wrong = torch.multinomial(self.log_drawn.exp(), CANDIDATES, replacement=True)
        offset = self.bias[wrong] - self.log_drawn[wrong] - math.log(CANDIDATES)
        of_right = (predicted.float() * table[right]).sum(dim=1) + self.bias[right]
        of_wrong = (predicted @ table[wrong].T.to(predicted.dtype)).float() + offset
        of_wrong = of_wrong.masked_fill(wrong == right[:, None], float("-inf"))
        return (torch.logsumexp(torch.cat([of_right[:, None], of_wrong], dim=1), dim=1) - of_right).mean()


def pretrain(
    classifier: LstmForSequenceClassification,
    recipe: LstmRecipe,
    rows: list[dict[str, Any]],
    held_out: list[dict[str, Any]],
    collator: DataCollatorWithPadding,
    checkpoints: Path,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Train the classifier's embeddings and first layer in place, going on from the last of the checkpoints.

    Args:
        rows: what is read, as `encode` gives it; labels are not looked at.
        held_out: of a sample of these the loss is measured.

    Returns:
        texts, steps, seconds, and loss: nats a word of the sample.

    Raises:
        UserError: the loss is no longer finite.
    """
    rows, held_out = _unlabelled(rows), _unlabelled(sample(held_out, recipe.seed)[:MEASURED_ROWS])
    counts = np.bincount(np.concatenate([row["input_ids"] for row in rows]), minlength=classifier.config.vocab_size)
    set_seed(recipe.seed)
    model = LanguageModel(classifier, torch.tensor(counts + 1, dtype=torch.float32))
    steps = max(1, round(recipe.pretraining_epochs * len(rows) / recipe.batch_size))
    save_steps = math.ceil(steps / max(1, round(2 * recipe.pretraining_epochs)))
    trainer = ClassifierTrainer(
        model,
        training_arguments(recipe, checkpoints, steps, save_steps, dtype, weight_decay=DECAY),
        train_dataset=rows,
        data_collator=collator,
        callbacks=[Clock(), Guard(recipe, "pre-training"), Progress("pre-train", steps)],
    )
    last = last_checkpoint(checkpoints)
    if last:
        say(f"lstm: pre-training goes on from {last}")
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    # Not the one that it was given: the Trainer makes callbacks anew from a checkpoint.
    clock = next(one for one in trainer.callback_handler.callbacks if isinstance(one, Clock))
    device, nats, words = trainer.args.device, 0.0, 0
    model.eval()
    for start in range(0, len(held_out), MEASURED_BATCH):
        batch = collator(held_out[start : start + MEASURED_BATCH]).to(device)
        with torch.no_grad(), autocast(dtype, device):
            unread = int(batch["attention_mask"][:, 1:].sum())
            nats, words = nats + unread * model(**batch).loss.item(), words + unread
    model.train()
    loss = nats / words
    check_finite(loss, recipe, steps, "pre-training")
    return {"texts": len(rows), "steps": steps, "seconds": clock.seconds, "loss": loss}


def _unlabelled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in ("input_ids", "attention_mask")} for row in rows]
