"""Generators whose work `accelerate launch` shares out: two processes write the rows of one."""

from __future__ import annotations

import json

import torch
from processes import launched, python
from transformers import BertConfig, BertForMaskedLM

SCRIPT = """
import json, sys
import torch
from transformers import AutoTokenizer
from textvae.modeling_textvae.generation import DECODE_BATCH
from textvae.modeling_textvae.modeling_textvae import TextVAEModel
from textvae.training.augment.generators import language_model, masked_lm
from textvae.training.common.shards import _state, is_main
from textvae.training.common.sources import LabelledTexts, Source
from textvae.training.study.banks import sample_prior

causal, masked, vae = sys.argv[1:]
budget = LabelledTexts(
    ["A moving film. The cast is good.", "A dull film.", "I loved the story.", "The story is bad. It is dull."],
    [1, 0, 1, 0], ["neg", "pos"], Source("mine.csv", "path", "mine.csv", "sha256:0"),
)
tokenizer = AutoTokenizer.from_pretrained(causal)
ends = torch.zeros(len(tokenizer), dtype=torch.bool)
ends[tokenizer("is", add_special_tokens=False)["input_ids"][0]] = True  # a tokenizer of words knows no line breaks
language_model._Writer._line_ends = lambda self: ends

written = []  # by this process
original = language_model._Writer.write
language_model._Writer.write = lambda self, *given: written.append(1) or original(self, *given)
generator = language_model.LanguageModel(causal, sentences=6 * language_model.BLOCK, steps=2, top_p=0.95, max_tokens=20)
rows = generator.propose(budget, 40, seed=0)
rows += masked_lm.MaskedLanguageModel(masked, 0.3).propose(budget, 2 * masked_lm.BLOCK + 5, seed=0)
model = TextVAEModel.from_pretrained(vae).eval()
texts = sample_prior(model, AutoTokenizer.from_pretrained(vae), DECODE_BATCH + 20, 0.9, seed=0)
if is_main():
    print(json.dumps({"rows": rows, "texts": texts, "processes": _state().num_processes, "written": len(written)}))
_state().destroy_process_group()  # a process that ends while another still talks to it is aborted at times
"""


def test_two_launched_processes_write_what_one_writes(tmp_path, tiny_causal, tiny_tokenizer, tiny_model):
    config = BertConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(tmp_path / "masked")
    tiny_model.save_pretrained(tmp_path / "vae")
    for name in ("masked", "vae"):
        tiny_tokenizer.save_pretrained(tmp_path / name)
    script = tmp_path / "generate.py"
    script.write_text(SCRIPT, encoding="utf-8")
    found = []
    arguments = [script, tiny_causal[1], tmp_path / "masked", tmp_path / "vae"]
    for done in (python(arguments, tmp_path), launched(2, arguments, tmp_path)):
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads(done.stdout.splitlines()[-1]))
    one, two = found
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["written"] == one["written"] / 2
    assert len(one["texts"]) > 0
    assert one["rows"] == two["rows"]
    assert one["texts"] == two["texts"]
