"""SetFit (Tunstall et al. 2022, https://arxiv.org/abs/2209.11055): the rival that is made for few labelled texts.

The body is fine-tuned on pairs of texts of the same and of different classes, and a logistic regression then reads its
embeddings. The library does all of it; here the number of its steps is bounded and its output kept quiet.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from transformers import ProgressCallback

from ..common.errors import UserError
from ..common.precision import device
from ..common.recipe import ClassifierRecipe
from ..common.sources import LabelledTexts

TEST_BATCH = 32


def fit_predict(
    settings: ClassifierRecipe,
    train: LabelledTexts,
    test: LabelledTexts,
    folder: Path,
    *,
    steps: int,
    seed: int,
    dtype: torch.dtype,
) -> tuple[np.ndarray, float]:
    """(test rows, classes) float32 probabilities, and the seconds of the training.

    Raises:
        UserError: the library is not installed.
    """
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
        from setfit import SetFitModel, Trainer, TrainingArguments
    except ImportError as error:
        raise UserError("setfit: the library is not installed; pip install 'textvae[study]'") from error
    words = Transformer(str(folder), max_seq_length=settings.max_length)
    body = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension())], device=str(device()))
    model = SetFitModel(model_body=body, model_head=LogisticRegression(), labels=train.label_names)
    rows = Dataset.from_dict({"text": train.texts, "label": train.labels})
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            batch_size=settings.batch_size,
            max_steps=steps,
            num_epochs=1,
            body_learning_rate=settings.learning_rate,
            seed=seed,
            use_amp=dtype is torch.bfloat16,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            show_progress_bar=False,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.remove_callback(ProgressCallback)  # it writes to standard output, which is for results
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    found = model.predict_proba(test.texts, batch_size=TEST_BATCH, as_numpy=True)
    probabilities = np.zeros((len(test), len(train.label_names)), dtype=np.float32)
    probabilities[:, model.model_head.classes_] = found
    return probabilities, seconds
