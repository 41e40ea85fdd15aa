"""Training tokens a CPU second of LangVAE 0.6.13: JSON. Run in an environment of its own, which has no textvae.

python langvae_speed.py TEXTS.json ENCODER DECODER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from langvae import LangVAE
from langvae.data_conversion.tokenization import TokenizedDataSet, collate_sparse_fn
from langvae.decoders import SentenceDecoder
from langvae.encoders import SentenceEncoder
from pythae.models.vae import VAEConfig

LATENT, MAX_TOKENS, BATCH, STEPS = 128, 32, 32, 3


def main() -> None:
    texts, encoder, decoder = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2], sys.argv[3]
    torch.manual_seed(0)
    decoder = SentenceDecoder(decoder, LATENT, MAX_TOKENS)
    encoder = SentenceEncoder(encoder, LATENT, decoder.tokenizer, caching=True)
    model = LangVAE(VAEConfig(latent_dim=LATENT), encoder, decoder)
    model.train()
    rows = TokenizedDataSet(texts[: BATCH * (STEPS + 1)], decoder.tokenizer, MAX_TOKENS)
    optimizer, times, tokens = None, [], []
    for start in range(0, BATCH * (STEPS + 1), BATCH):
        batch = collate_sparse_fn([rows[index : index + 1] for index in range(start, start + BATCH)])
        begun = time.process_time()
        loss = model(batch).loss
        if optimizer is None:  # its layers know their sizes after the first pass
            optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.process_time() - begun)
        ids = decoder.tokenizer(texts[start : start + BATCH], truncation=True, max_length=MAX_TOKENS)["input_ids"]
        tokens.append(sum(map(len, ids)))
    json.dump({"train_tokens_per_cpu_second": sum(tokens[1:]) / sum(times[1:]), "steps": STEPS}, sys.stdout)


if __name__ == "__main__":
    main()
