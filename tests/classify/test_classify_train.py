"""Training a cell: the same bits for the same seed, and gradients that accumulation leaves alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, TaskType
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DataCollatorWithPadding,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    TrainerCallback,
    TrainingArguments,
)

from textvae.modeling_lstm.configuration_lstm import LstmConfig
from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification
from textvae.training.classify.train import (
    BucketSampler,
    ClassifierTrainer,
    encode,
    predict,
    train_classifier,
)
from textvae.training.common.lora import add_lora
from textvae.training.common.recipe import ClassifierRecipe
from textvae.training.common.sources import LabelledTexts, Source

LABELS = [1, 0, 1, 0, 1, 0, 0, 1]


@pytest.fixture
def data(sentences):
    return LabelledTexts(sentences, LABELS, ["neg", "pos"], Source("test", "path", "test", "0"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_tokenizer):
    """A random body whose states are far enough apart to learn from in a few steps."""
    folder = tmp_path_factory.mktemp("body")
    torch.manual_seed(0)
    config = tiny_bert(len(tiny_tokenizer)).config
    config.initializer_range = 0.3
    BertModel(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return ClassifierRecipe(model=str(folder), max_length=16, batch_size=4, learning_rate=1e-2)


def train(name, recipe, data, **changes):
    options = {"steps": 20, "seed": 3, "dtype": torch.float32}
    return train_classifier(name, recipe, data, data, **(options | changes))


@pytest.mark.parametrize(("name", "rate"), [("lstm", 1e-2), ("bert", 2e-3), ("probe", 0.0)])
def test_the_same_seed_gives_the_same_bits_and_rows_are_learned(name, rate, recipe, data, capsys):
    recipe = dataclasses.replace(recipe, learning_rate=rate)
    first, again = train(name, recipe, data), train(name, recipe, data)
    assert np.array_equal(first.probabilities, again.probabilities)
    assert first.metrics == again.metrics
    assert first.metrics["accuracy"] >= 0.75
    assert first.probabilities.shape == (8, 2)
    assert first.probabilities.dtype == np.float32
    np.testing.assert_allclose(first.probabilities.sum(1), 1, atol=1e-5)
    assert first.steps == (0 if name == "probe" else 20)
    assert 0 < first.train_seconds <= first.seconds
    assert capsys.readouterr().out == ""
    if name != "probe":
        assert not np.array_equal(first.probabilities, train(name, recipe, data, seed=4).probabilities)


def test_bfloat16_agrees_with_float32(recipe, data):
    full, half = (train("lstm", recipe, data, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert not np.array_equal(full.probabilities, half.probabilities)
    np.testing.assert_allclose(full.probabilities, half.probabilities, atol=0.1)


def test_probe_features_are_kept_where_asked(recipe, data, tmp_path):
    train("probe", recipe, data, features=tmp_path)
    assert (tmp_path / "features.sqlite").stat().st_size > 0


def test_a_saved_lstm_predicts_the_same(recipe, data, tmp_path):
    outcome = train("lstm", recipe, data, output=tmp_path / "lstm")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "lstm", trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lstm", trust_remote_code=True)
    batch = tokenizer(data.texts, truncation=True, max_length=16, padding=True, return_tensors="pt")
    with torch.no_grad():
        probabilities = model(**batch).logits.softmax(-1)
    np.testing.assert_allclose(probabilities.numpy(), outcome.probabilities, atol=1e-5)
    model.check_tokenizer(tokenizer)
    tokenizer.add_tokens(["another"])
    with pytest.raises(ValueError, match="another vocabulary"):
        model.check_tokenizer(tokenizer)
    assert model.config.id2label == {0: "neg", 1: "pos"}


def test_saved_adapters_name_their_body_and_predict_the_same(tiny_tokenizer, data, tmp_path):
    body = tmp_path / "body"
    torch.manual_seed(0)
    GPT2LMHeadModel(tiny_gpt2(len(tiny_tokenizer))).save_pretrained(body)
    tiny_tokenizer.save_pretrained(body)
    recipe = ClassifierRecipe(model=str(body), max_length=32, batch_size=4, learning_rate=1e-2, cue="Sentiment")
    outcome = train("gpt2_lora", recipe, data, output=tmp_path / "lora")
    model = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "lora", num_labels=2)
    assert model.active_peft_config.base_model_name_or_path == str(body)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lora")
    model.config.pad_token_id = model.get_base_model().config.pad_token_id = tokenizer.pad_token_id
    rows = encode(data, tokenizer, 32, "\nSentiment:")
    batch = DataCollatorWithPadding(tokenizer)([{k: row[k] for k in ("input_ids", "attention_mask")} for row in rows])
    with torch.no_grad():
        probabilities = model.eval()(**batch).logits.softmax(-1)
    np.testing.assert_allclose(probabilities.numpy(), outcome.probabilities, atol=1e-5)


def test_a_body_of_few_positions_reads_as_many_tokens(recipe, data):
    long = LabelledTexts(["film " * 900] * 4, [0, 1, 0, 1], data.label_names, data.source)
    outcome = train("bert", dataclasses.replace(recipe, max_length=800), long, steps=1)
    assert outcome.probabilities.shape == (4, 2)


def test_long_texts_are_cut_and_the_suffix_survives(tiny_tokenizer, data):
    rows = encode(data, tiny_tokenizer, 9, " best film")
    ending = tiny_tokenizer(" best film", add_special_tokens=False)["input_ids"]
    assert len(ending) == 2
    assert max(len(row["input_ids"]) for row in rows) == 9
    assert all(row["input_ids"][-2:] == ending for row in rows)
    assert all(len(row["attention_mask"]) == len(row["input_ids"]) for row in rows)
    assert [row["labels"] for row in rows] == LABELS


def test_predictions_stand_in_the_order_of_the_rows(tiny_tokenizer, tiny_encoder, data, tmp_path):
    model = tiny_bert(len(tiny_tokenizer)).eval()
    trainer = ClassifierTrainer(
        model, arguments(tmp_path, batch=3), data_collator=DataCollatorWithPadding(tiny_tokenizer)
    )
    rows = encode(data, tiny_tokenizer, 32)
    alone = [model(torch.tensor([row["input_ids"]])).logits.softmax(-1)[0].tolist() for row in rows]
    np.testing.assert_allclose(predict(trainer, rows), alone, atol=1e-5)


@pytest.mark.parametrize(("rows", "batch", "steps"), [(100, 16, 23), (3, 8, 5), (40, 40, 1)])
def test_batches_are_full_even_in_use_and_of_like_length(rows, batch, steps):
    lengths = [1 + (index * 37) % 101 for index in range(rows)]
    order = list(BucketSampler(lengths, batch, steps, seed=1))
    assert len(order) == batch * steps
    assert order == list(BucketSampler(lengths, batch, steps, seed=1))
    assert steps == 1 or order != list(BucketSampler(lengths, batch, steps, seed=2))
    counts = np.bincount(order, minlength=rows)
    assert counts.max() - counts.min() <= 1
    if steps > 8:
        spread = np.mean([np.ptp([lengths[i] for i in order[b : b + batch]]) for b in range(0, len(order), batch)])
        assert spread < 0.4 * np.ptp(lengths)


def tiny_bert(words):
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=words, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=48, max_position_embeddings=64, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip


def tiny_gpt2(words):
    return GPT2Config(
        vocab_size=words, n_embd=32, n_layer=2, n_head=2, n_positions=64, pad_token_id=0, eos_token_id=3,
        bos_token_id=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip


def tiny_gpt2_lora(words):
    torch.manual_seed(0)
    model = add_lora(GPT2ForSequenceClassification(tiny_gpt2(words)), TaskType.SEQ_CLS)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def tiny_lstm(words):
    torch.manual_seed(0)
    return LstmForSequenceClassification(LstmConfig(vocab_size=words, embedding_size=16, hidden_size=8))


def arguments(folder, batch=8, accumulation=1):
    return TrainingArguments(
        output_dir=folder, max_steps=1, per_device_train_batch_size=batch, per_device_eval_batch_size=batch,
        gradient_accumulation_steps=accumulation, learning_rate=0.0, use_cpu=True, report_to="none",
        save_strategy="no", logging_steps=1, disable_tqdm=True, seed=0,
    )  # fmt: skip


class GradientNorm(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if "grad_norm" in logs:
            self.norm, self.loss = logs["grad_norm"], float(logs["loss"])


@pytest.mark.parametrize("build", [tiny_lstm, tiny_bert, tiny_gpt2_lora])
def test_four_micro_batches_give_the_gradient_of_one_batch(build, tiny_tokenizer, data, tmp_path):
    seen = []
    for batch, accumulation in ((8, 1), (2, 4)):
        norm = GradientNorm()
        ClassifierTrainer(
            build(len(tiny_tokenizer)),
            arguments(tmp_path, batch, accumulation),
            train_dataset=encode(data, tiny_tokenizer, 32),
            data_collator=DataCollatorWithPadding(tiny_tokenizer),
            callbacks=[norm],
        ).train()
        seen.append((float(norm.norm), norm.loss))
    assert seen[0][0] > 0
    assert seen[0] == pytest.approx(seen[1], rel=1e-3)
