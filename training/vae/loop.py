"""The training loop, on any number of processes and micro-batches, resumable at any checkpoint bit for bit.

Nothing in it draws from a global random number generator: the order of the rows is planned beforehand, noise is
keyed by row and visit, and the softmax candidates by the step. So a training that was killed, cut into
micro-batches or spread over processes computes the same.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.modeling_textvae.decoder import PAD
from textvae.modeling_textvae.modeling_textvae import TextVAEModel, TextVAEOutput
from textvae.modeling_textvae.posterior import Posterior

from ..common.checkpoints import cut_metrics, load_newest, new_accelerator, save_checkpoint
from ..common.errors import UserError
from ..common.files import append_jsonl, fingerprint
from ..common.progress import bar, say
from ..common.recipe import VaeRecipe
from .data import Step, Tokens, plan_steps
from .features import StateCache
from .objective import candidate_set, objective, row_noise
from .schedule import Beta, cycle_ends, learning_rate, word_dropout
from .window import Window, collapse_warning


def training_fingerprint(
    model: TextVAEModel,
    texts: list[str],
    recipe: VaeRecipe,
    seed: int,
    dtype: torch.dtype,
    num_processes: int,
    class_ids: list[int] | None,
) -> str:
    """Of all that a training's weights follow from."""
    config = {name: value for name, value in model.config.to_dict().items() if name != "transformers_version"}
    config["encoder_config"] = {k: v for k, v in config["encoder_config"].items() if k != "transformers_version"}
    return fingerprint(recipe.unrefined(), seed, texts, class_ids, config, str(dtype), num_processes)


class Loop:
    """A model, its texts, and where the training of it stands."""

    def __init__(
        self,
        model: TextVAEModel,
        tokenizer: Any,
        texts: list[str],
        num_main: int,
        recipe: VaeRecipe,
        *,
        seed: int,
        dtype: torch.dtype,
        num_processes: int = 1,
        class_ids: list[int] | None = None,
    ) -> None:
        self.accelerator = new_accelerator(dtype, num_processes)
        self.recipe, self.seed = recipe, seed
        self.name = "vae" if recipe.latent_size else "language model"  # for who watches
        self.class_ids = None if class_ids is None else torch.tensor(class_ids)
        self.tokens = Tokens(tokenizer, texts, model.config.max_text_length)
        self.plan = plan_steps(
            self.tokens.lengths, num_main, recipe, seed, num_processes * recipe.gradient_accumulation
        )
        model.freeze_encoder(recipe.trainable_encoder_layers)
        model.to(self.accelerator.device)
        self.cache = StateCache(model, self.tokens, recipe.cache_gigabytes) if recipe.cache_encoder_states else None
        self.unwrapped = model
        self.model, self.optimizer = self.accelerator.prepare(model, _optimizer(model, recipe))
        self.beta = Beta(recipe)
        self.fresh_decoder = None
        if recipe.reset_decoder:
            # A resumed training builds the same fresh model first, so these are the same weights.
            self.fresh_decoder = {name: tensor.clone() for name, tensor in model.decoder.state_dict().items()}
        self.average: dict[str, torch.Tensor] = {}
        self.step = 0
        self.seconds = 0.0
        self.accelerator.register_for_checkpointing(self)
        self.fingerprint = training_fingerprint(model, texts, recipe, seed, dtype, num_processes, class_ids)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "seconds": self.seconds, "beta": self.beta.state_dict(), "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.beta.load_state_dict(state["beta"])
        self.average = {name: tensor.to(self.accelerator.device) for name, tensor in state["average"].items()}

    def run(self, output: Path) -> TextVAEModel:
        """Train to the end of the plan, from the last checkpoint under `output`, where metrics are written too."""
        checkpoints, metrics = output / "checkpoints", output / "metrics.jsonl"
        self.resume(checkpoints)
        main = self.accelerator.is_main_process
        if main:
            cut_metrics(metrics, self.step)
        self.model.train()
        window, warned = Window(), False
        before, started = self.seconds, time.monotonic()
        with bar(total=self.recipe.steps, label=self.name, unit="step") as progress:
            progress.update(self.step)
            while self.step < self.recipe.steps:
                plan, rate = self.plan[self.step], learning_rate(self.recipe, self.step)
                beta = self.beta.value
                self.train_step(plan, rate, window)
                self.step += 1
                progress.update(1)
                self.seconds = before + time.monotonic() - started
                last = self.step == self.recipe.steps
                if self.step % self.recipe.log_every == 0 or last:
                    figures = window.figures(self.accelerator)
                    window = Window()
                    if main:
                        append_jsonl(
                            metrics,
                            {
                                "step": self.step,
                                "epoch": plan.epoch,
                                **figures,
                                "beta": beta,
                                "target_kl": self.beta.target(self.step - 1),
                                "learning_rate": rate,
                                "seconds": round(self.seconds, 2),
                            },
                        )
                        progress.set_postfix(nll=f"{figures['nll']:.1f}", kl=f"{figures['kl']:.1f}")
                        warning = None if warned else collapse_warning(figures, self.recipe, self.step)
                        if warning:
                            say(f"{self.name}: {warning}")
                            warned = True
                if self.step % self.recipe.checkpoint_every == 0 and not last:
                    save_checkpoint(self.accelerator, checkpoints, self.step, self.fingerprint)
        trained = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False).eval()
        trained.load_state_dict(self.average, strict=False)
        return trained

    def train_step(self, plan: Step, rate: float, window: Window) -> None:
        """One optimiser step: the gradient of the mean over the step's rows, whatever these are cut into."""
        accelerator, config = self.accelerator, self.unwrapped.config
        device, count = accelerator.device, len(plan.rows)
        if self.fresh_decoder and self.step == round(self.recipe.autoencoder_share * self.recipe.steps):
            self._reset_decoder(self.fresh_decoder)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        ids, mask = self.tokens.batch(plan.rows)
        targets = self.unwrapped.decoder.respell(ids.to(device))
        candidates, weights = candidate_set(targets.cpu(), config.decoder_vocab_size, self.recipe, self.seed, self.step)
        drawn = row_noise(
            self.seed, plan.rows, plan.visits, config.latent_size, targets.shape[1], self.recipe,
            word_dropout(self.recipe, self.step),
        )  # fmt: skip
        classes = None
        if self.class_ids is not None and drawn.known is not None:
            classes = torch.where(drawn.known, self.class_ids[plan.rows], config.num_classes)
        parts = np.array_split(np.arange(count), accelerator.num_processes * self.recipe.gradient_accumulation)
        mine = parts[accelerator.process_index :: accelerator.num_processes]
        self.optimizer.zero_grad()
        sums = torch.zeros(2, device=device)
        for index, part in enumerate(mine):
            width = int(mask[part].sum(1).max())
            last = index == len(mine) - 1
            with contextlib.nullcontext() if last else accelerator.no_sync(self.model):
                out: TextVAEOutput = self.model(
                    input_ids=ids[part, :width].to(device),
                    attention_mask=mask[part, :width].to(device),
                    labels=ids[part, :width].to(device),
                    encoder_states=None if self.cache is None else self.cache.batch(plan.rows[part]).to(device),
                    noise=drawn.posterior[part].to(device),
                    input_keep=None if drawn.keep is None else drawn.keep[part].to(device),
                    shown=None if drawn.shown is None else drawn.shown[part].to(device),
                    class_ids=None if classes is None else classes[part].to(device),
                    candidates=None if candidates is None else candidates.to(device),
                    candidate_log_weights=None if weights is None else weights.to(device),
                )
                posterior = Posterior(out.mean, out.log_variance)
                latents = posterior.at(drawn.posterior[part].to(device))
                prior = None if drawn.prior is None else drawn.prior[part].to(device)
                shown = None if drawn.shown is None else drawn.shown[part].to(device)
                losses = objective(out, latents, prior, self.beta.value, self.recipe, shown)
                # Distributed training averages over processes, where the sum over the step's rows is wanted.
                accelerator.backward(losses.sum() * accelerator.num_processes / count)
            sums += torch.stack([out.kl.detach().sum(), (out.nll + out.kl).detach().sum()])
            window.add(out, int((targets[part] != PAD).sum()))
        accelerator.clip_grad_norm_(self.unwrapped.parameters(), self.recipe.gradient_clip)
        self.optimizer.step()
        if self.recipe.average_cycles and self.step + 1 in cycle_ends(self.recipe):
            self._update_average()
        kl, mean = (accelerator.reduce(sums, "sum") / count).tolist()
        if not np.isfinite(mean):
            raise UserError(
                f"{self.name}: the loss is no longer finite at step {self.step + 1}; lower 'vae.learning_rate' "
                f"({self.recipe.learning_rate:g})"
            )
        self.beta.update(self.step, kl)

    @torch.no_grad()
    def _update_average(self) -> None:
        count = cycle_ends(self.recipe).index(self.step + 1) + 1
        for name, weight in self.unwrapped.named_parameters():
            if weight.requires_grad:
                self.average.setdefault(name, weight.clone()).lerp_(weight, 1 / count)

    def _reset_decoder(self, weights: dict[str, torch.Tensor]) -> None:
        self.unwrapped.decoder.load_state_dict(weights)
        for weight in self.unwrapped.decoder.parameters():
            for moment in self.optimizer.state.get(weight, {}).values():
                moment.zero_()

    def resume(self, checkpoints: Path) -> None:
        """Load the newest checkpoint, if there is one; errors as for `load_newest`."""
        place = load_newest(self.accelerator, checkpoints, self.fingerprint)
        if place and self.accelerator.is_main_process:
            say(f"{self.name}: going on at step {self.step} of {self.recipe.steps} from {place}")


def _optimizer(model: TextVAEModel, recipe: VaeRecipe) -> torch.optim.Optimizer:
    offsets = model.decoder.embedding.weight
    body = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    others = {id(weight) for weight in (offsets, *model.encoder.parameters())}
    own = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in others]
    groups: list[dict[str, Any]] = [
        {"params": own, "share": 1.0},
        {"params": [offsets], "share": recipe.word_offset_learning_rate_share},
    ]
    if body:
        groups.append({"params": body, "share": recipe.encoder_learning_rate / recipe.learning_rate})
    return torch.optim.Adam(groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)
