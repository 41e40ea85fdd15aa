"""A variational autoencoder for text: any encoder body, a Gaussian latent, a GRU decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from .chunk_prior import ChunkPrior
from .configuration_textvae import TextVAEConfig
from .decoder import EMBEDDING_STD, NUM_SPECIAL, PAD, LatentDecoder, Memory, summed_nll
from .pooler import LatentPooler
from .posterior import Posterior, device_of
from .refinement import refine
from .text_generation import TextGenerationMixin


@dataclass
class TextVAEOutput(ModelOutput):
    """
    Args:
        loss: () mean over the batch of nll + kl, in nats a text.
        nll: (B,) −log p(text | z) of one sampled z, summed over tokens and the end token.
        kl: (B,) KL divergence of the posterior from the model's prior; with a learned one, by the same sampled z.
        kl_by_dimension: (B, Z) of which `kl` is the sum.
        bag_nll: (B,) −log of the product of the words' probabilities given z alone; with `bag_of_words`.
        logits: (B, T', decoder_vocab_size) over the respelled labels; none with candidates.
        mean: (B, Z)
        log_variance: (B, Z)
    """

    loss: torch.Tensor | None = None
    nll: torch.Tensor | None = None
    kl: torch.Tensor | None = None
    kl_by_dimension: torch.Tensor | None = None
    bag_nll: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    mean: torch.Tensor | None = None
    log_variance: torch.Tensor | None = None


class TextVAEModel(TextGenerationMixin, PreTrainedModel):
    """Text VAE. One tokenizer, the encoder's, serves both sides; `generate` returns its ids.

    Example:
        ```python
        model = AutoModel.from_pretrained("org/textvae-rt", trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained("org/textvae-rt", trust_remote_code=True)
        model.neighbours(["a moving film."], tokenizer, num=4, generator=torch.Generator().manual_seed(0))
        ```
    """

    config_class = TextVAEConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _no_split_modules = ("LatentPooler", "LatentDecoder", "ChunkPrior")
    # The loss is a mean over texts: a Trainer must not take it for one summed over `num_items_in_batch`.
    accepts_loss_kwargs = False

    @classmethod
    def can_generate(cls) -> bool:
        """Not as transformers does: it would write a generation_config.json, which `generate` never reads."""
        return False

    def __init__(self, config: TextVAEConfig) -> None:
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder_config)
        if getattr(self.encoder, "pooler", None) is not None:
            # BERT's pooled output is not read, and parameters without gradient would stop distributed training.
            self.encoder.pooler = None
        # One row more than classes: the last stands for a text whose class nobody knows.
        self.classes = nn.Embedding(config.num_classes + 1, config.class_size) if config.num_classes else None
        self.pooler = LatentPooler(config) if config.latent_size else None
        self.decoder = LatentDecoder(config)
        self.prior = None
        if config.prior == "autoregressive":
            self.prior = ChunkPrior(config.latent_chunks, config.latent_size // config.latent_chunks)
        self.post_init()
        self.freeze_encoder()
        self.encoder.eval()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.GRU):  # the base class leaves a GRU as memory happened to be
            for name, weight in module.named_parameters():
                if name.startswith("weight_hh"):
                    for gate in weight.chunk(3):
                        init.orthogonal_(gate)
                elif name.startswith("weight_ih"):
                    init.xavier_uniform_(weight)
                else:
                    init.zeros_(weight)
        elif self.classes is not None and module is self.classes:
            init.normal_(self.classes.weight, std=0.5)  # of the latent's size, beside which it stands
        elif isinstance(module, (LatentPooler, LatentDecoder, ChunkPrior)):
            module.reset_parameters()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As of any model, with the encoder frozen as in a fresh one: loading makes every parameter trainable."""
        loaded = super().from_pretrained(*args, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded).freeze_encoder()
        return loaded

    @classmethod
    def from_encoder_pretrained(cls, encoder: str, **config_fields: Any) -> TextVAEModel:
        """A fresh VAE around the pretrained body `encoder` (a Hub id or a folder)."""
        encoder_config = AutoConfig.from_pretrained(encoder)
        config_fields.setdefault("encoder", str(encoder))
        config_fields.setdefault("pad_token_id", encoder_config.pad_token_id or 0)
        config = cls.config_class(encoder_config=encoder_config, **config_fields)
        model = cls(config)
        body = AutoModel.from_pretrained(encoder, dtype=torch.float32)
        model.encoder.load_state_dict(body.state_dict(), strict=False)
        return model

    def set_decoder_vocabulary(
        self,
        kept_ids: torch.Tensor,
        respelling: torch.Tensor,
        log_frequencies: torch.Tensor,
        continues: torch.Tensor,
        joins: torch.Tensor,
    ) -> None:
        """Fill the decoder's vocabulary and start its embeddings from the encoder's.

        Args:
            kept_ids: (decoder_vocab_size,) encoder id of each decoder id; the first three are not read.
            respelling: (encoder vocabulary, max_pieces) decoder ids that spell each encoder id, −1 beyond.
            log_frequencies: (decoder_vocab_size,) where the output bias starts.
            continues: (decoder_vocab_size,) bool, the pieces that continue a word.
            joins: (num_joins,) the joins of pieces that the training text has, as `LatentDecoder` numbers them.
        """
        decoder = self.decoder
        decoder.kept_ids.copy_(kept_ids)
        decoder.respelling.copy_(respelling)
        decoder.continues.copy_(continues)
        decoder.joins.copy_(joins)
        with torch.no_grad():
            decoder.bias.copy_(log_frequencies)
            weight = self.get_input_embeddings().weight
            words = weight[kept_ids[NUM_SPECIAL:].to(weight.device)].float()
            words = words - words.mean(0)
            # Principal components keep what distinguishes words when the decoder's vectors are smaller.
            size = min(decoder.embedding.embedding_dim, words.shape[1], len(words))
            _, _, directions = torch.linalg.svd(words, full_matrices=False)
            decoder.words[NUM_SPECIAL:] = words * (EMBEDDING_STD / (words @ directions[:size].T).std())
            decoder.word_map.weight.zero_()
            decoder.word_map.weight[:size] = directions[:size]
            decoder.embedding.weight[NUM_SPECIAL:] = 0.0

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def freeze_encoder(self, trainable_layers: int = 0) -> None:
        """Freeze the encoder but for its last `trainable_layers` layers; −1 trains all of it."""
        stacks = [module for module in self.encoder.modules() if isinstance(module, nn.ModuleList)]
        layers = max(stacks, key=len)
        deepest = max(self.config.encoder_layers)
        self.encoder.requires_grad_(trainable_layers == -1)
        if trainable_layers > 0:
            for layer in layers[:deepest][-trainable_layers:]:
                layer.requires_grad_(True)
        for layer in layers[deepest:]:  # has no part in the loss
            layer.requires_grad_(False)

    def train(self, mode: bool = True) -> TextVAEModel:
        """As for any module, but the encoder never drops units: its states are then the same whenever read."""
        super().train(mode)
        self.encoder.eval()
        return self

    def encoder_states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, len(encoder_layers), T, encoder hidden size) states of the named layers, 0 the embedding layer."""
        frozen = not any(parameter.requires_grad for parameter in self.encoder.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            if self.config.encoder_layers == [0] and hasattr(self.encoder, "embeddings"):
                return self.encoder.embeddings(input_ids)[:, None]
            states = self.encoder(input_ids, attention_mask=attention_mask, output_hidden_states=True)
            return torch.stack([states.hidden_states[layer] for layer in self.config.encoder_layers], dim=1)

    @torch.no_grad()
    def features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, encoder hidden size) float32: the encoder's last states, averaged over tokens, of length 1."""
        states = self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask[..., None].float()
        return F.normalize((states * mask).sum(1) / mask.sum(1).clamp(min=1.0), dim=-1)

    def encode(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        class_ids: torch.Tensor | None = None,
        encoder_states: torch.Tensor | None = None,
    ) -> Posterior:
        """Posterior of right-padded texts (B, T), in one pass; `encoder_states` may have been kept from before."""
        if attention_mask is None:
            attention_mask = (input_ids != self.config.pad_token_id).long()
        if self.pooler is None:
            nothing = torch.zeros(len(attention_mask), 0, device=attention_mask.device)
            return Posterior(nothing, nothing)
        if encoder_states is None:
            encoder_states = self.encoder_states(input_ids, attention_mask)
        words = self.decoder.word_vectors(input_ids)
        places = self.decoder.places(input_ids, attention_mask)
        classes = self.class_vectors(class_ids, len(attention_mask))
        return Posterior(*self.pooler(encoder_states, words, places, attention_mask, classes))

    def posterior(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        class_ids: torch.Tensor | None = None,
        refinement_steps: int | None = None,
        refinement_beta: float | None = None,
    ) -> Posterior:
        """The posterior that everything but training uses: the encoder's, refined by gradient steps on each text.

        Args:
            input_ids, attention_mask: (B, T) encoder tokens, right-padded.
            class_ids: (B,) for a model with classes.
            refinement_steps, refinement_beta: the configuration's by default; 0 steps for the encoder's guess alone.
        """
        guess = self.encode(input_ids, attention_mask, class_ids)
        steps = self.config.refinement_steps if refinement_steps is None else refinement_steps
        if not steps or self.pooler is None:
            return guess
        beta = self.config.refinement_beta if refinement_beta is None else refinement_beta
        slope = self.config.refinement_slope
        # What was computed in inference mode can have no part in a gradient; a copy made outside of it can.
        with torch.inference_mode(False):
            guess = Posterior(*(tensor.clone() for tensor in guess))
            targets = self.decoder.respell(input_ids.clone())
            classes = None if class_ids is None else class_ids.clone()
            with torch.no_grad():
                shortlist = self.decoder.shortlist()

            def loss(posterior: Posterior, latents: torch.Tensor) -> torch.Tensor:
                nll = self.decoder.shortlist_nll(targets, self.read_latents(latents, classes), shortlist, slope)
                return nll + beta * self.kl(posterior, latents).sum(-1)

            return refine(guess, loss, steps)

    def kl(self, posterior: Posterior, latents: torch.Tensor) -> torch.Tensor:
        """(B, Z) KL in nats of posteriors from the model's prior; `latents` (B, Z) are draws, for a learned prior."""
        return posterior.kl() if self.prior is None else self.prior.kl(*posterior, latents)

    def prior_log_density(self, latents: torch.Tensor) -> torch.Tensor:
        """(B,) float64 nats of latents (B, Z) under the model's prior."""
        if self.prior is not None:
            return self.prior.log_density(latents)
        return -0.5 * (latents.double().square() + math.log(2 * math.pi)).sum(-1)

    def sample_prior(
        self, count: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """(count, Z) draws from the model's prior, their deviations scaled by `temperature`."""
        if self.prior is not None:
            return self.prior.sample(count, temperature, generator=generator)
        shape = (count, self.config.latent_size)
        return temperature * torch.randn(shape, generator=generator, device=device_of(generator)).to(self.device)

    def class_vectors(self, class_ids: torch.Tensor | None, count: int) -> torch.Tensor | None:
        """(count, class_size) of class ids (count,), or of the unknown class; None for a model without classes."""
        if self.classes is None:
            if class_ids is not None:
                raise ValueError("this model has num_classes=0 and takes no class_ids")
            return None
        if class_ids is None:
            class_ids = torch.full((count,), self.config.num_classes, device=self.device)
        return self.classes(class_ids.to(self.device))

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        class_ids: torch.Tensor | None = None,
        *,
        encoder_states: torch.Tensor | None = None,
        noise: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        input_keep: torch.Tensor | None = None,
        shown: torch.Tensor | None = None,
        candidates: torch.Tensor | None = None,
        candidate_log_weights: torch.Tensor | None = None,
    ) -> TextVAEOutput:
        """Posterior, and with `labels` the negative ELBO of one sampled latent a text.

        Args:
            input_ids, attention_mask: (B, T) encoder tokens, right-padded.
            labels: (B, T) encoder tokens to reconstruct (usually `input_ids`); respelled inside.
            class_ids: (B,) for a model with classes; `num_classes` (the default) where a text's class is not known.
            encoder_states: (B, L, T, H) kept from `encoder_states`, so that the body is not run again.
            noise: (B, Z) ε of the reparameterisation; drawn from `generator` when not given.
            input_keep: (B, ≥ T') bool; False hides a decoder input (word dropout, Bowman et al. 2016).
            shown: (B, K) bool; False hides a chunk of the latent from the decoder, of a model with `hidden_chunks`.
            candidates: (M,) sorted decoder ids that hold every label; the softmax is over these alone
                (importance-sampled softmax, Jean et al. 2015) and no logits are returned.
            candidate_log_weights: (M,) log importance weights of the candidates.
        """
        posterior = self.encode(input_ids, attention_mask, class_ids, encoder_states)
        latents = posterior.sample(generator=generator) if noise is None else posterior.at(noise)
        dimensions = self.kl(posterior, latents)
        kl = dimensions.sum(-1)
        if labels is None:
            return TextVAEOutput(
                kl=kl, kl_by_dimension=dimensions, mean=posterior.mean, log_variance=posterior.log_variance
            )
        memory = self.read_latents(latents if shown is None else self.decoder.hide(latents, shown), class_ids)
        targets = self.decoder.respell(labels)
        outputs, logits = self.decoder.outputs(targets, memory, input_keep), None
        if candidates is None:
            logits, real = self.decoder.logits(outputs), targets != PAD
            nll = summed_nll(logits[real], targets[real], real)
        else:
            nll = self.decoder.candidate_nll(outputs, targets, candidates, candidate_log_weights)
        bag_nll = None
        if self.config.bag_of_words:
            bag_nll = self.decoder.bag_nll(targets, latents, candidates, candidate_log_weights)
        return TextVAEOutput(
            loss=(nll + kl).mean(),
            nll=nll,
            kl=kl,
            kl_by_dimension=dimensions,
            bag_nll=bag_nll,
            logits=logits,
            mean=posterior.mean,
            log_variance=posterior.log_variance,
        )

    def read_latents(self, latents: torch.Tensor, class_ids: torch.Tensor | None = None) -> Memory:
        """What the decoder reads of latents (B, Z); for decoding step by step."""
        return self.decoder.read(latents, self.class_vectors(class_ids, len(latents)))


TextVAEConfig.register_for_auto_class()
TextVAEModel.register_for_auto_class("AutoModel")
