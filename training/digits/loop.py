"""Training by epochs through Accelerate, resumable at the last whole epoch bit for bit.

Nothing in it draws from a global random number generator: the order of an epoch's rows and the noise of a step have
keys of their own. The weights of the epoch with the lowest validation loss are kept.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..common.checkpoints import cut_metrics, load_newest, save_checkpoint
from ..common.errors import UserError
from ..common.files import append_jsonl
from ..common.progress import bar, say

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """How long, and how fast."""

    epochs: int
    batch_size: int
    learning_rate: float  # of Adam
    final_learning_rate_share: float  # it falls to this share on a cosine
    seed: int

    def rate(self, done: float) -> float:
        """The learning rate after this share of the steps."""
        low = self.final_learning_rate_share
        return self.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * done)) / 2)


def keyed(*key: int) -> torch.Generator:
    """A generator of the CPU with a seed made of several numbers, whose number counts, too."""
    state = np.random.SeedSequence((len(key), *key)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


class Loop(Generic[M]):
    """A module under training.

    Args:
        loss: (module, indices of rows (B,), generator of the step) → () loss to minimise.
        validate: module, in eval mode → figures of an epoch, `loss` among them.
        rows: how many there are to train on.
        fingerprint: of all that the weights follow from; a checkpoint with another one is refused.
    """

    def __init__(
        self,
        name: str,
        model: M,
        loss: Callable[[M, Tensor, torch.Generator], Tensor],
        validate: Callable[[M], dict[str, float]],
        rows: int,
        schedule: Schedule,
        fingerprint: str,
    ) -> None:
        self.name, self.loss, self.validate, self.rows = name, loss, validate, rows
        self.schedule, self.fingerprint = schedule, fingerprint
        self.accelerator = one_process()
        optimizer = torch.optim.Adam(model.parameters(), lr=schedule.learning_rate, fused=True)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.epoch, self.seconds = 0, 0.0
        self.best: dict[str, Any] = {"loss": math.inf, "epoch": 0, "weights": {}}
        self.accelerator.register_for_checkpointing(self)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "seconds": self.seconds, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.seconds, self.best = state["epoch"], state["seconds"], state["best"]

    def run(self, folder: Path) -> M:
        """Train to the end, from the last checkpoint in `folder`, where `metrics.jsonl` is written too."""
        checkpoints, metrics = folder / "checkpoints", folder / "metrics.jsonl"
        if load_newest(self.accelerator, checkpoints, self.fingerprint):
            say(f"{self.name}: going on after epoch {self.epoch} of {self.schedule.epochs}")
        steps = math.ceil(self.rows / self.schedule.batch_size)
        cut_metrics(metrics, self.epoch * steps)
        with bar(total=self.schedule.epochs * steps, label=self.name, unit="step") as progress:
            progress.update(self.epoch * steps)
            while self.epoch < self.schedule.epochs:
                start = time.monotonic()
                train_loss = self._train_epoch(steps, progress)
                with torch.inference_mode():
                    figures = self.validate(self.model.eval())
                if figures["loss"] < self.best["loss"]:
                    weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
                    self.best = {"loss": figures["loss"], "epoch": self.epoch + 1, "weights": weights}
                self.epoch += 1
                self.seconds += time.monotonic() - start
                row = {"epoch": self.epoch, "step": self.epoch * steps, "train_loss": train_loss}
                row |= {f"validation_{name}": value for name, value in figures.items()}
                append_jsonl(metrics, row | {"seconds": round(self.seconds, 2)})
                told = f"train {train_loss:.4g}, validation {figures['loss']:.4g}"
                progress.set_postfix_str(told, refresh=False)
                save_checkpoint(self.accelerator, checkpoints, self.epoch * steps, self.fingerprint)
        self.model.load_state_dict(self.best["weights"])
        return self.accelerator.unwrap_model(self.model).eval()

    def _train_epoch(self, steps: int, progress: Any) -> float:
        """One pass over all rows; returns the mean loss."""
        schedule, total = self.schedule, torch.zeros((), dtype=torch.float64)
        order = torch.randperm(self.rows, generator=keyed(schedule.seed, 0, self.epoch))
        self.model.train()
        for index, batch in enumerate(order.split(schedule.batch_size)):
            if len(batch) == 1:
                continue  # one image alone cannot be normalised by its batch
            step = self.epoch * steps + index
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.rate(step / (steps * schedule.epochs))
            loss = self.loss(self.model, batch, keyed(schedule.seed, 1, step))
            self.optimizer.zero_grad()
            self.accelerator.backward(loss)
            self.optimizer.step()
            total += loss.detach().cpu() * len(batch)
            progress.update(1)
        mean = total.item() / self.rows
        if not math.isfinite(mean):
            raise UserError(
                f"{self.name}: the loss is no longer finite in epoch {self.epoch + 1}; "
                f"lower 'learning_rate' ({schedule.learning_rate:g})"
            )
        return mean


def one_process() -> Accelerator:
    """Accelerate on this machine's GPU, else its processor.

    Raises:
        UserError: several processes were launched; a batch of digits is not worth dividing.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched > 1:
        raise UserError(f"{launched} processes were launched; digits are trained by one: launch with --num_processes 1")
    return Accelerator(cpu=not torch.cuda.is_available())
