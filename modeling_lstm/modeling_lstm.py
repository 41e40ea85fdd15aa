"""An LSTM text classifier that a Hub user loads through AutoModelForSequenceClassification."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .configuration_lstm import LstmConfig


class LSTM(nn.LSTM):
    """`nn.LSTM`, which a GPU's autocast leaves alone.

    That takes an LSTM to float16 whatever it was asked for, and gradients of small losses vanish there; by itself
    cuDNN computes in TF32, which is about as fast.
    """

    def forward(self, input: Any, hx: Any = None) -> Any:
        if not torch.is_autocast_enabled("cuda"):
            return super().forward(input, hx)
        with torch.autocast("cuda", enabled=False):
            return super().forward(input.to(self.weight_hh_l0.dtype), hx)


class LstmLayer(nn.Module):
    """One LSTM layer, in one or both directions, over right-padded rows.

    The backward direction is a second LSTM that reads each row reversed within its own length. So padding
    never enters a state, and both directions use the fused kernel of padded batches, which in training is
    several times faster on a CPU than that of packed sequences.
    """

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool):
        super().__init__()
        self.forward_lstm = LSTM(input_size, hidden_size, batch_first=True)
        self.backward_lstm = LSTM(input_size, hidden_size, batch_first=True) if bidirectional else None

    def forward(self, states: Tensor, mirror: Tensor) -> Tensor:
        """(B, T, input) states, (B, T) mirrored positions → (B, T, directions · hidden)."""
        forward_states, _ = self.forward_lstm(states)
        if self.backward_lstm is None:
            return forward_states
        backward_states, _ = self.backward_lstm(_reorder(states, mirror))
        return torch.cat([forward_states, _reorder(backward_states, mirror)], dim=-1)


class SelfAttention(nn.Module):
    """One layer of multi-head self-attention over real positions, added to its input and normalised."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) states, (B, T) bool → (B, T, width)."""
        parts = self.query_key_value(states).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask[:, None, None, :])
        return self.norm(states + self.output(mixed.transpose(1, 2).flatten(2)))


class LstmForSequenceClassification(PreTrainedModel):
    """Embedding, of words and of pairs → LSTM layers → self-attention → pooling over real tokens → linear classifier.

    What the configuration does not ask for is left out. Padding, on either side, does not change the logits.
    Max-pooled bidirectional states are those of Conneau et al. 2017 (https://arxiv.org/abs/1705.02364); a bag of
    embeddings beside them makes the classifier a wide and deep one (Cheng et al. 2016, https://arxiv.org/abs/1606.07792).
    """

    config_class = LstmConfig
    base_model_prefix = "lstm"
    _no_split_modules = ("LstmLayer", "SelfAttention")
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
        self.bigram_embedding = None
        if config.bigram_buckets:
            self.bigram_embedding = nn.Embedding(config.bigram_buckets, config.bigram_size)
            width += config.bigram_size
        inputs = width
        layers = []
        for _ in range(config.num_hidden_layers):
            layers.append(LstmLayer(width, config.hidden_size, config.bidirectional))
            width = directions * config.hidden_size
        self.layers = nn.ModuleList(layers)
        self.attention = SelfAttention(width, config.num_attention_heads) if config.num_attention_heads else None
        if config.bag_of_embeddings:
            width += inputs
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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of a batch, and the loss where labels are given.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T), 1 at real tokens, padded on either side; None takes every token that
                is not the padding token for real.
            labels: (B,) int64 classes (or what `config.problem_type` asks for).
            token_type_ids: not read; BERT's tokenizers give it.
            inputs_embeds: refused; PEFT passes it along as None.
            output_attentions, output_hidden_states: not read; PEFT passes them along, and there is nothing to give.

        Returns:
            loss () float32 in nats a row, or None, and logits (B, num_labels).

        Raises:
            ValueError: inputs_embeds in place of input_ids, a label outside 0 … num_labels - 1, or (on a CPU) a token
                id outside 0 … vocab_size - 1: ids tell no more of another vocabulary, `check_tokenizer` does.
        """
        if input_ids is None or inputs_embeds is not None:
            raise ValueError("give input_ids, not inputs_embeds: word dropout and pairs of tokens need ids")
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

        if self.training and self.config.word_dropout:
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.config.word_dropout
            input_ids = input_ids.masked_fill(dropped, self.config.pad_token_id or 0)
        try:
            states = self.embedding(input_ids)
        except IndexError:  # of a CPU; looking at the ids beforehand would make a GPU wait
            raise ValueError(
                f"token ids must lie below the vocab_size {self.config.vocab_size}, but the batch has "
                f"{int(input_ids.min())} … {int(input_ids.max())}: its tokenizer is of another vocabulary; use the one "
                "saved beside the model"
            ) from None
        if self.config.frozen_embeddings:
            # Not by requires_grad: from_pretrained sets it on every parameter.
            states = states.detach()
        if self.embedding_projection is not None:
            states = self.embedding_projection(states)
        if self.bigram_embedding is not None:
            pairs = self.bigram_embedding(bigram_rows(input_ids, self.config.bigram_buckets))
            states = torch.cat([states, pairs], dim=-1)
        inputs = states = self._dropout(states, self.config.embedding_dropout)
        for index, layer in enumerate(self.layers):
            states = layer(self._dropout(states, self.config.hidden_dropout) if index else states, mirror)
        if self.attention is not None:
            states = self.attention(states, mask)
        pooled = self._pool(states, mask, lengths)
        if self.config.bag_of_embeddings:
            bag = inputs.masked_fill(~mask[:, :, None], 0.0).sum(dim=1) / lengths.to(inputs.dtype).sqrt()
            pooled = torch.cat([pooled, bag], dim=-1)
        logits = self.classifier(self.classifier_dropout(pooled))

        loss = None
        if labels is not None:
            if self.config.problem_type in (None, "single_label_classification") and self.num_labels > 1:
                _check_labels(labels, self.num_labels)
            loss = self.loss_function(labels=labels, pooled_logits=logits.float(), config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def check_tokenizer(self, tokenizer: Any) -> None:
        """Raises:
        ValueError: a tokenizer of another vocabulary than the one that the model was trained with.
        """
        known, found = self.config.vocabulary_digest, vocabulary_digest(tokenizer)
        if known not in (None, found):
            raise ValueError(
                f"the tokenizer is of another vocabulary ({found}) than the model ({known}); use the one saved beside "
                "the model"
            )

    def _dropout(self, states: Tensor, share: float) -> Tensor:
        if not self.config.variational_dropout:
            return nn.functional.dropout(states, share, self.training)
        return states * nn.functional.dropout(torch.ones_like(states[:, :1]), share, self.training)

    def _pool(self, states: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        if self.config.pooling == "max":
            return states.masked_fill(~mask[:, :, None], float("-inf")).amax(dim=1)
        if self.config.pooling == "mean":
            return states.masked_fill(~mask[:, :, None], 0.0).sum(dim=1) / lengths
        # Each direction's state after it has read the whole row.
        hidden = self.config.hidden_size
        last = states[torch.arange(len(states), device=states.device), lengths[:, 0] - 1, :hidden]
        return torch.cat([last, states[:, 0, hidden:]], dim=-1)


def vocabulary_digest(tokenizer: Any) -> str:
    """16 hex digits of a tokenizer's tokens and their ids."""
    return hashlib.sha256(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode()).hexdigest()[:16]


def bigram_rows(input_ids: Tensor, buckets: int) -> Tensor:
    """(B, T) int64 rows of the pairs that end at each position, in [0, buckets); the first has the id 0 before it.

    A multiplicative hash (Knuth 1973, 6.4), whose upper bits are well mixed.
    """
    before = nn.functional.pad(input_ids[:, :-1], (1, 0))
    return ((before * 2654435761 + input_ids) * 2246822519 >> 17) % buckets


def _reorder(states: Tensor, positions: Tensor) -> Tensor:
    return states.gather(1, positions[:, :, None].expand_as(states))


def _check_labels(labels: Tensor, num_labels: int) -> None:
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < num_labels):
        raise ValueError(
            f"labels must lie in 0 … {num_labels - 1}, but the batch has {int(labels.min())} … {int(labels.max())}"
        )


LstmForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
