"""An LSTM's training as a language model in both directions, before it reads a label."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, DataCollatorWithPadding

from textvae.modeling_lstm.configuration_lstm import LstmConfig
from textvae.modeling_lstm.modeling_lstm import LstmForSequenceClassification
from textvae.training.common.errors import UserError
from textvae.training.lstm import pretrain as lstm_pretrain
from textvae.training.lstm import train as lstm_train
from textvae.training.lstm.pretrain import LanguageModel, pretrain
from textvae.training.lstm.recipe import LstmRecipe
from textvae.training.lstm.run import run_lstm


@pytest.fixture(scope="module")
def collator(tiny_encoder):
    return DataCollatorWithPadding(AutoTokenizer.from_pretrained(tiny_encoder))


def trained(collator, folder, rows, held_out, bidirectional=True):
    """What `pretrain` gives for rows of token ids."""
    torch.manual_seed(0)
    config = LstmConfig(
        vocab_size=len(collator.tokenizer), embedding_size=8, hidden_size=16, bigram_buckets=40, bigram_size=4,
        bidirectional=bidirectional, pad_token_id=collator.tokenizer.pad_token_id,
    )  # fmt: skip
    recipe = LstmRecipe("tiny", batch_size=16, learning_rate=0.02, pretraining_epochs=3)
    encoded = [
        [{"input_ids": list(map(int, row)), "attention_mask": [1] * len(row), "labels": 0} for row in part]
        for part in (rows, held_out)
    ]
    model = LstmForSequenceClassification(config)
    return pretrain(model, recipe, *encoded, collator, folder, torch.float32), model


@pytest.mark.parametrize("bidirectional", [True, False])
def test_what_cannot_be_foreseen_costs_its_entropy(collator, tmp_path, bidirectional):
    """Less would be a look at the answer, more a softmax by samples that favours some tokens."""
    shares = np.array([0.5, 0.2, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01])
    entropy = -(shares * np.log(shares)).sum()
    draw = np.random.default_rng(0)
    rows, held_out = ([draw.choice(8, draw.integers(4, 30), p=shares) + 5 for _ in range(n)] for n in (600, 200))
    found, _ = trained(collator, tmp_path, rows, held_out, bidirectional)
    observed = np.bincount(np.concatenate(held_out) - 5, minlength=8)
    cross_entropy = -(observed / observed.sum() * np.log(shares)).sum()
    assert found["loss"] == pytest.approx(cross_entropy, abs=0.06)
    assert abs(cross_entropy - entropy) < 0.05


def test_what_can_be_foreseen_is_learned_in_both_directions(collator, tmp_path):
    draw = np.random.default_rng(0)
    cycles = [(np.arange(draw.integers(6, 20)) + draw.integers(9)) % 9 + 5 for _ in range(600)]
    found, model = trained(collator, tmp_path, cycles[:400], cycles[400:])
    assert found["loss"] < 0.25  # ln 9 = 2.2 for who foresees nothing
    assert found["steps"] == 75
    assert found["seconds"] > 0
    torch.manual_seed(0)
    untouched = LstmForSequenceClassification(model.config)
    same = {name for name, value in model.state_dict().items() if torch.equal(value, untouched.state_dict()[name])}
    assert {"bigram_embedding.weight", "classifier.weight"} <= same
    assert not any(name.startswith(("embedding.", "layers.")) for name in same)
    # Word dropout reads the padding's embedding: nothing has to stay nothing, though all other tokens move.
    lengths = model.embedding.weight.norm(dim=1)
    assert lengths[model.config.pad_token_id] == 0
    assert (lengths > 0).sum() == len(lengths) - 1


def test_the_loss_is_of_texts_from_all_over_the_rows_held_out(collator, tmp_path):
    """A dataset's first rows may all be of one class."""
    draw = np.random.default_rng(0)
    cycles = [(np.arange(12) + draw.integers(9)) % 9 + 5 for _ in range(600)]
    noise = [draw.integers(5, 14, 12) for _ in range(600)]
    found, _ = trained(collator, tmp_path, cycles[:400], cycles[400:] + noise)
    assert found["loss"] > 1


def test_one_that_diverges_ends_before_a_checkpoint_of_it_is_kept(collator, tmp_path, monkeypatch):
    monkeypatch.setattr(LanguageModel, "_loss", lambda self, predicted, right: predicted.sum() * float("nan"))
    rows = [np.arange(5, 12)] * 80
    with pytest.raises(UserError, match=r"the loss of the pre-training is no longer finite at step 3; lower"):
        trained(collator, tmp_path, rows, rows)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_an_interrupted_pretraining_ends_with_the_same_weights(write_recipe, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path, pretraining_epochs=2, epochs=1)
    straight = run_lstm(recipe, tmp_path / "straight")

    def broken_off_at(owner, name, step):
        went_on = getattr(owner, name)

        def interrupted(self, args, state, control, **more):
            went_on(self, args, state, control, **more)
            if state.global_step == step:
                raise InterruptedError

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            with pytest.raises(InterruptedError):
                run_lstm(recipe, tmp_path / "run")

    broken_off_at(lstm_pretrain.Progress, "on_step_end", 40)
    broken_off_at(lstm_train.Report, "on_step_end", 2)  # before its first checkpoint
    broken_off_at(lstm_train.Report, "on_step_end", 20)
    run_lstm(recipe, tmp_path / "run")
    one, other = (load_file(folder / "model/model.safetensors") for folder in (straight, tmp_path / "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    facts, again = (json.loads((folder / "evaluation.json").read_text()) for folder in (straight, tmp_path / "run"))
    assert facts["pretraining"]["loss"] == again["pretraining"]["loss"]
    assert facts["pretraining"]["steps"] == again["pretraining"]["steps"]
    assert facts["seconds"] > facts["pretraining"]["seconds"] > 0
    assert "language model" in (straight / "report.html").read_text()


def test_unlabelled_texts_are_read_too_but_none_that_is_scored(reviews, write_recipe, tmp_path, capsys):
    dataset = shutil.copytree(reviews, tmp_path / "reviews")
    scored = pd.read_parquet(dataset / "test.parquet")["text"][:3]
    texts = [f"the film of a year without a word of praise {number}" for number in range(40)] + list(scored.str.upper())
    pd.DataFrame({"text": texts, "label": -1}).to_parquet(dataset / "unsupervised.parquet")
    recipe = write_recipe(
        tmp_path, dataset=str(dataset), pretraining_epochs=1, pretraining_split="unsupervised", epochs=1
    )
    run = run_lstm(recipe, tmp_path / "with")
    rows = json.loads((run / "run.json").read_text())["rows"]
    read = json.loads((run / "evaluation.json").read_text())["pretraining"]
    assert rows["unlabelled"] == read["unlabelled"] == 40
    assert read["texts"] == rows["train"] + 40
    assert "40 of them without labels" in (run / "report.html").read_text()
    capsys.readouterr()

    (dataset / "unsupervised.parquet").unlink()  # as where the dataset comes from a registry
    alone = json.loads((run_lstm(recipe, tmp_path / "without") / "evaluation.json").read_text())["pretraining"]
    assert alone["texts"] == rows["train"]
    assert (
        "no split 'unsupervised'; there is test, train; the pre-training reads the training" in capsys.readouterr().err
    )
