"""Which layout a run folder has."""

from __future__ import annotations

from pathlib import Path

from .digits_repos import DigitsRepos
from .emotion_repos import EmotionRepos
from .layout import Layout, read_run
from .lstm_repos import LstmRepos
from .study_repos import StudyRepos

SYSTEMS: dict[str, type[Layout]] = {
    "study": StudyRepos,
    "lstm": LstmRepos,
    "digits": DigitsRepos,
    "emotion": EmotionRepos,
}


def layout_of(run: Path, namespace: str, staging: Path, model_name: str | None = None) -> Layout:
    """The layout of a run folder, by the system that its `run.json` names.

    Raises:
        UserError: the folder is no run's.
    """
    return SYSTEMS[read_run(run)["system"]](run, namespace, staging, model_name)
