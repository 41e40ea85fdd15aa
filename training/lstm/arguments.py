"""What an LSTM's two trainings, as a language model and as a classifier, tell the Trainer alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from .recipe import LstmRecipe


def training_arguments(
    recipe: LstmRecipe, folder: Path, steps: int, save_steps: int, dtype: torch.dtype, **own: Any
) -> TrainingArguments:
    """`steps` of the recipe's batches at its rate, the last checkpoint in `folder`; `own` is what one training adds."""
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(recipe.warmup_share * steps),
        seed=recipe.seed,
        bf16=dtype is torch.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=save_steps,
        save_total_limit=1,
        restore_callback_states_from_checkpoint=True,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **own,
    )
