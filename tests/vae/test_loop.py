"""The training loop: the same weights however a training is cut, killed or distributed."""

from __future__ import annotations

import json

import pytest
import torch
from accelerate.state import AcceleratorState
from processes import launched

from textvae.modeling_textvae.generation import decode_latents
from textvae.training.common.checkpoints import save_checkpoint
from textvae.training.common.errors import UserError
from textvae.training.common.files import read_jsonl
from textvae.training.common.recipe import VaeRecipe
from textvae.training.vae.loop import Loop
from textvae.training.vae.objective import candidate_set, row_noise
from textvae.training.vae.window import Window, collapse_warning

ALL_OPTIONS = {
    "encoder": "tiny",
    "encoder_layers": (0, 2),
    "trainable_encoder_layers": 1,
    "steps": 12,
    "tokens_per_step": 60,
    "warmup_steps": 3,
    "target_kl": 8.0,
    "target_kl_start": 12.0,
    "free_bits": 0.05,
    "word_dropout": 0.3,
    "final_word_dropout": 0.5,
    "average_cycles": 2,
    "cycle_steps": 2,
    "candidate_words": 20,
    "sampled_words": 10,
    "checkpoint_every": 5,
    "log_every": 4,
    "text_weight": 2,
    "final_text_share": 0.2,
    "reset_decoder": True,
    "autoencoder_share": 0.5,  # the decoder starts anew after the checkpoint that the resume test goes on from
}


@pytest.fixture(autouse=True)
def fresh_accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def make_loop(model, tokenizer, sentences, dtype=torch.float32, **changes):
    recipe = VaeRecipe(**{**ALL_OPTIONS, **changes})
    return Loop(model, tokenizer, sentences * 4, len(sentences), recipe, seed=3, dtype=dtype)


def weights(model):
    return {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_two_trainings_in_one_process_may_differ_in_precision(tiny_model, tiny_tokenizer, sentences):
    for dtype in (torch.float32, torch.bfloat16):
        loop = make_loop(tiny_model, tiny_tokenizer, sentences, dtype)
        assert loop.accelerator.mixed_precision == ("bf16" if dtype is torch.bfloat16 else "no")


def test_resumed_training_equals_the_uninterrupted_one_bit_for_bit(tiny_model, tiny_tokenizer, sentences, tmp_path):
    start = weights(tiny_model)
    whole = weights(make_loop(tiny_model, tiny_tokenizer, sentences).run(tmp_path / "whole"))
    tiny_model.load_state_dict(start)
    loop = make_loop(tiny_model, tiny_tokenizer, sentences)
    step = loop.train_step

    def stop_at_eight(*arguments):
        if loop.step == 8:
            raise KeyboardInterrupt
        step(*arguments)

    loop.train_step = stop_at_eight
    with pytest.raises(KeyboardInterrupt):
        loop.run(tmp_path / "cut")
    assert [p.name for p in (tmp_path / "cut/checkpoints").iterdir()] == ["step-000005"]
    torch.manual_seed(99)  # a new process starts from other random numbers
    tiny_model.load_state_dict(start)
    resumed = make_loop(tiny_model, tiny_tokenizer, sentences)
    assert_same(whole, weights(resumed.run(tmp_path / "cut")))
    rows = [read_jsonl(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut")]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == [4, 8, 12]
    assert rows[0][-1]["beta"] == rows[1][-1]["beta"] != ALL_OPTIONS.get("beta", 0.003)
    assert any(not torch.equal(start[name], whole[name]) for name in start if name.startswith("encoder.encoder"))


def test_the_weights_end_as_the_mean_of_the_lows_of_the_learning_rate(tiny_model, tiny_tokenizer, sentences, tmp_path):
    """Stopped after the second of three lows, and taken up again at a checkpoint after the first."""
    changes = {"reset_decoder": False, "autoencoder_share": 0.0, "steps": 6, "checkpoint_every": 3}
    start, seen = weights(tiny_model), {}

    def remember(loop, stop):
        step = loop.train_step

        def remembering(*arguments):
            if loop.step == stop:
                raise KeyboardInterrupt
            step(*arguments)
            seen[loop.step + 1] = weights(tiny_model)

        loop.train_step = remembering
        return loop

    with pytest.raises(KeyboardInterrupt):
        remember(make_loop(tiny_model, tiny_tokenizer, sentences, **changes), 5).run(tmp_path)
    tiny_model.load_state_dict(start)
    trained = weights(remember(make_loop(tiny_model, tiny_tokenizer, sentences, **changes), None).run(tmp_path))
    name = "decoder.gru.weight_hh_l0"
    expected = torch.stack([seen[2][name], seen[4][name], seen[6][name]]).mean(0)
    assert not torch.allclose(seen[6][name], expected, atol=1e-6)
    assert torch.allclose(trained[name], expected, atol=1e-7)
    fixed = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(trained[fixed], start[fixed])


def test_after_the_autoencoder_phase_the_decoder_starts_anew(tiny_model, tiny_tokenizer, sentences):
    start = weights(tiny_model)
    loop = make_loop(tiny_model, tiny_tokenizer, sentences, word_dropout=0.0)
    tiny_model.train()
    for loop.step in range(7):
        before = weights(tiny_model)
        loop.train_step(loop.plan[loop.step], 0.0 if loop.step == 6 else 1e-2, Window())
    moved = {name for name in start if not torch.equal(start[name], before[name])}
    assert {"decoder.gru.weight_hh_l0", "pooler.project.weight"} <= moved
    after = weights(tiny_model)
    for name, tensor in after.items():
        assert torch.equal(tensor, (start if name.startswith("decoder.") else before)[name]), name


def test_a_conditional_model_with_every_term_learns_what_its_classes_say(
    tiny_model, rebuilt, tiny_tokenizer, sentences, tmp_path
):
    """Texts whose words are their class alone: without a latent to tell them, the class must."""
    texts, classes = ["a dull film.", "a funny film."], [0, 1]
    model = rebuilt(tiny_model, num_classes=2, bag_of_words=True)
    settings = {
        **ALL_OPTIONS, "steps": 60, "learning_rate": 1e-2, "target_kl": None, "beta": 1.0, "free_bits": 0.0,
        "mmd_weight": 1.0, "bag_of_words_weight": 0.1, "reset_decoder": False, "conditional": True,
    }  # fmt: skip
    loop = Loop(
        model, tiny_tokenizer, texts * 20, 40, VaeRecipe(**settings), seed=0, dtype=torch.float32,
        class_ids=[*classes * 19, 2, 2],
    )  # fmt: skip
    model = loop.run(tmp_path)
    latents = torch.zeros(2, 16)
    assert decode_latents(model, latents, tiny_tokenizer, class_ids=torch.tensor([0, 1])) == texts
    assert decode_latents(model, latents[:1], tiny_tokenizer)[0] in texts  # of unknown class


def test_a_collapse_is_noticed_and_its_remedy_named(tiny_model, tiny_tokenizer, sentences, tmp_path, capfd):
    collapsing = {"target_kl": None, "beta": 30.0, "beta_end": 30.0, "free_bits": 0.0, "steps": 120}
    make_loop(tiny_model, tiny_tokenizer, sentences, learning_rate=1e-2, **collapsing).run(tmp_path)
    (warning,) = [line for line in capfd.readouterr().err.splitlines() if "collapse" in line]  # once
    assert "set 'vae.target_kl' (say 36)" in warning
    healthy = {"active_units": 1.0, "kl": 40.0}
    assert collapse_warning(healthy, VaeRecipe(), 1) is None
    assert collapse_warning({"active_units": None, "kl": 0.0}, VaeRecipe(latent_size=0), 1) is None
    assert "raise 'vae.target_kl' (110)" in collapse_warning({"active_units": 0.02, "kl": 3.0}, VaeRecipe(), 1)


def test_a_step_gives_the_model_all_that_was_drawn_and_clips_the_gradient(
    tiny_model, rebuilt, tiny_tokenizer, sentences
):
    model, shape = rebuilt(tiny_model, hidden_chunks=True), {"latent_size": 16, "latent_chunks": 4}
    loop = make_loop(
        model, tiny_tokenizer, sentences, **shape, chunk_dropout=0.9, autoencoder_share=0.0, gradient_accumulation=2,
        gradient_clip=0.01,
    )  # fmt: skip
    recipe, plan, seen = loop.recipe, loop.plan[0], []
    model.train()
    model.register_forward_pre_hook(lambda _, __, given: seen.append(given), with_kwargs=True)
    loop.train_step(plan, 1e-3, Window())
    assert len(seen) == 2
    targets = model.decoder.respell(loop.tokens.batch(plan.rows)[0])
    drawn = row_noise(3, plan.rows, plan.visits, 16, targets.shape[1], recipe, recipe.word_dropout)
    assert not drawn.keep.all()
    assert not drawn.shown.all()
    for name, wanted in (("noise", drawn.posterior), ("input_keep", drawn.keep), ("shown", drawn.shown)):
        assert torch.equal(torch.cat([given[name] for given in seen]), wanted), name
    candidates, weights = candidate_set(targets, model.config.decoder_vocab_size, recipe, 3, 0)
    assert len(candidates) < model.config.decoder_vocab_size
    for given in seen:
        assert torch.equal(given["candidates"], candidates)
        assert torch.equal(given["candidate_log_weights"], weights)
    norms = [weight.grad.norm() for weight in model.parameters() if weight.grad is not None]
    assert float(torch.stack(norms).norm()) == pytest.approx(0.01, rel=1e-3)


def test_each_part_of_the_model_learns_at_its_own_rate(tiny_model, tiny_tokenizer, sentences):
    changes = {"learning_rate": 4e-3, "encoder_learning_rate": 1e-5, "word_offset_learning_rate_share": 0.2}
    loop = make_loop(tiny_model, tiny_tokenizer, sentences, **changes)
    loop.train_step(loop.plan[0], 2e-3, Window())  # half of the rate's height, as everywhere
    rates = {id(weight): group["lr"] for group in loop.optimizer.param_groups for weight in group["params"]}
    trained = {name: rates.pop(id(w)) for name, w in tiny_model.named_parameters() if w.requires_grad}
    assert not rates
    encoder = {name for name in trained if name.startswith("encoder.")}
    assert encoder
    assert [trained.pop(name) for name in encoder] == pytest.approx([5e-6] * len(encoder))
    assert trained.pop("decoder.embedding.weight") == pytest.approx(4e-4)
    assert set(trained.values()) == {2e-3}


def test_micro_batches_give_the_gradient_of_the_whole_step(tiny_model, tiny_tokenizer, sentences):
    gradients = []
    tiny_model.train()
    for micro_batches in (4, 1):
        loop = make_loop(tiny_model, tiny_tokenizer, sentences, gradient_accumulation=micro_batches)
        # The plan depends on the least rows a step must hold, so both go through the first one's.
        loop.plan = gradients[0][1] if gradients else loop.plan
        loop.optimizer.step = lambda: None
        loop.train_step(loop.plan[0], 1e-3, Window())
        gradients.append(
            ({n: p.grad.clone() for n, p in tiny_model.named_parameters() if p.grad is not None}, loop.plan)
        )
    (four, _), (one, _) = gradients
    assert one.keys() == four.keys()
    for name in one:
        torch.testing.assert_close(one[name], four[name], rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_another_recipe_is_refused(tiny_model, tiny_tokenizer, sentences, tmp_path):
    loop = make_loop(tiny_model, tiny_tokenizer, sentences)
    save_checkpoint(loop.accelerator, tmp_path, loop.step, loop.fingerprint)
    with pytest.raises(UserError, match="another recipe"):
        make_loop(tiny_model, tiny_tokenizer, sentences, learning_rate=1e-3).resume(tmp_path)


def test_a_truncated_checkpoint_is_named(tiny_model, tiny_tokenizer, sentences, tmp_path):
    loop = make_loop(tiny_model, tiny_tokenizer, sentences)
    save_checkpoint(loop.accelerator, tmp_path, loop.step, loop.fingerprint)
    file = tmp_path / "step-000000" / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"step-000000.*damaged.*delete"):
        make_loop(tiny_model, tiny_tokenizer, sentences).resume(tmp_path)


def test_cached_encoder_states_train_like_recomputed_ones(tiny_model, tiny_tokenizer, sentences, tmp_path):
    start = weights(tiny_model)
    losses = []
    for cached in (False, True):
        tiny_model.load_state_dict(start)
        loop = make_loop(tiny_model, tiny_tokenizer, sentences, trainable_encoder_layers=0, cache_encoder_states=cached)
        loop.run(tmp_path / str(cached))
        losses.append(read_jsonl(tmp_path / str(cached) / "metrics.jsonl")[-1]["nll"])
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def test_a_cache_over_its_bound_is_refused_before_anything_is_computed(tiny_model, tiny_tokenizer, sentences):
    with pytest.raises(UserError, match=r"need 0\.0 GB, more than vae.cache_gigabytes \(1e-06\)"):
        make_loop(
            tiny_model, tiny_tokenizer, sentences, trainable_encoder_layers=0, cache_encoder_states=True,
            cache_gigabytes=1e-6,
        )  # fmt: skip


def test_training_learns_to_rebuild_its_sentences(tiny_model, tiny_tokenizer, sentences, tmp_path):
    loop = make_loop(
        tiny_model, tiny_tokenizer, sentences, steps=250, learning_rate=1e-2, target_kl=None, beta_end=0.003,
        word_offset_learning_rate_share=1.0, reset_decoder=False, free_bits=0.0, word_dropout=0.0,
        final_word_dropout=None, checkpoint_every=1000, log_every=50,
    )  # fmt: skip
    model = loop.run(tmp_path)
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert rows[-1]["nll"] < 0.2 * rows[0]["nll"]
    assert model.reconstruct(sentences, tiny_tokenizer) == sentences


CHILD = """
import json, sys, torch
from pathlib import Path
from transformers import AutoTokenizer
from textvae.training.common.recipe import VaeRecipe
from textvae.training.vae.loop import Loop
from textvae.training.vae.train import load_model
folder, output, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
model, tokenizer = load_model(folder)
settings = json.loads(Path(sys.argv[4]).read_text())
settings["encoder_layers"] = tuple(settings["encoder_layers"])
sentences = json.loads(Path(sys.argv[5]).read_text())
loop = Loop(model, tokenizer, sentences * 4, len(sentences), VaeRecipe(**settings), seed=3, dtype=torch.float32,
            num_processes=count)
model = loop.run(output)
if loop.accelerator.is_main_process:
    torch.save({"weights": model.state_dict(), "world": loop.accelerator.num_processes}, output / "weights.pt")
loop.accelerator.end_training()
"""


def launch(folder, tmp_path, processes, sentences):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    settings = {**ALL_OPTIONS, "gradient_accumulation": 2 // processes, "checkpoint_every": 1000}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "sentences.json").write_text(json.dumps(sentences))
    arguments = [folder, f"by{processes}", processes, "settings.json", "sentences.json"]
    return launched(processes, [script, *arguments], tmp_path)


def test_two_processes_train_like_one(tiny_model, tiny_tokenizer, sentences, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    states = []
    for count in (1, 2):
        done = launch(tmp_path / "model", tmp_path, count, sentences)
        assert done.returncode == 0, done.stderr[-3000:]
        states.append(torch.load(tmp_path / f"by{count}" / "weights.pt"))
    assert [state["world"] for state in states] == [1, 2]
    for name, tensor in states[0]["weights"].items():
        torch.testing.assert_close(tensor, states[1]["weights"][name], rtol=1e-3, atol=2e-5, msg=name)


def test_a_launch_that_does_not_match_the_recipe_is_an_error(tiny_model, tiny_tokenizer, sentences, tmp_path):
    with pytest.raises(UserError, match="the recipe says 2, 1 were launched"):
        Loop(
            tiny_model, tiny_tokenizer, sentences, 8, VaeRecipe(**ALL_OPTIONS), seed=0, dtype=torch.float32,
            num_processes=2,
        )  # fmt: skip


@pytest.mark.parametrize("latent", [{}, {"latent_size": 0, "latent_chunks": 0}], ids=["vae", "language model"])
def test_a_loss_that_is_no_longer_finite_is_told(tiny_model, rebuilt, tiny_tokenizer, sentences, tmp_path, latent):
    model = rebuilt(tiny_model, **latent)
    model.decoder.bias.data[5] = float("nan")
    loop = make_loop(model, tiny_tokenizer, sentences, **latent)
    with pytest.raises(UserError, match=r"no longer finite at step 1; lower 'vae\.learning_rate'"):
        loop.run(tmp_path)
