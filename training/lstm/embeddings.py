"""The word embeddings of a pretrained encoder, as a start for an LSTM's own."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import AutoModel

from ..common.errors import UserError
from ..common.sources import resolve_model


def pretrained_embeddings(model: str, like: Tensor, deviation: float) -> Tensor:
    """The principal components of an encoder's word embeddings, in the shape of a table of the same vocabulary.

    Args:
        model: path or Hub id of the encoder.
        like: (vocab, width) float, an untrained table; what is wider than the encoder's stays as it is there.
        deviation: standard deviation that all components together are brought to.

    Returns:
        (vocab, width), of `like`'s dtype.

    Raises:
        UserError: the encoder cannot be had, or its vocabulary has another size.
    """
    folder, source = resolve_model(model)
    words = AutoModel.from_pretrained(folder).get_input_embeddings().weight.detach().float()
    if len(words) != len(like):
        raise UserError(
            f"{source.id}: has embeddings of {len(words)} tokens, and its tokenizer has {len(like)}; set "
            "'pretrained_embeddings' to false"
        )
    centred = words - words.mean(dim=0)
    # By the covariance: a decomposition of the table itself takes a gigabyte more, for the same axes.
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, : like.size(1)]
    components = centred @ axes
    table = like.detach().clone()
    table[:, : components.size(1)] = (components * (deviation / components.std())).to(table.dtype)
    return table
