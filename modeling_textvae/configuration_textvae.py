"""Configuration of the text VAE."""

from __future__ import annotations

from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig


class TextVAEConfig(PretrainedConfig):
    """What defines the function that a `TextVAEModel`'s weights compute.

    Args:
        encoder: name of the encoder's body, for the record; its architecture is `encoder_config`.
        encoder_config: configuration of any `AutoModel` body whose word vectors are as wide as its states; BERT's by
            default.
        encoder_layers: hidden states that the pooler mixes; 0 is the embedding layer, and 0 alone skips the body.
        latent_size: dimensions of the diagonal Gaussian; 0 leaves a GRU language model.
        latent_chunks: chunks in which the latent is written and read; 1 is a flat latent, and with 0 the latent sets
            the decoder's initial state alone (Bowman et al. 2016).
        chunk_tokens: decoder tokens that a chunk speaks of.
        rest_chunk: whether the last chunk speaks of all tokens that remain; otherwise the decoder goes on by itself.
        hidden_chunks: whether the decoder knows what to do where chunks are hidden from it.
        prior: `standard` for N(0, I), or `autoregressive` for one learned over the chunks.
        refinement_steps: gradient steps that sharpen each text's posterior wherever the model is used, not trained.
        refinement_beta: weight of the KL in what these minimise.
        refinement_slope: how much more than the mean token a text's first counts in it, falling on a line to as much
            less for its last, 0 to 1: a word that is decoded wrongly spoils those after it.
        embedding_size: size of the decoder's tied token embeddings.
        pooler_size: units a direction of the pooler's biGRU.
        query_size: size of the pooler's queries and of the decoder's attention over chunks.
        hidden_size: units of the decoder's GRU.
        decoder_vocab_size: rows of the decoder's vocabulary, the three special ones included.
        max_pieces: most decoder tokens that spell one encoder token.
        num_joins: joins of word pieces that the training text has; 0 where any join may be generated.
        num_classes: classes the model is conditioned on; 0 for an unconditional VAE.
        bag_of_words: a head that predicts a text's words from the latent alone: a training aid.
        class_size: size of the class embedding beside the latent.
        max_text_length: encoder tokens a text, special tokens included; longer texts are cut.
        initial_log_variance: where the posterior's log-variance starts, in log units.
        pad_token_id: the encoder tokenizer's padding id, with which `generate` pads.

    Raises:
        ValueError: an impossible value, named, or an encoder whose word vectors and states differ in width.
    """

    model_type = "textvae"
    sub_configs = {"encoder_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        encoder: str = "distilbert/distilbert-base-uncased",
        encoder_config: Any = None,
        encoder_layers: tuple[int, ...] = (0,),
        latent_size: int = 288,
        latent_chunks: int = 48,
        chunk_tokens: int = 1,
        rest_chunk: bool = True,
        hidden_chunks: bool = False,
        prior: str = "standard",
        refinement_steps: int = 0,
        refinement_beta: float = 1.0,
        refinement_slope: float = 0.0,
        embedding_size: int = 256,
        pooler_size: int = 256,
        query_size: int = 128,
        hidden_size: int = 512,
        decoder_vocab_size: int = 12000,
        max_pieces: int = 8,
        num_joins: int = 0,
        num_classes: int = 0,
        class_size: int = 16,
        bag_of_words: bool = False,
        max_text_length: int = 64,
        initial_log_variance: float = -3.0,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = False,
        pad_token_id: int = 0,
        **kwargs: Any,
    ) -> None:
        if encoder_config is None:
            encoder_config = {"model_type": "bert"}
        if isinstance(encoder_config, dict):
            encoder_config = CONFIG_MAPPING[encoder_config["model_type"]](**encoder_config)
        if latent_chunks and latent_size % latent_chunks:
            raise ValueError(f"latent_size ({latent_size}) must be a multiple of latent_chunks ({latent_chunks})")
        if latent_chunks and not latent_size:
            raise ValueError(f"latent_size is 0, which has no chunks: latent_chunks must be 0, not {latent_chunks}")
        if prior not in ("standard", "autoregressive"):
            raise ValueError(f"prior is {prior!r}; known: 'standard', 'autoregressive'")
        if prior == "autoregressive" and latent_chunks < 2:
            raise ValueError(f"an autoregressive prior needs at least 2 latent_chunks, not {latent_chunks}")
        if hidden_chunks and not latent_chunks:
            raise ValueError("hidden_chunks needs latent_chunks, which are 0")
        if chunk_tokens < 1:
            raise ValueError(f"chunk_tokens must be at least 1, not {chunk_tokens}")
        if not 0 <= refinement_slope <= 1:
            raise ValueError(f"refinement_slope must be from 0 to 1, not {refinement_slope}")
        depth, width = encoder_config.num_hidden_layers, encoder_config.hidden_size
        narrow = getattr(encoder_config, "embedding_size", width)
        if narrow != width:
            raise ValueError(
                f"the encoder's word vectors have {narrow} dimensions and its states {width}; take another"
            )
        for layer in encoder_layers:
            if not 0 <= layer <= depth:
                raise ValueError(f"encoder_layers has {layer}; this encoder has layers 0 to {depth}")
        self.encoder = encoder
        self.encoder_config = encoder_config
        self.encoder_layers = list(encoder_layers)
        self.latent_size = latent_size
        self.latent_chunks = latent_chunks
        self.chunk_tokens = chunk_tokens
        self.rest_chunk = rest_chunk
        self.hidden_chunks = hidden_chunks
        self.prior = prior
        self.refinement_steps = refinement_steps
        self.refinement_beta = refinement_beta
        self.refinement_slope = refinement_slope
        self.embedding_size = embedding_size
        self.pooler_size = pooler_size
        self.query_size = query_size
        self.hidden_size = hidden_size
        self.decoder_vocab_size = decoder_vocab_size
        self.max_pieces = max_pieces
        self.num_joins = num_joins
        self.num_classes = num_classes
        self.class_size = class_size
        self.bag_of_words = bag_of_words
        self.max_text_length = max_text_length
        self.initial_log_variance = initial_log_variance
        self.initializer_range = initializer_range
        # The decoder reads its embedding table again as its output layer, so there is no second module to tie.
        super().__init__(tie_word_embeddings=tie_word_embeddings, pad_token_id=pad_token_id, **kwargs)
