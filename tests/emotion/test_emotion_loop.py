"""The training loop: the same weights however a training is cut, killed or distributed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from processes import launched, python
from safetensors.torch import load_file

from textvae.modeling_emotion_vae.modeling_emotion_vae import EmotionVAEModel
from textvae.training.common.checkpoints import save_checkpoint
from textvae.training.common.errors import UserError
from textvae.training.common.files import read_jsonl
from textvae.training.emotion.loop import Examples, Loop
from textvae.training.emotion.recipe import EmotionModelRecipe
from textvae.training.emotion.train import _set_trained

RECIPE = {
    "encoder_layers": (0, 2), "hidden_size": 8, "num_members": 2, "epochs": 3, "batch_size": 8, "checkpoint_every": 4,
    "conditional": True, "prior_components": 2, "learning_rate": 0.01, "warmup_steps": 3, "num_hidden_layers": 2,
}  # fmt: skip


@pytest.fixture
def parts(tiny_encoder, tiny_tokenizer, sentences):
    """Makes a fresh model and the loop that trains it, on embeddings or, with layers to train, on tokens."""

    def parts(trainable: int = 0, made_from: str = "this", num_processes: int = 1, **changes) -> Loop:
        torch.manual_seed(5)
        recipe = EmotionModelRecipe(**{**RECIPE, "trainable_encoder_layers": trainable, **changes})
        model = EmotionVAEModel.from_encoder_pretrained(
            str(tiny_encoder), encoder_layers=recipe.encoder_layers, hidden_size=recipe.hidden_size,
            num_hidden_layers=recipe.num_hidden_layers, num_members=recipe.num_members,
            prior_components=recipe.prior_components, categories=("a", "b"),
        )  # fmt: skip
        texts = sentences * 5
        embeddings = model.eval().embed_texts(texts, tiny_tokenizer)
        random = np.random.default_rng(0)
        ratings = torch.from_numpy(random.uniform(1, 5, (len(texts), 2))).float()
        model.set_scales(embeddings, ratings)
        _set_trained(model, trainable)
        examples = Examples(
            ratings, ratings / 10, torch.tensor([place % 2 for place in range(len(texts))]),
            None if trainable else embeddings, tiny_tokenizer(texts)["input_ids"] if trainable else None,
        )  # fmt: skip
        return Loop(
            model,
            examples,
            examples,
            recipe,
            seed=3,
            dtype=torch.float32,
            num_processes=num_processes,
            made_from=made_from,
        )

    return parts


def weights(model):
    return {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("trainable", [0, 1, -1])
def test_a_resumed_training_ends_with_the_same_bits(parts, tmp_path, trainable):
    whole = parts(trainable)
    fresh = weights(whole.unwrapped)
    expected = weights(whole.run(tmp_path / "whole", "whole"))
    loop = parts(trainable)
    step = loop.train_step

    def die():
        if loop.step == 10:  # in the third epoch, two steps after a checkpoint
            raise KeyboardInterrupt
        step()

    loop.train_step = die
    with pytest.raises(KeyboardInterrupt):
        loop.run(tmp_path / "cut", "cut")
    torch.manual_seed(99)
    loop = parts(trainable)
    assert_same(weights(loop.run(tmp_path / "cut", "cut")), expected)
    rows = [read_jsonl(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut")]
    for row in (*rows[0], *rows[1]):
        row.pop("seconds")
    assert rows[0] == rows[1]
    assert [row["epoch"] for row in rows[0]] == [1, 2, 3]
    moved = {name for name in fresh if not torch.equal(fresh[name], expected[name])}
    assert any(name.startswith("encoder.") for name in moved) == bool(trainable)
    assert any(name.startswith("encoder.encoder.layer.0") for name in moved) == (trainable == -1)
    assert {"categories.weight", "prior.means", "recognition.error.weight"} <= moved


def test_a_step_is_the_same_whatever_was_drawn_before(parts):
    """Dropout, too: else a step would hang on how many processes or evaluations went before it."""
    ends = []
    for seed in (1, 2):
        loop = parts()
        torch.manual_seed(seed)
        loop.train_step()
        ends.append(weights(loop.unwrapped))
    assert_same(*ends)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_step_hides_the_recipes_shares_of_skips_and_categories(parts, share):
    loop = parts(hidden_skip_share=share, unknown_category_share=share, nll_beta=0.3, batch_size=40)
    seen = []
    loop.unwrapped.register_forward_pre_hook(lambda _, __, given: seen.append(given), with_kwargs=True)
    loop.train_step()
    (given,) = seen
    assert given["nll_beta"] == 0.3
    rows = [int((loop.train.ratings == rating).all(1).nonzero()) for rating in given["labels"]]
    unknown = given["category_ids"] == 2
    assert torch.equal(given["category_ids"][~unknown], loop.train.categories[rows][~unknown])
    for hidden in (unknown, ~given["shown"]):
        assert len(hidden) == 40
        assert float(hidden.float().mean()) == pytest.approx(share, abs=0.25 if share == 0.5 else 0)


def test_the_encoder_learns_at_its_own_rate(parts):
    loop = parts(1, learning_rate=0.01, encoder_learning_rate=3e-5, warmup_steps=1)
    loop.train_step()
    rates = {id(weight): group["lr"] for group in loop.optimizer.param_groups for weight in group["params"]}
    trained = {name: rates.pop(id(w)) for name, w in loop.unwrapped.named_parameters() if w.requires_grad}
    assert not rates
    encoder = {name for name in trained if name.startswith("encoder.")}
    assert encoder
    assert [trained.pop(name) for name in encoder] == pytest.approx([3e-5] * len(encoder))
    assert set(trained.values()) == {0.01}


def test_the_kl_of_validation_texts_is_a_mean_over_latents(parts, tmp_path):
    """Not what it is at the posterior's mean, where there is a mixture."""
    loop = parts(epochs=1)
    model = loop.run(tmp_path, "one")
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    texts = loop.validation.batch(np.repeat(np.arange(len(loop.validation)), 200), torch.device("cpu"))
    with torch.no_grad():
        drawn = model(**texts, generator=torch.Generator().manual_seed(1)).kl
        still = model(**texts, noise=torch.zeros(2, len(texts["labels"]), 2)).kl
    wanted, at_mean = drawn.mean().item(), still.mean().item()
    assert row["validation_kl"] == pytest.approx(wanted, rel=0.1)
    assert at_mean != pytest.approx(wanted, rel=0.5)


def test_a_checkpoint_of_another_training_is_not_gone_on_with(parts, tmp_path):
    loop = parts(made_from="other")
    for _ in range(4):
        loop.train_step()
        loop.step += 1
    save_checkpoint(loop.accelerator, tmp_path / "checkpoints", loop.step, loop.made_from)
    loop = parts()
    with pytest.raises(UserError, match=r"step-000004: was made by another recipe.*; delete .*checkpoints to train"):
        loop.resume(tmp_path / "checkpoints", "this")
    assert loop.step == 0


def test_a_truncated_checkpoint_is_named(parts, tmp_path):
    loop = parts()
    loop.step = 4
    save_checkpoint(loop.accelerator, tmp_path / "checkpoints", loop.step, loop.made_from)
    (tmp_path / "checkpoints" / "step-000004" / "pytorch_model.bin").write_bytes(b"half")
    with pytest.raises(UserError, match=r"step-000004: cannot be read, .*delete it"):
        parts().resume(tmp_path / "checkpoints", "this")


def test_a_loss_that_is_not_finite_names_the_remedy(parts):
    loop = parts()
    loop.unwrapped.recognition.posterior.bias.data.fill_(float("inf"))
    with pytest.raises(UserError, match=r"no longer finite at step 1; lower 'learning_rate'"):
        loop.train_step()


def test_a_part_without_arousal_leaves_its_prediction_where_it_was(parts, tmp_path):
    """The KL and the decoder still shape that latent; the ratings must not."""
    loop = parts(beta=0.0, reconstruction_weight=0.0, weight_decay=0.0)
    loop.train.ratings[:, 1] = loop.train.deviations[:, 1] = torch.nan
    before = loop.unwrapped.recognition.posterior.weight.detach().clone()
    for _ in range(3):
        loop.train_step()
        loop.step += 1
    moved = (loop.unwrapped.recognition.posterior.weight.detach() - before).abs().sum((0, 1))
    assert moved[1] == moved[3] == 0
    assert moved[0] > 0
    assert moved[2] > 0


def test_fewer_processes_than_the_recipe_says_are_refused(parts):
    with pytest.raises(UserError, match="num_processes: the recipe says 2, 1 were launched"):
        parts(num_processes=2)


TRAIN = ["-m", "textvae.training.emotion.train"]


def test_accelerate_launch_trains_a_model_that_loads(tmp_path, tiny_encoder, write, annotated_rows):
    (tmp_path / "r.yaml").write_text(
        f"data: {write(annotated_rows)}\n"
        f"model: {{encoder: {tiny_encoder}, encoder_layers: [2], hidden_size: 8, num_members: 1, epochs: 1}}\n"
    )
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    quiet = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    done = python([*launch, *quiet, *TRAIN, "r.yaml", "--output", "model"], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    model = EmotionVAEModel.from_pretrained(tmp_path / "model")
    assert model.rating_mean[0] != 0
    assert not (tmp_path / "model" / "checkpoints").exists()


@pytest.mark.parametrize("trainable", [0, 1])
def test_two_processes_train_like_one(tmp_path, tiny_encoder, write, annotated_rows, trainable):
    """Without dropout, which each process draws for rows of its own; batches are odd, and divide unevenly."""
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    config = json.loads((encoder / "config.json").read_text())
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (encoder / "config.json").write_text(json.dumps(config | without))
    recipe = {
        "data": write(annotated_rows[:60]), "precision": "float32",
        "model": {
            **RECIPE, "encoder": str(encoder), "encoder_layers": [0, 2], "hidden_dropout": 0.0, "batch_size": 7,
            "embedding_dropout": 0.0, "trainable_encoder_layers": trainable, "epochs": 2,
        },
    }  # fmt: skip
    for count in (1, 2):
        (tmp_path / "r.yaml").write_text(yaml.safe_dump({**recipe, "num_processes": count}))
        done = launched(count, [*TRAIN, "r.yaml", "--output", f"by{count}"], tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / f"by{count}" / "model.safetensors") for count in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-3, atol=2e-5, msg=name)
    rows = [read_jsonl(tmp_path / f"by{count}" / "metrics.jsonl") for count in (1, 2)]
    for first, second in zip(*rows, strict=True):
        assert {**second, "seconds": 0} == pytest.approx({**first, "seconds": 0}, rel=1e-3)
