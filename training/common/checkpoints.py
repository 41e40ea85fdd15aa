"""What trainings through Accelerate share: the processes that work together, and checkpoints that are whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from .errors import UserError
from .files import atomic_folder, read_json, read_jsonl, write_json, write_text

FINGERPRINT = "fingerprint"  # in a checkpoint's own file: of all that its training's weights follow from


def new_accelerator(dtype: torch.dtype, num_processes: int) -> Accelerator:
    """Accelerate in a precision, on the GPU or else the processor, of the processes that were launched.

    Raises:
        UserError: these are not as many as the recipe says.
    """
    AcceleratorState._reset_state()  # an earlier training in this process may have had another precision
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="bf16" if dtype == torch.bfloat16 else "no"
    )
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if not launched == accelerator.num_processes == num_processes:
        raise UserError(
            f"num_processes: the recipe says {num_processes}, {launched} were launched and "
            f"{accelerator.num_processes} work together; change the recipe, or launch as many with torchrun "
            "--nproc_per_node (on a CPU, accelerate launch starts only one)"
        )
    return accelerator


def save_checkpoint(accelerator: Accelerator, checkpoints: Path, step: int, fingerprint: str) -> None:
    """Write the folder `step-NNNNNN` under a temporary name, rename it, and drop those before it."""
    place, temporary = checkpoints / f"step-{step:06d}", checkpoints / f".step-{step:06d}"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    accelerator.wait_for_everyone()
    # Not as safetensors: on a GPU a GRU keeps its weights in one storage, of which those would lose all but one.
    accelerator.save_state(str(temporary), safe_serialization=False)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with atomic_folder(place) as whole:
            for item in temporary.iterdir():
                item.rename(whole / item.name)
            write_json(whole / "checkpoint.json", {FINGERPRINT: fingerprint, "step": step})
        for old in (temporary, *_by_step(checkpoints)[:-1]):
            shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def load_newest(accelerator: Accelerator, checkpoints: Path, fingerprint: str) -> Path | None:
    """Go on from the newest checkpoint and return it; None where there is none.

    Raises:
        UserError: it is truncated, or of another training: hours of work are not thrown away for a mistyped recipe.
    """
    found = _by_step(checkpoints)
    if not found:
        return None
    place = found[-1]
    if read_json(place / "checkpoint.json").get(FINGERPRINT) != fingerprint:
        raise UserError(
            f"{place}: was made by another recipe, of other data or by another number of processes; "
            f"delete {checkpoints} to train anew, or choose another --output"
        )
    try:
        accelerator.load_state(str(place))
    except Exception as error:  # torch's readers raise whatever they like
        raise UserError(f"{place}: cannot be read, it is truncated or damaged; delete it and run again") from error
    return place


def _by_step(checkpoints: Path) -> list[Path]:
    return sorted(checkpoints.glob("step-*"), key=lambda place: int(place.name.removeprefix("step-")))


def cut_metrics(path: Path, step: int) -> None:
    """Leave the rows up to a step in a `metrics.jsonl`: those after a checkpoint are written again."""
    rows = (row for row in read_jsonl(path) if row["step"] <= step)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))
