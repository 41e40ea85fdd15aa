"""What each classifier starts from, and which of its weights learn."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from textvae.training.classify.models import build
from textvae.training.common.errors import UserError

LABELS = ["bad", "fair", "good"]


@pytest.fixture(scope="module")
def causal(tmp_path_factory, tiny_tokenizer):
    """Folders of random causal models; their tokenizer has, as GPT-2's, no padding token."""
    folders = {}
    sizes = {"vocab_size": len(tiny_tokenizer), "bos_token_id": 2, "eos_token_id": 3}
    torch.manual_seed(0)
    models = {
        "gpt2": GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **sizes)),
        "llama": LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=64, **sizes,
            )
        ),
    }  # fmt: skip
    for kind, model in models.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        model.save_pretrained(folders[kind])
        tokenizer = type(tiny_tokenizer).from_pretrained(_saved(tiny_tokenizer, folders[kind]))
        tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
        tokenizer.save_pretrained(folders[kind])
    return folders


def _saved(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    return folder


def test_the_lstm_starts_from_the_bodys_words_and_freezes_them(tiny_encoder):
    model, tokenizer = build("lstm", tiny_encoder, LABELS, torch.float32)
    words = AutoModel.from_pretrained(tiny_encoder).get_input_embeddings().weight
    assert torch.equal(model.get_input_embeddings().weight, words)
    assert model.config.frozen_embeddings
    assert model.config.id2label == dict(enumerate(LABELS))
    batch = tokenizer(["a dull film.", "good"], padding=True, return_tensors="pt")
    assert model(**batch).logits.shape == (2, 3)


def test_bert_is_wholly_trainable(tiny_encoder):
    model, _ = build("bert", tiny_encoder, LABELS, torch.bfloat16)
    assert model.config.label2id == {"bad": 0, "fair": 1, "good": 2}
    assert all(parameter.requires_grad and parameter.dtype is torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_lora_trains_adapters_and_head_alone_without_a_warning(causal, kind, recwarn):
    model, tokenizer = build("gpt2_lora", causal[kind], LABELS, torch.bfloat16)
    assert not [str(w.message) for w in recwarn if "fan_in_fan_out" in str(w.message)]
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "score" in name for name in trained)
    assert any("score" in name for name in trained)
    assert any(("c_attn" if kind == "gpt2" else "q_proj") in name for name in trained)
    assert all(model.get_parameter(name).dtype is torch.float32 for name in trained)
    frozen = {p.dtype for p in model.parameters() if not p.requires_grad}
    assert frozen == {torch.bfloat16}
    assert tokenizer.padding_side == "right"
    assert model.config.pad_token_id == tokenizer.pad_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_right_padding_does_not_change_a_causal_models_logits(causal, kind):
    model, tokenizer = build("gpt2_lora", causal[kind], LABELS, torch.float32)
    model.eval()
    texts = ["a dull film.", "one of the best films of the year!"]
    together = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    alone = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_a_folder_that_is_no_model_is_named(tmp_path):
    folder = tmp_path / "nothing"
    folder.mkdir()
    with pytest.raises(UserError, match=r"bert.*nothing"):
        build("bert", folder, LABELS, torch.float32)
