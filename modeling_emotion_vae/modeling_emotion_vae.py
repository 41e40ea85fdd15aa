"""A VAE over sentence embeddings whose latent is valence and arousal, with two honest widths."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from .configuration_emotion_vae import DIMENSIONS, EmotionVAEConfig, vocabulary_digest
from .networks import LATENT, Decoder, MemberLinear, MixturePrior, RecognitionNetwork
from .outputs import EmotionPrediction, EmotionVAEOutput

BATCH = 32


class EmotionVAEModel(PreTrainedModel):
    """Sentence encoder → recognition network → (valence, arousal) → decoder → sentence embedding.

    Example:
        ```python
        model = AutoModel.from_pretrained("org/emotion-vae", trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained("org/emotion-vae", trust_remote_code=True)
        said = model.predict(["What a lovely day!"], tokenizer)
        said.mean, said.rater_deviation, said.interval(0.9)
        ```
    """

    config_class = EmotionVAEConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _no_split_modules = ("RecognitionNetwork", "Decoder", "MixturePrior")
    _supports_sdpa = True  # no attention of its own; the encoder says what it has
    # A rating's scale in half precision would be off by hundredths of its unit.
    _keep_in_fp32_modules_strict = (
        "embedding_mean", "embedding_deviation", "rating_mean", "rating_deviation", "calibration_offset",
        "calibration_slope", "centre", "latent_shift",
    )  # fmt: skip
    # The loss is a mean over texts: a Trainer must not take it for one summed over `num_items_in_batch`.
    accepts_loss_kwargs = False

    def __init__(self, config: EmotionVAEConfig) -> None:
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder_config)
        for name, part in self.encoder.named_modules():
            # RoBERTa's kin number a text's tokens from behind the padding's position.
            if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
                config.max_text_length = min(config.max_text_length, part.num_embeddings - part.padding_idx - 1)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # not read, and parameters without gradient would stop distributed training
        # One row more than categories: the last stands for a text of an unknown one.
        self.categories = nn.Embedding(len(config.categories) + 1, config.category_size) if config.categories else None
        self.recognition = RecognitionNetwork(config)
        self.decoder = Decoder(config)
        self.prior = MixturePrior(config.num_members, config.prior_components) if config.prior_components > 1 else None
        # Of the training data; `set_scales` fills them.
        self.register_buffer("embedding_mean", torch.zeros(config.embedding_size))
        self.register_buffer("embedding_deviation", torch.ones(config.embedding_size))
        self.register_buffer("rating_mean", torch.zeros(LATENT))
        self.register_buffer("rating_deviation", torch.ones(LATENT))
        # Of what the trained encoder and decoder make of the training data, standardised; `set_centre` fills them.
        self.register_buffer("centre", torch.zeros(config.embedding_size))
        self.register_buffer("latent_shift", torch.zeros(config.embedding_size))
        # log-variance of the mean's error = offset + slope · what the ensemble says; fitted on validation texts.
        self.register_buffer("calibration_offset", torch.zeros(LATENT))
        self.register_buffer("calibration_slope", torch.ones(LATENT))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (MemberLinear, MixturePrior)):
            module.reset_parameters()
        elif self.categories is not None and module is self.categories:
            init.normal_(self.categories.weight)

    @classmethod
    def from_encoder_pretrained(cls, encoder: str, **config_fields: Any) -> EmotionVAEModel:
        """A fresh VAE, in float32, around the pretrained sentence encoder `encoder` (a Hub id or a folder)."""
        config_fields.setdefault("encoder", str(encoder))
        encoder_config = AutoConfig.from_pretrained(encoder)
        encoder_config.dtype = None  # of its file; half a model in half precision is not what a reload gives
        model = cls(cls.config_class(encoder_config=encoder_config, **config_fields))
        body = AutoModel.from_pretrained(encoder, dtype=torch.float32)
        model.encoder.load_state_dict(body.state_dict(), strict=False)
        return model

    @torch.no_grad()
    def set_scales(self, embeddings: Tensor, ratings: Tensor) -> None:
        """Standardise by the training data: embeddings (N, D), ratings (N, 2) with NaN where there is none."""
        self.embedding_mean.copy_(embeddings.mean(0))
        self.embedding_deviation.copy_(embeddings.std(0).clamp(min=1e-6))
        for index in self.rated:
            known = ratings[:, index][~ratings[:, index].isnan()]
            self.rating_mean[index], self.rating_deviation[index] = known.mean(), known.std().clamp(min=1e-6)

    @torch.no_grad()
    def set_centre(self, embeddings: Tensor, category_ids: Tensor | None = None) -> None:
        """Once trained, let what latents alone decode to have the mean that the training data's embeddings (N, D) have.

        An encoder that is trained along moves away from what `set_scales` saw.
        """
        self.latent_shift.zero_()
        means = self.recognise(embeddings, category_ids)[0]
        self.centre.copy_(self.standardise(embeddings).mean(0))
        self.latent_shift.copy_(self.centre - self.rebuild(means, None, category_ids).mean(0))

    @property
    def rated(self) -> list[int]:
        """Places of the dimensions that the training data rates."""
        return [DIMENSIONS.index(name) for name in self.config.rated]

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def embed(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, D) float32 sentence embeddings of right-padded tokens (B, T), all of them real without a mask."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        mask = attention_mask[..., None].float()
        layers = (states.hidden_states[layer].float() for layer in self.config.encoder_layers)
        return torch.cat([F.normalize((layer * mask).sum(1) / mask.sum(1), dim=-1) for layer in layers], dim=-1)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        deviations: Tensor | None = None,
        category_ids: Tensor | None = None,
        *,
        token_type_ids: Tensor | None = None,
        embeddings: Tensor | None = None,
        noise: Tensor | None = None,
        shown: Tensor | None = None,
        nll_beta: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> EmotionVAEOutput:
        """Posterior of texts, their reconstruction, and with `labels` all terms of the loss.

        Args:
            input_ids, attention_mask: (B, T) tokens, right-padded; without a mask all of them are real.
            labels: (B, 2) annotated means in rating units, NaN where a source has none.
            deviations: (B, 2) annotated standard deviations of raters, likewise.
            category_ids: (B,) for a model with categories; `len(categories)` where a text's is not known.
            token_type_ids: not read; BERT's tokenizers give it, and one text is of one type.
            embeddings: (B, D) kept from `embed`, so that the encoder is not run again.
            noise: (M, B, 2) ε of the reparameterisation; drawn from `generator` when not given.
            shown: (B,) bool; False hides the decoder's skips of a text, which leaves it the latent alone.
            nll_beta: exponent of the stopped variance that weighs each text's nll (Seitzer et al. 2022); 0 is plain.

        Raises:
            ValueError: labels or deviations that no rater of the scale gave, or of a dimension that is not rated.
        """
        if embeddings is None:
            embeddings = self.embed(input_ids, attention_mask)
        mean, log_variance, error, states = self.recognise(embeddings, category_ids)
        if noise is None:
            device = torch.device("cpu") if generator is None else generator.device
            noise = torch.randn(mean.shape, generator=generator, device=device).to(mean.device)
        deviation = (0.5 * log_variance).exp()
        latents = mean + deviation * noise
        if shown is not None:
            states = [state * shown[None, :, None] for state in states]
        rebuilt = self.decoder(self._with_category(latents, category_ids), states)
        # The target stands still: a trained encoder would else make what is easily rebuilt.
        target = self.standardise(embeddings.detach())
        terms = {"reconstruction": (rebuilt - target).square().mean(-1), "kl": self.kl(mean, log_variance, latents)}
        kept = {"latents": latents, "mean": mean, "log_variance": log_variance, "prediction": self._expected(mean)}
        if labels is None:
            return EmotionVAEOutput(**terms, **kept)
        known = ~labels.isnan()
        residual = torch.where(known, mean - self._standard_ratings(labels).nan_to_num(), 0.0)
        terms["mean_error"] = residual.square().sum(-1)
        variance = error.exp() + self.floor.square()
        weight = variance.detach() ** nll_beta
        # The head learns from the mean's error and does not move the mean.
        nll = 0.5 * (variance.log() + residual.detach().square() / variance + math.log(2 * math.pi))
        terms["nll"] = torch.where(known, weight * nll, 0.0).sum(-1)
        if deviations is not None:
            self.config.check_ratings("deviation", deviations)
            off = deviation - (deviations / self.rating_deviation).nan_to_num()
            terms["deviation_error"] = torch.where(deviations.isnan(), 0.0, off).square().sum(-1)
        loss = torch.stack(list(terms.values())).sum((0, 1)).mean()
        return EmotionVAEOutput(loss=loss, **terms, **kept)

    def recognise(
        self, embeddings: Tensor, category_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Posterior of embeddings (B, D): mean and log-variance (M, B, 2), log-variance of the mean's error (M, B, 2)
        and the layers' states (M, B, H), everything standardised; the posterior's deviation keeps the floor."""
        members = self.standardise(embeddings).expand(self.config.num_members, -1, -1)
        mean, log_variance, error, states = self.recognition(self._with_category(members, category_ids))
        return mean, (log_variance.exp() + self.floor.square()).log(), error, states

    def kl(self, mean: Tensor, log_variance: Tensor, latents: Tensor) -> Tensor:
        """(M, B) nats from N(0, I) in closed form (Kingma and Welling 2014, appendix B), from a mixture by a draw."""
        if self.prior is None:
            return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(-1)
        squares = (latents - mean).square() / log_variance.exp()
        log_posterior = -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)
        return log_posterior - self.prior.log_density(latents)

    def standardise(self, embeddings: Tensor) -> Tensor:
        """(…, D) embeddings in deviations from the training data's mean."""
        return (embeddings - self.embedding_mean) / self.embedding_deviation

    @property
    def floor(self) -> Tensor:
        """(2,) least standard deviation, in standardised units."""
        return self.config.min_deviation / self.rating_deviation

    def predict_embeddings(self, embeddings: Tensor, category_ids: Tensor | None = None) -> EmotionPrediction:
        """What the ensemble says of sentence embeddings (B, D) (Lakshminarayanan et al. 2017)."""
        means, log_variances, errors, _ = self.recognise(embeddings, category_ids)
        variance = (errors.exp() + self.floor.square()).mean(0) + means.var(0, unbiased=False)
        calibrated = (self.calibration_offset + self.calibration_slope * variance.log()).exp()
        scale, floor = self.rating_deviation, self.config.min_deviation
        prediction = EmotionPrediction(
            mean=self._expected(means),
            rater_deviation=((0.5 * log_variances).exp().mean(0) * scale).clamp(min=floor),
            mean_deviation=(calibrated.sqrt() * scale).clamp(min=floor),
        )
        unrated = [index for index in range(LATENT) if index not in self.rated]
        for values in prediction.values():
            values[:, unrated] = torch.nan
        return prediction

    @torch.no_grad()
    def embed_texts(self, texts: list[str], tokenizer: Any) -> Tensor:
        """(N, D) float32 sentence embeddings on the CPU, computed in batches of texts of like length.

        Raises:
            ValueError: one text in place of a list, or the tokenizer is of another vocabulary than the encoder's.
        """
        if isinstance(texts, str):
            raise ValueError("texts is a str; give a list of texts")
        if self.config.vocabulary_digest not in (None, vocabulary_digest(tokenizer)):
            raise ValueError("the tokenizer is of another vocabulary; give the one saved beside the model")
        known = self.get_input_embeddings().num_embeddings
        rows = torch.empty(len(texts), self.config.embedding_size)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            batch = tokenizer(
                [texts[row] for row in part], truncation=True, max_length=self.config.max_text_length, padding=True,
                padding_side="right", return_tensors="pt",
            )  # fmt: skip
            tokens = max(len(tokenizer), int(batch["input_ids"].max()) + 1)  # numbers may leave gaps
            if tokens > known:
                raise ValueError(
                    f"the tokenizer has {tokens} tokens, the encoder {known}; give the one beside the model"
                )
            batch = batch.to(self.device)
            rows[part] = self.embed(batch["input_ids"], batch["attention_mask"]).cpu()
        return rows

    @torch.no_grad()
    def predict(
        self, texts: list[str], tokenizer: Any, categories: list[str | None] | None = None
    ) -> EmotionPrediction:
        """Valence and arousal of texts, with both widths.

        Args:
            tokenizer: the one saved beside the model.
            categories: of a model with categories, each text's, or None where it is not known.

        Raises:
            ValueError: a category that the model does not know, a tokenizer of another vocabulary, or one text in place
                of a list.
        """
        category_ids = None if categories is None else self.category_ids(categories)
        return self.predict_embeddings(self.embed_texts(texts, tokenizer).to(self.device), category_ids)

    @torch.no_grad()
    def decode(self, ratings: Tensor, category_ids: Tensor | None = None) -> Tensor:
        """(B, D) sentence embeddings expected at valence and arousal (B, 2), in rating units: the skips need a text.

        NaN, as for what is not rated, is the training data's mean; ratings are refused as in `forward`.
        """
        latents = self._standard_ratings(ratings.to(self.device)).nan_to_num().expand(self.config.num_members, -1, -1)
        return self.embedding_mean + self.embedding_deviation * self.rebuild(latents, None, category_ids)

    def rebuild(self, latents: Tensor, states: list[Tensor] | None, category_ids: Tensor | None = None) -> Tensor:
        """(B, D) standardised embeddings, the members' mean, of latents (M, B, 2) and states that `recognise` gave, or
        of the latents alone."""
        rebuilt = self.decoder(self._with_category(latents, category_ids), states).mean(0)
        return rebuilt + self.latent_shift if states is None else rebuilt

    @torch.no_grad()
    def nearest(self, ratings: Tensor, embeddings: Tensor, num: int = 5) -> Tensor:
        """Rows of a corpus (N, D) whose embeddings point the way that `ratings` (B, 2) decode to: (B, num), best first,
        or (B, N) of a corpus that has fewer.

        Nearness is the cosine of standardised embeddings around their centre: a decoded one is a mean over many texts,
        and short.
        """
        corpus = embeddings.to(self.embedding_mean)
        wanted, corpus = (
            F.normalize(self.standardise(part) - self.centre, dim=-1) for part in (self.decode(ratings), corpus)
        )
        return (wanted @ corpus.T).topk(min(num, len(corpus))).indices

    def category_ids(self, categories: list[str | None]) -> Tensor:
        """(B,) ids of the names of categories; of None, that of the unknown one."""
        names = self.config.categories
        known: dict[str | None, int] = {name: index for index, name in enumerate([*names, None])}
        for name in categories:
            if name not in known:
                raise ValueError(f"category {name!r} is not known; known: {', '.join(names) or 'none'}")
        return torch.tensor([known[name] for name in categories], device=self.device)

    def _standard_ratings(self, ratings: Tensor) -> Tensor:
        self.config.check_ratings("rating", ratings)
        return (ratings - self.rating_mean) / self.rating_deviation

    def _expected(self, means: Tensor) -> Tensor:
        """(M, B, 2) standardised → (B, 2) in rating units, the members' mean; NaN for what was never rated."""
        never = [torch.nan if name not in self.config.rated else 0.0 for name in DIMENSIONS]
        return self.rating_mean + self.rating_deviation * means.mean(0) + means.new_tensor(never)

    def _with_category(self, inputs: Tensor, category_ids: Tensor | None) -> Tensor:
        """(M, B, …) with the category's embedding beside it, in a model that has categories."""
        if self.categories is None:
            if category_ids is not None:
                raise ValueError("this model has no categories and takes no category_ids")
            return inputs
        if category_ids is None:
            category_ids = torch.full((inputs.shape[1],), len(self.config.categories), device=inputs.device)
        known = self.categories(category_ids.to(inputs.device)).expand(inputs.shape[0], -1, -1)
        return torch.cat([inputs, known], dim=-1)


EmotionVAEModel.register_for_auto_class("AutoModel")
