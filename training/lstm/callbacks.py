"""What a training tells as it goes: its time, its progress, its evaluations."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from ..common.errors import UserError
from ..common.files import write_text
from ..common.progress import bar
from .recipe import LstmRecipe


class Clock(TrainerCallback, ExportableState):
    """Seconds of the training over all pieces that it was made in, with evaluations and checkpoints and without."""

    def __init__(self) -> None:
        self.seconds = self.step_seconds = self.step_cpu_seconds = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._last = time.monotonic(), time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        seconds, cpu_seconds = self._passed()
        self.step_seconds += seconds
        self.step_cpu_seconds += cpu_seconds

    def _passed(self, *_: Any, **__: Any) -> tuple[float, float]:
        before, self._last = self._last, (time.monotonic(), time.process_time())
        self.seconds += self._last[0] - before[0]
        return self._last[0] - before[0], self._last[1] - before[1]

    def on_evaluate(self, *_: Any, **__: Any) -> None:
        self._passed()

    on_save = on_evaluate

    def state(self) -> dict[str, Any]:
        names = ("seconds", "step_seconds", "step_cpu_seconds")
        return {"args": {}, "attributes": {name: getattr(self, name) for name in names}}


class Progress(TrainerCallback):
    """A progress bar."""

    def __init__(self, label: str, steps: int):
        self.label, self.steps = label, steps

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar = bar(total=self.steps, label=self.label, unit="step")
        self.bar.update(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()


class Guard(TrainerCallback):
    """Ends a training whose weights are no longer finite, before a checkpoint of them is written."""

    def __init__(self, recipe: LstmRecipe, what: str):
        self.recipe, self.what = recipe, what

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step % args.save_steps == 0:
            weights = torch.stack([parameter.detach().sum() for parameter in given["model"].parameters()])
            check_finite(weights.sum().item(), self.recipe, state.global_step, self.what)


class Report(Progress):
    """A progress bar, and each evaluation as a line of a file; a training that diverges ends with one."""

    def __init__(self, file: Path, recipe: LstmRecipe, steps: int, steps_an_epoch: float):
        super().__init__("train", steps)
        self.file, self.recipe, self.steps_an_epoch = file, recipe, steps_an_epoch

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        rows = evaluations(state.log_history, self.steps_an_epoch)
        last = rows[-1]
        check_finite(last["validation_loss"], self.recipe, last["step"], "training")
        write_text(self.file, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
        self.bar.set_postfix(validation=f"{100 * last['validation_accuracy']:.1f} %")


def check_finite(loss: float, recipe: LstmRecipe, step: int, what: str) -> None:
    """
    Raises:
        UserError: the loss (nats) is not finite.
    """
    if not math.isfinite(loss):
        raise UserError(
            f"recipe '{recipe.name}': the loss of the {what} is no longer finite at step {step}; lower 'learning_rate' "
            f"({recipe.learning_rate:g})"
        )


def evaluations(history: list[dict[str, Any]], steps_an_epoch: float) -> list[dict[str, Any]]:
    """One row an evaluation of a Trainer's log: step, epoch, loss (nats) and accuracy (0 to 1) of both parts, and the
    loss of the validation rows at the temperature that suits them best.

    The Trainer's own epochs are not read: its sampler gives all passes over the rows as one.
    """
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"], "epoch": round(entry["step"] / steps_an_epoch, 4)})
        if entry.get("of") == "train":
            row |= {"train_loss": entry["loss"], "train_accuracy": entry["accuracy"]}
        elif "eval_loss" in entry:
            row |= {f"validation_{name}": entry[f"eval_{name}"] for name in ("loss", "scaled_loss", "accuracy")}
    return [row for row in rows.values() if "validation_loss" in row]
