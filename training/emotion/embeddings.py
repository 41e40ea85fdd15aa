"""Sentence embeddings, computed once: one file a frozen encoder, in which a text is found by its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel

from ..common.errors import UserError
from ..common.files import atomic_path, fingerprint
from ..common.progress import bar
from ..common.registry import cache_folder

SAVE_EVERY = 2048  # texts
DIGEST_BYTES = 16  # of a text's sha256


def embeddings_of(model: EmotionVAEModel, tokenizer: Any, texts: list[str], revision: str) -> torch.Tensor:
    """(N, D) float32 embeddings of texts by the model's untrained encoder; those that are cached are not computed.

    Args:
        revision: of the encoder and its tokenizer.

    Raises:
        UserError: the cache's file is damaged, or of another encoder.
    """
    config = model.config
    about = {
        "encoder": config.encoder,
        "revision": revision,
        "encoder_layers": " ".join(map(str, config.encoder_layers)),
        "max_text_length": str(config.max_text_length),
    }
    path = cache_folder() / "embeddings" / f"{fingerprint(about)}.safetensors"
    known, found = _read(path, about, config.embedding_size)
    digests = [hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES] for text in texts]
    missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
    # Of like length together, so that little is padded.
    left = sorted(missing, key=lambda digest: len(missing[digest]))
    with bar(total=len(left), label="embeddings", unit="text") as progress:
        for start in range(0, len(left), SAVE_EVERY):
            part = left[start : start + SAVE_EVERY]
            found = torch.cat([found, model.embed_texts([missing[digest] for digest in part], tokenizer)])
            known |= {digest: len(known) + place for place, digest in enumerate(part)}
            _write(path, about, list(known), found)
            progress.update(len(part))
    return found[[known[digest] for digest in digests]]


def _read(path: Path, about: dict[str, str], size: int) -> tuple[dict[bytes, int], torch.Tensor]:
    if not path.exists():
        return {}, torch.empty(0, size)
    try:
        with safe_open(path, framework="pt") as file:
            metadata, digests = file.metadata(), file.get_tensor("digests").numpy()
            embeddings = file.get_tensor("embeddings")
    except Exception as error:  # of safetensors, which has one of its own for everything
        raise UserError(f"{path}: is damaged; delete it, and the embeddings are computed again") from error
    if metadata != about or embeddings.shape[1] != size:
        raise UserError(
            f"{path}: holds embeddings of another encoder ({(metadata or {}).get('encoder')}, asked for is "
            f"{about['encoder']}); delete it, and they are computed again"
        )
    return {row.tobytes(): place for place, row in enumerate(digests)}, embeddings


def _write(path: Path, about: dict[str, str], digests: list[bytes], embeddings: torch.Tensor) -> None:
    table = torch.from_numpy(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES).copy())
    with atomic_path(path) as temporary:
        save_file({"digests": table, "embeddings": embeddings}, temporary, metadata=about)
