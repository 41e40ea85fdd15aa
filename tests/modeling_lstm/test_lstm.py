"""The LSTM classifier: what padding may not change, what survives a reload."""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from processes import stranger
from transformers import AutoTokenizer

from textvae.modeling_lstm.configuration_lstm import LstmConfig
from textvae.modeling_lstm.modeling_lstm import (
    LstmForSequenceClassification,
    SelfAttention,
    bigram_rows,
    vocabulary_digest,
)

ROWS = [[5, 9, 3, 7, 11, 2], [4, 8], [6], [12, 3, 3, 9]]


def build(**changes) -> LstmForSequenceClassification:
    torch.manual_seed(0)
    settings = {
        "vocab_size": 20,
        "embedding_size": 6,
        "hidden_size": 5,
        "num_hidden_layers": 2,
        "num_labels": 3,
    }
    model = LstmForSequenceClassification(LstmConfig(**(settings | changes)))
    with torch.no_grad():  # the standard start is too near zero to tell rows apart
        for parameter in model.parameters():
            parameter.uniform_(-0.8, 0.8)
    return model.eval()


def padded(rows, width, side="right", pad=0):
    ids, mask = [], []
    for row in rows:
        fill = width - len(row)
        ids.append(row + [pad] * fill if side == "right" else [pad] * fill + row)
        mask.append([1] * len(row) + [0] * fill if side == "right" else [0] * fill + [1] * len(row))
    return torch.tensor(ids), torch.tensor(mask)


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"bidirectional": False},
        {"bigram_buckets": 7, "bigram_size": 3, "num_attention_heads": 2, "bag_of_embeddings": True},
    ],
)
def test_padding_does_not_change_logits(pooling, more):
    model = build(pooling=pooling, **more)
    alone = torch.cat([model(torch.tensor([row])).logits for row in ROWS])
    assert alone.std(dim=0).min() > 1e-3  # the rows do differ
    for width, side, pad in itertools.product((6, 11), ("right", "left"), (0, 13)):
        logits = model(*padded(ROWS, width, side, pad)).logits
        torch.testing.assert_close(logits, alone, atol=1e-6, rtol=1e-5)


def test_a_layer_equals_torchs_packed_bidirectional_lstm():
    model = build(num_hidden_layers=1, pooling="mean")
    layer = model.layers[0]
    reference = torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    weights = dict(layer.forward_lstm.state_dict())
    weights |= {f"{name}_reverse": value for name, value in layer.backward_lstm.state_dict().items()}
    reference.load_state_dict(weights)
    ids, mask = padded(ROWS, 6)
    lengths = mask.sum(1)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        model.embedding(ids), lengths, batch_first=True, enforce_sorted=False
    )
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    expected = model.classifier(states.sum(1) / lengths[:, None])
    torch.testing.assert_close(model(ids, mask).logits, expected, atol=1e-6, rtol=1e-5)


def test_a_bag_of_embeddings_is_their_sum_over_the_root_of_their_number():
    model = build(bag_of_embeddings=True)
    with torch.no_grad():
        model.classifier.weight[:, :10] = 0  # the pooled states
    ids = torch.tensor([[5, 9, 3, 7]])
    bag = model.embedding(ids).sum(1) / 2
    torch.testing.assert_close(model(ids).logits, bag @ model.classifier.weight[:, 10:].T + model.classifier.bias)


def test_self_attention_equals_torchs():
    layer = SelfAttention(width=8, heads=2)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": layer.query_key_value.weight,
            "in_proj_bias": layer.query_key_value.bias,
            "out_proj.weight": layer.output.weight,
            "out_proj.bias": layer.output.bias,
        }
    )
    states, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    expected = layer.norm(states + reference(states, states, states, key_padding_mask=~mask)[0])
    torch.testing.assert_close(layer(states, mask), expected)


def test_pairs_of_tokens_are_told_apart_and_spread_evenly():
    every = torch.cartesian_prod(torch.arange(1000, 1400), torch.arange(1000, 1400))
    buckets = 1 << 16
    used = bigram_rows(every, buckets)[:, 1].bincount(minlength=buckets)
    by_chance = math.exp(-len(every) / buckets)
    assert (used == 0).double().mean() < by_chance + 0.02
    one, other = bigram_rows(torch.tensor([[5, 9, 3], [9, 5, 3]]), buckets)
    assert one[1] != other[1]
    assert one[2] != other[2]


def test_pairs_reach_the_logits():
    model = build(bigram_buckets=50, bigram_size=3, num_hidden_layers=1)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.ones_like(model.embedding.weight))
    assert not torch.allclose(model(torch.tensor([[4, 5]])).logits, model(torch.tensor([[5, 4]])).logits, atol=1e-4)


def test_word_dropout_reads_training_tokens_as_nothing():
    model = build(word_dropout=0.5)
    ids = torch.full((1, 400), 7)
    seen = []
    model.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(ids)
    model.train()(ids)
    assert torch.equal(seen[0], ids)
    assert set(seen[1].unique().tolist()) == {0, 7}
    assert (seen[1] == 0).float().mean() == pytest.approx(0.5, abs=0.1)


def test_variational_dropout_drops_the_same_units_at_all_positions():
    model = build(embedding_dropout=0.5, embedding_size=60, variational_dropout=True).train()
    dropped = model._dropout(torch.ones(3, 4, 60), 0.5)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert not torch.equal(dropped[0], dropped[1])
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_gradients_do_not_see_padding():
    gradients = []
    for width in (6, 9):
        model = build(bigram_buckets=7, bigram_size=3)
        model(*padded(ROWS, width), labels=torch.tensor([0, 1, 2, 1])).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for narrow, wide in zip(*gradients, strict=True):
        torch.testing.assert_close(narrow, wide, atol=1e-6, rtol=1e-4)


def test_an_empty_row_is_finite():
    ids, mask = padded([[3, 4], []], 4)
    assert torch.isfinite(build(pooling="max")(ids, mask).logits).all()


def test_without_a_mask_padding_tokens_are_padding():
    model = build()
    ids, mask = padded(ROWS, 8)
    assert torch.equal(model(ids).logits, model(ids, mask).logits)


def test_loss_is_the_mean_cross_entropy():
    model = build()
    ids, mask = padded(ROWS, 6)
    labels = torch.tensor([0, 1, 2, 1])
    output = model(ids, mask, labels=labels)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))


@pytest.mark.parametrize("targets", [["query_key_value"], ["embedding"], ["embedding_projection", "output"]])
def test_lora_for_classification_trains_a_step(targets):
    model = build(num_attention_heads=2, projection_size=4, bigram_buckets=7, bigram_size=3)
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=targets))
    before = {name: weight.clone() for name, weight in adapted.named_parameters()}
    optimizer = torch.optim.AdamW([weight for weight in adapted.parameters() if weight.requires_grad], lr=0.1)
    ids, mask = padded(ROWS, 6)
    adapted(input_ids=ids, attention_mask=mask, labels=torch.tensor([0, 1, 2, 1])).loss.backward()
    optimizer.step()
    moved = {name for name, weight in adapted.named_parameters() if not torch.equal(weight, before[name])}
    assert any("lora_" in name and targets[0] in name for name in moved)
    assert any("classifier.modules_to_save" in name for name in moved)
    assert all("lora_" in name or "modules_to_save" in name for name in moved)


def test_embeddings_in_place_of_ids_are_refused():
    with pytest.raises(ValueError, match="give input_ids, not inputs_embeds"):
        build()(inputs_embeds=torch.zeros(1, 3, 6))


def test_a_label_outside_the_classes_is_named():
    with pytest.raises(ValueError, match=r"0 … 2.*3"):
        build()(torch.tensor([[1, 2]]), labels=torch.tensor([3]))


def test_a_token_of_another_vocabulary_is_named():
    with pytest.raises(ValueError, match=r"vocab_size 20.*1 … 31.*another vocabulary"):
        build()(torch.tensor([[1, 31]]))


def test_a_tokenizer_of_another_vocabulary_is_named(tiny_tokenizer, tmp_path):
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    again, other = (AutoTokenizer.from_pretrained(tmp_path / "tokenizer") for _ in range(2))
    other.add_tokens(["tricky"])
    build(vocabulary_digest=vocabulary_digest(tiny_tokenizer)).save_pretrained(tmp_path / "lstm")
    model = LstmForSequenceClassification.from_pretrained(tmp_path / "lstm")
    model.check_tokenizer(again)
    with pytest.raises(ValueError, match=r"another vocabulary \(\w{16}\) than the model \(\w{16}\); use the one saved"):
        model.check_tokenizer(other)
    build().check_tokenizer(other)  # a model that does not know its own


def test_vocabularies_of_one_size_are_told_apart():
    one, same, swapped, another = (
        vocabulary_digest(SimpleNamespace(get_vocab=lambda tokens=tokens: tokens))
        for tokens in ({"a": 0, "é": 1}, {"é": 1, "a": 0}, {"a": 1, "é": 0}, {"a": 0, "e": 1})
    )
    assert one == same
    assert len({one, swapped, another}) == 3


def test_a_gpus_autocast_leaves_the_lstm_alone(monkeypatch):
    """Where there is a GPU it would take it to float16; here its switch is seen to be off, and inputs whole."""
    model, seen = build(num_hidden_layers=1), []
    read = torch.nn.LSTM.forward

    def spy(self, input, hx=None):
        seen.append((input.dtype, torch.is_autocast_enabled("cuda")))
        return read(self, input, hx)

    monkeypatch.setattr(torch.nn.LSTM, "forward", spy)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    with torch.autocast("cuda", dtype=torch.float16):
        assert torch.is_autocast_enabled("cuda")
        model.layers[0].forward_lstm(torch.randn(2, 3, 6).bfloat16())
    assert seen == [(torch.float32, False)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pooling": "median"},
        {"hidden_size": 0},
        {"projection_size": 0},
        {"bigram_buckets": -1},
        {"num_attention_heads": 3},
    ],
)
def test_an_impossible_configuration_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LstmConfig(**wrong)


def test_frozen_embeddings_stay_frozen_after_a_reload(tmp_path):
    # from_pretrained gives every parameter requires_grad=True, whatever the constructor did.
    build(frozen_embeddings=True, projection_size=4).save_pretrained(tmp_path)
    model = LstmForSequenceClassification.from_pretrained(tmp_path).train()
    before = model.embedding.weight.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([1])).loss.backward()
        optimizer.step()
    assert torch.equal(model.embedding.weight, before)
    assert model.embedding_projection.weight.grad.abs().sum() > 0


def test_reload_is_exact_and_missing_weights_are_initialised(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    ids, mask = padded(ROWS, 6)
    again = LstmForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(again(ids, mask).logits, model(ids, mask).logits)

    state = {name: value for name, value in model.state_dict().items() if "_lstm." not in name}
    model.save_pretrained(tmp_path, state_dict=state)
    fresh = LstmForSequenceClassification.from_pretrained(tmp_path)
    assert all(torch.isfinite(parameter).all() and parameter.abs().max() < 2 for parameter in fresh.parameters())


def test_a_hub_user_without_this_package_gets_the_same_logits(tmp_path, tiny_tokenizer):
    model = build(
        id2label={0: "bad", 1: "fair", 2: "good"}, projection_size=4, bigram_buckets=9, num_attention_heads=2,
        vocabulary_digest=vocabulary_digest(tiny_tokenizer),
    )  # fmt: skip
    folder = tmp_path / "lstm"
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    assert sorted(path.name for path in folder.glob("*.py")) == ["configuration_lstm.py", "modeling_lstm.py"]
    script = f"""
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained({str(folder)!r}, trust_remote_code=True)
assert not any(name.startswith("textvae") for name in sys.modules)
assert model.config.id2label[2] == "good" and not model.training
model.check_tokenizer(AutoTokenizer.from_pretrained({str(folder)!r}, trust_remote_code=True))
print(model(torch.tensor([[5, 9, 3, 0], [4, 8, 6, 2]])).logits.tolist())
"""
    told = stranger(script, tmp_path)
    expected = model(torch.tensor([[5, 9, 3, 0], [4, 8, 6, 2]])).logits
    torch.testing.assert_close(torch.tensor(json.loads(told)), expected, atol=1e-6, rtol=1e-6)
