"""An LSTM text classifier that a Hub user loads through AutoModelForSequenceClassification."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .configuration_lstm import LstmConfig


class LstmLayer(nn.Module):
    """One LSTM layer, in one or both directions, over right-padded rows.

    The backward direction is a second LSTM that reads each row reversed within its own length. So padding
    never enters a state, and both directions use the fused kernel of padded batches, which in training is
    several times faster on a CPU than that of packed sequences.
    """

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool):
        super().__init__()
        self.forward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True) if bidirectional else None

    def forward(self, states: Tensor, mirror: Tensor) -> Tensor:
        """(B, T, input) states, (B, T) mirrored positions → (B, T, directions · hidden)."""
        forward_states, _ = self.forward_lstm(states)
        if self.backward_lstm is None:
            return forward_states
        backward_states, _ = self.backward_lstm(_reorder(states, mirror))
        return torch.cat([forward_states, _reorder(backward_states, mirror)], dim=-1)


class LstmForSequenceClassification(PreTrainedModel):
    """Embedding → optional projection → LSTM layers → pooling over real tokens → linear classifier.

    Padding, on either side, does not change the logits. Max-pooled bidirectional states are those of
    Conneau et al. 2017 (https://arxiv.org/abs/1705.02364).
    """

    config_class = LstmConfig
    base_model_prefix = "lstm"
    # The loss is a mean over the batch, so the Trainer has to divide it when it accumulates gradients.
    accepts_loss_kwargs = False

    def __init__(self, config: LstmConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        directions = 2 if config.bidirectional else 1
        width = config.embedding_size
        self.embedding = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.embedding_projection = None
        if config.projection_size is not None:
            self.embedding_projection = nn.Linear(width, config.projection_size)
            width = config.projection_size
        layers = []
        for _ in range(config.num_hidden_layers):
            layers.append(LstmLayer(width, config.hidden_size, config.bidirectional))
            width = directions * config.hidden_size
        self.layers = nn.ModuleList(layers)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.hidden_dropout = nn.Dropout(config.hidden_dropout)
        self.classifier_dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(width, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embedding = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of a batch, and the loss where labels are given.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T), 1 at real tokens, padded on either side; None takes every token that
                is not the padding token for real.
            labels: (B,) int64 classes (or what `config.problem_type` asks for).
            token_type_ids: not read; BERT's tokenizers give it.

        Returns:
            loss () float32 in nats a row, or None, and logits (B, num_labels).

        Raises:
            ValueError: a label outside 0 … num_labels - 1.
        """
        if attention_mask is None:
            pad = self.config.pad_token_id
            attention_mask = torch.ones_like(input_ids) if pad is None else (input_ids != pad)
        mask = attention_mask.bool()
        # Real tokens first, whatever the side of the padding.
        input_ids = input_ids.gather(1, (~mask).to(torch.uint8).argsort(dim=1, stable=True))
        # A row without any token is read as one padding token: the maximum of nothing does not exist.
        lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
        positions = torch.arange(input_ids.size(1), device=input_ids.device).expand_as(input_ids)
        mask = positions < lengths
        mirror = torch.where(mask, lengths - 1 - positions, positions)

        states = self.embedding(input_ids)
        if self.config.frozen_embeddings:
            # Not by requires_grad: from_pretrained sets it on every parameter.
            states = states.detach()
        if self.embedding_projection is not None:
            states = self.embedding_projection(states)
        states = self.embedding_dropout(states)
        for index, layer in enumerate(self.layers):
            states = layer(states if index == 0 else self.hidden_dropout(states), mirror)
        logits = self.classifier(self.classifier_dropout(self._pool(states, mask, lengths)))

        loss = None
        if labels is not None:
            if self.config.problem_type in (None, "single_label_classification") and self.num_labels > 1:
                _check_labels(labels, self.num_labels)
            loss = self.loss_function(labels=labels, pooled_logits=logits.float(), config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _pool(self, states: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        if self.config.pooling == "max":
            return states.masked_fill(~mask[:, :, None], float("-inf")).amax(dim=1)
        if self.config.pooling == "mean":
            return states.masked_fill(~mask[:, :, None], 0.0).sum(dim=1) / lengths
        # Each direction's state after it has read the whole row.
        hidden = self.config.hidden_size
        last = states[torch.arange(len(states), device=states.device), lengths[:, 0] - 1, :hidden]
        return torch.cat([last, states[:, 0, hidden:]], dim=-1)


def _reorder(states: Tensor, positions: Tensor) -> Tensor:
    return states.gather(1, positions[:, :, None].expand_as(states))


def _check_labels(labels: Tensor, num_labels: int) -> None:
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < num_labels):
        raise ValueError(
            f"labels must lie in 0 … {num_labels - 1}, but the batch has {int(labels.min())} … {int(labels.max())}"
        )


LstmForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
