"""Configuration of the LSTM text classifier."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

POOLINGS = ("max", "mean", "last")


class LstmConfig(PreTrainedConfig):
    """What defines the function that the weights of `LstmForSequenceClassification` compute.

    Args:
        vocab_size: rows of the embedding table.
        embedding_size: width of the embedding table.
        projection_size: a linear layer brings embeddings to this width; None feeds them as they are.
        bigram_buckets: rows of a second table, whose row for a token and the one before it stands beside the
            token's own; pairs share rows by a hash. 0: no such table.
        bigram_size: width of that table.
        hidden_size: units of the LSTM a direction.
        num_hidden_layers: LSTM layers.
        bidirectional: read right to left as well.
        pooling: "max" or "mean" over the real tokens, or "last", the state after each direction's last token.
        bag_of_embeddings: the classifier reads, beside the pooled states, the sum of the LSTM's inputs over the root of
            their number.
        num_attention_heads: of one self-attention layer over the LSTM's states; 0: no such layer.
        word_dropout: share of tokens that training reads as nothing.
        embedding_dropout: dropped share of the LSTM's input.
        hidden_dropout: dropped share between two LSTM layers.
        variational_dropout: these two drop the same units at all positions of a row (Gal and Ghahramani 2016,
            https://arxiv.org/abs/1512.05287).
        classifier_dropout: dropped share of the pooled state.
        frozen_embeddings: the embedding table takes no gradient.
        vocabulary_digest: `vocabulary_digest` of the tokenizer whose ids the weights know; None: it is not known, and
            `check_tokenizer` takes any.

    Raises:
        ValueError: an unknown pooling, a size under 1, or attention heads that do not divide the states' width.
    """

    model_type = "textvae_lstm"

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_size: int = 128,
        projection_size: int | None = None,
        bigram_buckets: int = 0,
        bigram_size: int = 64,
        hidden_size: int = 128,
        num_hidden_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "max",
        bag_of_embeddings: bool = False,
        num_attention_heads: int = 0,
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        variational_dropout: bool = False,
        classifier_dropout: float = 0.0,
        frozen_embeddings: bool = False,
        vocabulary_digest: str | None = None,
        initializer_range: float = 0.02,
        pad_token_id: int | None = 0,
        **kwargs: Any,
    ):
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        sizes = {
            "vocab_size": vocab_size,
            "embedding_size": embedding_size,
            "projection_size": projection_size,
            "bigram_size": bigram_size,
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
        }
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        width = hidden_size * (2 if bidirectional else 1)
        if num_attention_heads < 0 or (num_attention_heads and width % num_attention_heads):
            raise ValueError(f"num_attention_heads must divide the states' width {width}, not {num_attention_heads}")
        if bigram_buckets < 0:
            raise ValueError(f"bigram_buckets must not be negative: {bigram_buckets}")
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.projection_size = projection_size
        self.bigram_buckets = bigram_buckets
        self.bigram_size = bigram_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.bag_of_embeddings = bag_of_embeddings
        self.num_attention_heads = num_attention_heads
        self.word_dropout = word_dropout
        self.embedding_dropout = embedding_dropout
        self.hidden_dropout = hidden_dropout
        self.variational_dropout = variational_dropout
        self.classifier_dropout = classifier_dropout
        self.frozen_embeddings = frozen_embeddings
        self.vocabulary_digest = vocabulary_digest
        self.initializer_range = initializer_range
        super().__init__(pad_token_id=pad_token_id, **kwargs)


LstmConfig.register_for_auto_class()
