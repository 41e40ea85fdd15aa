"""What people call on a model: from latents, priors and texts to texts."""

from __future__ import annotations

import filecmp
import shutil
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers.utils import SAFE_WEIGHTS_NAME, cached_file

from .augmentation import augment
from .generation import beam_search, decode, decode_latents, encode_texts, interpolate
from .posterior import Posterior, device_of
from .priors import FittedPrior, MixturePrior, ResampledPrior

PRIOR_SUFFIX = ".prior.safetensors"


class TextGenerationMixin:
    """The generating methods of a `TextVAEModel`.

    To a class without "GenerationMixin" in its name transformers would add its own, whose `generate` is another.
    """

    config: Any
    decoder: Any
    classes: Any
    device: torch.device
    name_or_path: str
    read_latents: Any
    sample_prior: Any

    def save_pretrained(self, save_directory: str | PathLike[str], **kwargs: Any) -> None:
        """As of any model; fitted priors come along where the weights are still those that were loaded.

        Of a repository on the Hub these are the priors that `load_prior` has fetched.
        """
        super().save_pretrained(save_directory, **kwargs)  # type: ignore[misc]
        try:
            loaded = Path(self._beside_weights(SAFE_WEIGHTS_NAME))
        except OSError:  # a fresh model, or its weights are no longer there
            return
        saved = Path(save_directory) / SAFE_WEIGHTS_NAME
        # A prior says where texts lie in the latent space of its weights: beside others it would be wrong.
        if saved.is_file() and not saved.samefile(loaded) and filecmp.cmp(loaded, saved, shallow=False):
            for prior in loaded.parent.glob(f"*{PRIOR_SUFFIX}"):
                shutil.copyfile(prior, saved.with_name(prior.name))

    @torch.no_grad()
    def generate(
        self,
        latents: torch.Tensor | None = None,
        num_return_sequences: int = 1,
        prior: FittedPrior | None = None,
        prior_temperature: float = 1.0,
        latent_share: float = 1.0,
        class_ids: torch.Tensor | None = None,
        do_sample: bool = True,
        temperature: float = 1.0,
        top_p: float = 1.0,
        num_beams: int = 1,
        max_new_tokens: int | None = None,
        seen_joins: bool = True,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Decode latents, or draws from a prior, into encoder tokens.

        Args:
            latents: (B, Z); without it, one draw from the prior a returned sequence.
            num_return_sequences: sequences decoded from each latent; without latents, drawn (for each class id).
            prior: what is drawn from in place of the model's own prior, from `load_prior`.
            prior_temperature: scales how far draws from a prior stray from what it expects most.
            latent_share: share of a latent's chunks that the decoder is shown; it fills in the others by itself.
            class_ids: (B,) of a prior with classes, and for a model that is conditioned on them.
            do_sample: draw tokens; otherwise take the best (greedy, or beam search with `num_beams`).
            temperature: divides the token scores before drawing.
            top_p: smallest set of tokens of this probability is drawn from (Holtzman et al. 2020).
            max_new_tokens: decoder tokens a text at most; by default twice the configuration's `max_text_length`, which
                counts the encoder's: the decoder spells a rare one in several.
            seen_joins: join word pieces only as some word of the training text does, so that no word is glued; a model
                with `num_joins` 0 knows of none and joins them freely.
            generator: seeds everything drawn here.

        Returns:
            (B · num_return_sequences, T) int64 ids of the encoder's tokenizer, right-padded.

        Raises:
            ValueError: both latents and a prior; a prior with classes, but no class ids; class ids that the prior does
                not know, or without a prior where the model has no classes; a `latent_share` below 1 where it has no
                `hidden_chunks`; beams that should draw.
            IndexError: class ids beyond those that the model is conditioned on.
        """
        if latents is not None and prior is not None:
            raise ValueError("latents and prior were both given; what is decoded comes from one of them")
        if prior is not None and prior.num_classes > 1 and class_ids is None:
            raise ValueError(f"this prior knows {prior.num_classes} classes; say in class_ids which are wanted")
        if class_ids is not None:
            class_ids = class_ids.repeat_interleave(num_return_sequences, dim=0)
        if latents is not None:
            latents = latents.to(self.device).repeat_interleave(num_return_sequences, dim=0)
        else:
            count = num_return_sequences if class_ids is None else len(class_ids)
            wanted = torch.zeros(count, dtype=torch.long) if class_ids is None else class_ids
            if isinstance(prior, MixturePrior):
                latents = prior.sample(wanted, prior_temperature, generator).to(self.device)
            else:
                drawn = prior.candidates if isinstance(prior, ResampledPrior) else 1
                class_ids = None if class_ids is None else class_ids.repeat_interleave(drawn, dim=0)
                latents = self.sample_prior(drawn * count, prior_temperature, generator)
        if latent_share < 1.0:
            shape = (len(latents), self.config.latent_chunks)
            chances = torch.rand(shape, generator=generator, device=device_of(generator))
            latents = self.decoder.hide(latents, (chances < latent_share).to(latents.device))
        limit = max_new_tokens or 2 * self.config.max_text_length
        only_of_prior = prior is not None and self.classes is None
        memory = self.read_latents(latents, None if only_of_prior else class_ids)
        if num_beams > 1:
            if do_sample:
                raise ValueError("num_beams > 1 needs do_sample=False: beam search draws nothing")
            tokens = beam_search(self.decoder, memory, num_beams, limit, seen_joins)
        else:
            tokens = decode(
                self.decoder, memory, limit, do_sample=do_sample, temperature=temperature, top_p=top_p,
                seen_joins=seen_joins, generator=generator,
            )  # fmt: skip
        if isinstance(prior, ResampledPrior):
            tokens = tokens[prior.choose(tokens, wanted, generator)]
        return self.decoder.to_encoder_ids(tokens)

    def load_prior(self, name: str) -> FittedPrior:
        """The fitted prior `name` that was saved beside the weights, here or on the Hub."""
        return FittedPrior.load(self._beside_weights(f"{name}{PRIOR_SUFFIX}")).to(self.device)

    def _beside_weights(self, name: str) -> Any:
        """Path of a file where the weights came from.

        Raises:
            OSError: it is not there.
        """
        revision = getattr(self.config, "_commit_hash", None)  # known where that is the Hub
        return cached_file(self.name_or_path, name, revision=revision)

    def reconstruct(self, texts: list[str], tokenizer: Any, num_beams: int = 1) -> list[str]:
        """Each text decoded greedily from its posterior's mean."""
        latents = encode_texts(self, texts, tokenizer).mean
        return decode_latents(self, latents, tokenizer, num_beams=num_beams)

    def neighbours(
        self,
        texts: list[str],
        tokenizer: Any,
        temperature: float = 0.7,
        num: int = 4,
        generator: torch.Generator | None = None,
    ) -> list[list[str]]:
        """`num` texts from around each text's posterior, `temperature` standard deviations of noise."""
        posterior = encode_texts(self, texts, tokenizer)
        repeated = Posterior(*(tensor.repeat_interleave(num, dim=0) for tensor in posterior))
        decoded = decode_latents(self, repeated.sample(temperature, generator), tokenizer)
        return [decoded[start : start + num] for start in range(0, len(decoded), num)]

    def interpolate(self, a: str, b: str, tokenizer: Any, steps: int = 8, spherical: bool = False) -> list[str]:
        """`steps` texts on the way from `a` to `b`, both ends included."""
        start, end = encode_texts(self, [a, b], tokenizer).mean
        path = interpolate(start, end, steps, spherical)
        return decode_latents(self, path, tokenizer)

    def shift(
        self, texts: list[str], towards: list[str], away: list[str], tokenizer: Any, scale: float = 1.0
    ) -> list[str]:
        """Latent arithmetic: each text moved by `scale` · (mean latent of `towards` − mean latent of `away`).

        With one text in each it is an analogy, `away` is to `towards` as a text is to its result (Mikolov et al. 2013);
        with many that differ in one respect it moves texts in that respect (Shen et al. 2020).
        """
        start, to, off = (encode_texts(self, part, tokenizer).mean for part in (texts, towards, away))
        return decode_latents(self, start + scale * (to.mean(0) - off.mean(0)), tokenizer)

    def augment(
        self, texts: list[str], labels: list[Any], tokenizer: Any, target_size: int, **options: Any
    ) -> list[dict[str, Any]]:
        """Grow labelled texts to `target_size` rows that are `kept`; those that were rejected come after them.

        `options` are those of `augmentation.augment`.
        """
        return augment(self, texts, labels, tokenizer, target_size, **options)
