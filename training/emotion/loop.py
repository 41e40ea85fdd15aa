"""The training loop, on any number of processes, resumable at any checkpoint bit for bit.

What is drawn at a step follows from the seed and the step alone: a training that was killed computes the same.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel
from textvae.modeling_emotion_vae.outputs import EmotionVAEOutput

from ..common.checkpoints import cut_metrics, load_newest, new_accelerator, save_checkpoint
from ..common.errors import UserError
from ..common.files import append_jsonl
from ..common.progress import bar, say
from .objective import TERMS, beta, objective
from .recipe import EmotionModelRecipe

WINDOW = 16  # batches whose texts are sorted by length
KL_DRAWS = 64  # of each validation text's latent, where the prior is a mixture


@dataclass(frozen=True)
class Examples:
    """Annotated texts as tensors: embeddings of a frozen encoder, or tokens of one that is trained."""

    ratings: Tensor  # (N, 2) float32, NaN where there is none
    deviations: Tensor  # (N, 2)
    categories: Tensor | None  # (N,) int64
    embeddings: Tensor | None = None  # (N, D)
    tokens: list[list[int]] | None = None
    pad: int = 0

    def __len__(self) -> int:
        return len(self.ratings)

    def batch(self, rows: np.ndarray, device: torch.device) -> dict[str, Tensor | None]:
        """What the model's `forward` takes of these rows."""
        index = torch.from_numpy(rows)
        found: dict[str, Tensor | None] = {"labels": self.ratings[index], "deviations": self.deviations[index]}
        if self.categories is not None:
            found["category_ids"] = self.categories[index]
        if self.embeddings is not None:
            found["embeddings"] = self.embeddings[index]
        else:
            assert self.tokens is not None
            found |= _padded([self.tokens[row] for row in rows], self.pad)
        return {name: None if value is None else value.to(device) for name, value in found.items()}


class Loop:
    """A model, the examples that it is trained on and watched by, and where the training of it stands."""

    def __init__(
        self,
        model: EmotionVAEModel,
        train: Examples,
        validation: Examples,
        recipe: EmotionModelRecipe,
        *,
        seed: int,
        dtype: torch.dtype,
        num_processes: int,
        made_from: str,
    ) -> None:
        self.accelerator = new_accelerator(dtype, num_processes)
        self.train, self.validation, self.recipe, self.seed, self.made_from = train, validation, recipe, seed, made_from
        # Batches of like size, so that no last one of a few texts takes a whole step.
        self.batches = max(1, round(len(train) / recipe.batch_size))
        self.steps = recipe.epochs * self.batches
        model.to(self.accelerator.device)
        self.unwrapped = model
        self.model, self.optimizer = self.accelerator.prepare(model, _optimizer(model, recipe))
        self.step, self.seconds, self.sums = 0, 0.0, [0.0] * len(TERMS)
        self.planned: tuple[int, list[np.ndarray]] = (-1, [])
        self.accelerator.register_for_checkpointing(self)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "seconds": self.seconds, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.seconds, self.sums = state["step"], state["seconds"], state["sums"]

    def run(self, output: Path, label: str) -> EmotionVAEModel:
        """Train to the end, from the last checkpoint under `output`, where each epoch's terms are written, too."""
        checkpoints, metrics = output / "checkpoints", output / "metrics.jsonl"
        self.resume(checkpoints, label)
        main = self.accelerator.is_main_process
        if main:
            cut_metrics(metrics, self.step)
        before, started = self.seconds, time.monotonic()
        with bar(total=self.steps, label=label, unit="step") as progress:
            progress.update(self.step)
            while self.step < self.steps:
                self.train_step()
                self.step += 1
                progress.update(1)
                self.seconds = before + time.monotonic() - started
                if self.step % self.batches == 0:
                    row = self._epoch_row()
                    if main:
                        append_jsonl(metrics, row)
                if self.step % self.recipe.checkpoint_every == 0 and self.step < self.steps:
                    save_checkpoint(self.accelerator, checkpoints, self.step, self.made_from)
        return self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False).eval()

    def train_step(self) -> None:
        """One optimiser step on the mean over a batch's texts, whatever number of processes shares them."""
        accelerator, recipe, config = self.accelerator, self.recipe, self.unwrapped.config
        epoch, place = divmod(self.step, self.batches)
        rows = self._batches(epoch)[place]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        shape = (2, config.num_members, len(rows), 2)
        noise, prior = torch.randn(shape, generator=generator)
        shown = torch.rand(len(rows), generator=generator) >= recipe.hidden_skip_share
        unknown = torch.rand(len(rows), generator=generator) < recipe.unknown_category_share
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # of dropout
        parts = np.array_split(np.arange(len(rows)), accelerator.num_processes)
        mine = parts[accelerator.process_index]
        device = accelerator.device
        batch = self.train.batch(rows[mine], device)
        if (known := batch.get("category_ids")) is not None:
            batch["category_ids"] = known.masked_fill(unknown[mine].to(device), len(config.categories))
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.model.train()
        output = self.model(
            **batch, noise=noise[:, mine].to(device), shown=shown[mine].to(device), nll_beta=recipe.nll_beta
        )
        weight = beta(recipe, self.step, self.steps)
        loss = objective(output, prior[:, mine].to(device), weight, recipe)
        # Distributed training averages over processes, where the mean over the batch is wanted.
        self.optimizer.zero_grad()
        accelerator.backward(loss * len(mine) * accelerator.num_processes / len(rows))
        self.optimizer.step()
        terms = torch.stack([getattr(output, term).detach().float().mean(0).sum() for term in TERMS])
        terms = accelerator.reduce(terms, "sum") / len(rows)
        if not terms.isfinite().all():
            raise UserError(
                f"emotion: the loss is no longer finite at step {self.step + 1}; lower 'learning_rate' "
                f"({recipe.learning_rate:g})"
            )
        self.sums = [total + value for total, value in zip(self.sums, terms.tolist(), strict=True)]

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """An epoch's batches of rows; of tokens, those of like length together, so that little is padded."""
        if self.planned[0] != epoch:
            random = np.random.default_rng([self.seed, epoch])
            batches = np.array_split(random.permutation(len(self.train)), self.batches)
            if self.train.tokens is not None:
                lengths = np.array([len(row) for row in self.train.tokens])
                windows = np.array_split(np.concatenate(batches), max(1, self.batches // WINDOW))
                order = np.concatenate([window[np.argsort(lengths[window], kind="stable")] for window in windows])
                batches = np.array_split(order, self.batches)
                batches = [batches[place] for place in random.permutation(self.batches)]
            self.planned = (epoch, batches)
        return self.planned[1]

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / max(1, self.recipe.warmup_steps))
        return self.recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))

    def _epoch_row(self) -> dict[str, Any]:
        means = {f"train_{term}": total / self.batches for term, total in zip(TERMS, self.sums, strict=True)}
        self.sums = [0.0] * len(TERMS)
        return {
            "step": self.step,
            "epoch": self.step // self.batches,
            **means,
            **{f"validation_{term}": value for term, value in self._validate().items()},
            "seconds": round(self.seconds, 2),
        }

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Terms of the validation texts without dropout, latents at their means but for the KL, all skips shown."""
        self.unwrapped.eval()
        sums = torch.zeros(len(TERMS))
        for rows in np.array_split(np.arange(len(self.validation)), math.ceil(len(self.validation) / 256)):
            noise = torch.zeros(self.unwrapped.config.num_members, len(rows), 2, device=self.accelerator.device)
            output = self.unwrapped(
                **self.validation.batch(rows, self.accelerator.device), noise=noise, nll_beta=self.recipe.nll_beta
            )
            output.kl = self._kl(output)
            sums += torch.stack([getattr(output, term).float().mean(0).sum().cpu() for term in TERMS])
        return dict(zip(TERMS, (sums / len(self.validation)).tolist(), strict=True))

    def _kl(self, output: EmotionVAEOutput) -> Tensor:
        """(M, B) KL in nats; from a mixture prior over draws, which are the same in every epoch."""
        if self.unwrapped.prior is None:
            return output.kl
        noise = torch.randn(KL_DRAWS, *output.mean.shape, generator=torch.Generator().manual_seed(self.seed))
        deviation = (0.5 * output.log_variance).exp()
        draws = output.mean + deviation * noise.to(output.mean)
        return torch.stack([self.unwrapped.kl(output.mean, output.log_variance, one) for one in draws]).mean(0)

    def resume(self, checkpoints: Path, label: str) -> None:
        """Load the newest checkpoint, if there is one; errors as for `load_newest`."""
        place = load_newest(self.accelerator, checkpoints, self.made_from)
        if place and self.accelerator.is_main_process:
            say(f"{label}: going on at step {self.step} of {self.steps} from {place}")


def _padded(rows: list[list[int]], pad: int) -> dict[str, Tensor | None]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


def _optimizer(model: EmotionVAEModel, recipe: EmotionModelRecipe) -> torch.optim.Optimizer:
    body = {id(weight) for weight in model.encoder.parameters()}
    own = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in body]
    groups: list[dict[str, Any]] = [{"params": own, "share": 1.0}]
    trained = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    if trained:
        groups.append({"params": trained, "share": recipe.encoder_learning_rate / recipe.learning_rate})
    return torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay, fused=True
    )
