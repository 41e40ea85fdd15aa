"""LoRA adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685) on a causal language model's body."""

from __future__ import annotations

import warnings
from typing import Any

from peft import LoraConfig, TaskType, get_peft_model
from torch import nn

RANK = 16


def add_lora(model: nn.Module, task: TaskType) -> Any:
    """The model with adapters, and what else the task trains, in float32 on a frozen body of whatever type.

    peft knows by the model type which attention projections to adapt.
    """
    lora = LoraConfig(
        task_type=task,
        r=RANK,
        lora_alpha=2 * RANK,
        fan_in_fan_out=model.config.model_type == "gpt2",  # its layers are Conv1D
    )
    with warnings.catch_warnings():
        # peft asks for a property that transformers has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = get_peft_model(model, lora)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted
