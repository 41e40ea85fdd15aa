"""The Trainer's checkpoints of an LSTM: which is the last, and whether it was the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ..common.files import write_text


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; what a killed process left of a newer one is removed.

    It names the best one by its path, which is mended: the run's folder may have been moved.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.partition("-")[2])):
        try:
            state = json.loads((checkpoint / "trainer_state.json").read_bytes())  # the last file that is written
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
        else:
            if best := state.get("best_model_checkpoint"):
                state["best_model_checkpoint"] = str(folder / Path(best).name)
                write_text(checkpoint / "trainer_state.json", json.dumps(state, indent=2))
            return checkpoint
    return None


def stopped_early(checkpoint: Path, patience: int) -> bool:
    """Whether the training ended with this checkpoint, as its validation loss had not fallen for `patience` of them."""
    callbacks = json.loads((checkpoint / "trainer_state.json").read_bytes())["stateful_callbacks"]
    return callbacks["EarlyStoppingCallback"]["attributes"]["early_stopping_patience_counter"] >= patience
