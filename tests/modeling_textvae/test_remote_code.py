"""A saved folder works for somebody who has nothing of ours."""

from __future__ import annotations

import json

from processes import stranger

STRANGER = """
import sys
import json, torch
from transformers import AutoModel, AutoTokenizer

folder = sys.argv[1]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
texts = json.loads(sys.argv[2])
batch = tokenizer(texts, padding=True, return_tensors="pt")
noise = torch.zeros(len(texts), model.config.latent_size)
out = model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, noise=noise)
torch.save(out.logits, sys.argv[3])
rows = model.augment(texts, [0, 1] * (len(texts) // 2), tokenizer, target_size=len(texts) + 2,
                     generator=torch.Generator().manual_seed(0))
model.save_pretrained(sys.argv[4])
print(json.dumps({"module": type(model).__module__, "reconstructions": model.reconstruct(texts, tokenizer),
                  "originals": sum(row["method"] == "original" for row in rows)}))
"""


def test_a_saved_folder_loads_and_works_where_the_package_cannot_be_imported(
    tiny_model, tiny_tokenizer, sentences, tmp_path
):
    import torch

    folder = tmp_path / "textvae-tiny"
    tiny_model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    code = {item.name for item in folder.iterdir() if item.suffix == ".py"}
    assert code == {
        "augmentation.py",
        "chunk_prior.py",
        "configuration_textvae.py",
        "decoder.py",
        "generation.py",
        "gru.py",
        "modeling_textvae.py",
        "pooler.py",
        "posterior.py",
        "priors.py",
        "refinement.py",
        "selection.py",
        "sentences.py",
        "text_generation.py",
    }
    assert not any(item.suffix in {".bin", ".pt", ".pkl"} for item in folder.iterdir())
    logits, again = tmp_path / "logits.pt", tmp_path / "again"
    told = json.loads(stranger(STRANGER, tmp_path, folder, json.dumps(sentences), logits, again))
    assert told["module"].startswith("transformers_modules.")
    assert told["originals"] == len(sentences)
    assert told["reconstructions"] == tiny_model.reconstruct(sentences, tiny_tokenizer)
    batch = tiny_tokenizer(sentences, padding=True, return_tensors="pt")
    noise = torch.zeros(len(sentences), tiny_model.config.latent_size)
    out = tiny_model(batch.input_ids, batch.attention_mask, labels=batch.input_ids, noise=noise)
    torch.testing.assert_close(torch.load(logits), out.logits)
    assert {item.name for item in again.iterdir() if item.suffix == ".py"} == code
