"""A VAE that starts as a trained language model, and learns from there what a latent is good for."""

from __future__ import annotations

import torch

from textvae.modeling_textvae.modeling_textvae import TextVAEModel

from ..common.errors import UserError


@torch.no_grad()
def start_as_language_model(model: TextVAEModel, language_model: TextVAEModel) -> None:
    """Copy a language model's decoder into `model`; whatever reads the latent starts at zero.

    Right after it, `model` finds every text as likely as the language model does, whatever the latent.

    Raises:
        UserError: the two have other sizes or another vocabulary.
    """
    source, target = language_model.decoder, model.decoder
    same = source.respelling.equal(target.respelling) and source.gru.hidden_size == target.gru.hidden_size
    if not same or source.embedding.weight.shape != target.embedding.weight.shape:
        raise UserError(
            f"{language_model.name_or_path}: its decoder has another vocabulary or other sizes than the VAE's; "
            "train it with the same 'vae' fields"
        )
    weights = target.state_dict()
    for name, tensor in source.state_dict().items():
        if name == "gru.weight_ih_l0":
            weights[name].zero_()
            weights[name][:, : tensor.shape[1]] = tensor  # further columns read the latent
        else:
            weights[name].copy_(tensor)
    if target.initial is not None:
        target.initial.weight.zero_()
        target.initial.bias.zero_()
    if target.chunks:
        for layer in (target.chunk_value.weight, target.chunk_value.bias, target.value_offsets):
            layer.zero_()
