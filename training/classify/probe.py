"""The probe: logistic regression on a frozen encoder's features, what a sensible person would try first."""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from ..common.errors import UserError
from ..common.files import fingerprint
from ..common.precision import autocast, device

# scikit-learn's C, chosen on development rows; fixed, as folds of a search would share copies of a row.
INVERSE_PENALTY = 10.0
LENGTH_STEP, BATCH_TOKENS = 8, 512  # of a batch: 2 to 5 times as fast as text by text
MAX_ROWS = 100_000  # vectors a cache keeps, the newest; 150 MB at 384 dimensions


class FeatureCache:
    """Features of texts under one frozen body, kept in a file that processes may use at the same time.

    A text's features depend on nothing else: its own length says to which length it is padded, and that how many
    rows its batch has, whatever they hold. Several processes that ask for the same texts share the work.
    Features are the L2-normalised mean of the last hidden states.

    Args:
        folder: where `features.sqlite` stands; made if need be.
        model_folder: a body that AutoModel and AutoTokenizer load.
        max_length: tokens of a text that are read.
        dtype: precision of the body.
    """

    def __init__(self, folder: Path, model_folder: Path, max_length: int, dtype: torch.dtype):
        self._file, self._model_folder = Path(folder) / "features.sqlite", Path(model_folder)
        self._max_length, self._dtype = max_length, dtype
        weights = sorted(self._model_folder.glob("*.safetensors")) or [self._model_folder / "config.json"]
        self._space = fingerprint(*weights, max_length, str(dtype), LENGTH_STEP, BATCH_TOKENS)

    def features(self, texts: list[str]) -> np.ndarray:
        """(len(texts), hidden) float32, in the order of the texts.

        Raises:
            UserError: the cache file cannot be read or written.
        """
        keys = [hashlib.sha256(f"{self._space}\n{text}".encode()).hexdigest() for text in texts]
        with self._open() as database:
            known = {key: vector for key in dict.fromkeys(keys) if (vector := _read(database, key)) is not None}
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            if missing:
                known |= self._encode(missing, database)
        return np.stack([known[key] for key in keys])

    def _encode(self, missing: dict[str, str], database: sqlite3.Connection) -> dict[str, np.ndarray]:
        logging.disable_progress_bar()
        tokenizer = AutoTokenizer.from_pretrained(self._model_folder)
        body = AutoModel.from_pretrained(self._model_folder, dtype=torch.float32).to(device()).eval()
        pad = tokenizer.pad_token_id or 0
        ids = tokenizer(list(missing.values()), truncation=True, max_length=self._max_length)["input_ids"]
        ids = [row or [pad] for row in ids]  # the mean of nothing does not exist
        waiting: dict[int, list[tuple[str, list[int]]]] = {}  # padded length → keys and token ids
        for pair in zip(missing, ids, strict=True):
            length = min(math.ceil(len(pair[1]) / LENGTH_STEP) * LENGTH_STEP, self._max_length)
            waiting.setdefault(length, []).append(pair)
        shuffle = random.SystemRandom().shuffle  # two processes start at different texts and meet half-way
        lengths = list(waiting)
        shuffle(lengths)
        known: dict[str, np.ndarray] = {}
        for length in lengths:
            shuffle(pairs := waiting[length])
            while pairs:
                batch: dict[str, list[int]] = {}
                while pairs and len(batch) < max(1, BATCH_TOKENS // length):
                    key, tokens = pairs.pop()
                    if (vector := _read(database, key)) is None:
                        batch[key] = tokens
                    else:
                        known[key] = vector
                if batch:
                    vectors = self._encode_batch(list(batch.values()), length, pad, body)
                    rows = [(key, vector.tobytes()) for key, vector in zip(batch, vectors, strict=True)]
                    database.execute("BEGIN IMMEDIATE")
                    database.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)
                    database.execute("COMMIT")
                    known |= dict(zip(batch, vectors, strict=True))
        database.execute(
            "DELETE FROM features WHERE rowid <= (SELECT rowid FROM features ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
            (MAX_ROWS,),
        )
        return known

    @torch.inference_mode()
    def _encode_batch(self, batch: list[list[int]], length: int, pad: int, body: Any) -> np.ndarray:
        """(len(batch), hidden) features, from a batch that has as many rows as every one of that length."""
        full = batch + batch[-1:] * (max(1, BATCH_TOKENS // length) - len(batch))
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in full], device=device())
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in full], device=device())
        with autocast(self._dtype, device()):
            states = body(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        means = (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return torch.nn.functional.normalize(means, dim=1).cpu().numpy()[: len(batch)]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._file, timeout=60, isolation_level=None)
            try:
                database.execute("CREATE TABLE IF NOT EXISTS features (key TEXT UNIQUE, vector BLOB)")
                yield database
            finally:
                database.close()
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{self._file}: {error}; delete the file, or choose another folder") from error


def _read(database: sqlite3.Connection, key: str) -> np.ndarray | None:
    row = database.execute("SELECT vector FROM features WHERE key = ?", (key,)).fetchone()
    return None if row is None else np.frombuffer(row[0], dtype=np.float32)


def fit_predict(
    train_features: np.ndarray,
    train_labels: list[int],
    test_features: np.ndarray,
    num_labels: int,
    mass: np.ndarray | None = None,
    counted: int | None = None,
) -> np.ndarray:
    """(test rows, num_labels) float32 probabilities of an L2-penalised multinomial logistic regression.

    A class without training rows gets probability 0. With `mass`, (training rows, num_labels), a row counts so much
    for each class instead of once for its label. All rows together count as `counted` rows against the penalty (all
    that there are): rows that are repeated, or made from others, are not as much evidence as so many real ones.
    """
    weight = len(train_labels) if mass is None else float(mass.sum())
    regression = LogisticRegression(C=INVERSE_PENALTY * (counted or weight) / weight, max_iter=1000)
    if mass is None:
        regression.fit(train_features.astype(np.float64), train_labels)
    else:
        rows, classes = np.nonzero(mass)
        regression.fit(train_features[rows].astype(np.float64), classes, sample_weight=mass[rows, classes])
    probabilities = np.zeros((len(test_features), num_labels), dtype=np.float32)
    probabilities[:, regression.classes_] = regression.predict_proba(test_features.astype(np.float64))
    return probabilities
