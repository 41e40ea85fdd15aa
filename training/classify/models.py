"""The classifiers trained by gradient: their models, their tokenizers, and the weights they start from."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import TaskType
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from textvae.modeling_lstm.configuration_lstm import LstmConfig
from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification, vocabulary_digest

from ..common.errors import UserError
from ..common.lora import add_lora
from ..common.recipe import ClassifierName, ClassifierRecipe

LSTM_SIZE = 128  # units a direction, and width of the projected embeddings
LSTM_DROPOUT = 0.3


def prompt(name: ClassifierName, settings: ClassifierRecipe) -> str:
    """What ends every text: a causal LM's last state is what it would say next, and after a question the answer."""
    return f"\n{settings.cue}:" if name == "gpt2_lora" else ""


def build(
    name: ClassifierName, folder: Path, label_names: list[str], dtype: torch.dtype
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """A model to be trained and its tokenizer (right padding, a padding token), from a body's local folder.

    Trainable weights are float32; `gpt2_lora` keeps its frozen body in `dtype`.

    Raises:
        UserError: the folder's weights cannot serve this classifier.
    """
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # a new head is meant to be new
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        labels = {
            "num_labels": len(label_names),
            "id2label": dict(enumerate(label_names)),
            "label2id": {label: index for index, label in enumerate(label_names)},
        }
        build_one = {"lstm": _lstm, "bert": _bert, "gpt2_lora": _gpt2_lora}[name]
        return build_one(folder, tokenizer, labels, dtype), tokenizer
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: cannot load {folder.name}: {str(error).splitlines()[0]}; give --model, or the classifier's "
            "'model' in a recipe, another body"
        ) from error
    finally:
        logging.set_verbosity(verbosity)


def _lstm(folder: Path, tokenizer: PreTrainedTokenizerBase, labels: dict, dtype: torch.dtype) -> nn.Module:
    words = AutoModel.from_pretrained(folder, dtype=torch.float32).get_input_embeddings().weight.detach()
    config = LstmConfig(
        vocab_size=words.size(0),
        embedding_size=words.size(1),
        projection_size=LSTM_SIZE,
        hidden_size=LSTM_SIZE,
        embedding_dropout=LSTM_DROPOUT,
        classifier_dropout=LSTM_DROPOUT,
        frozen_embeddings=True,
        vocabulary_digest=vocabulary_digest(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        **labels,
    )
    model = LstmForSequenceClassification(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(words)
    return model


def _bert(folder: Path, tokenizer: PreTrainedTokenizerBase, labels: dict, dtype: torch.dtype) -> nn.Module:
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **labels)


def _gpt2_lora(folder: Path, tokenizer: PreTrainedTokenizerBase, labels: dict, dtype: torch.dtype) -> nn.Module:
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype, **labels)
    model.config.pad_token_id = tokenizer.pad_token_id
    return add_lora(model, TaskType.SEQ_CLS)
