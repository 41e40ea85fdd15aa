"""The emotion VAE as a Hub user meets it."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from processes import stranger
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel, Trainer, TrainingArguments

from textvae.modeling_emotion_vae import EmotionVAEConfig, EmotionVAEModel
from textvae.modeling_emotion_vae.configuration_emotion_vae import vocabulary_digest
from textvae.modeling_emotion_vae.outputs import EmotionVAEOutput

CODE = ["configuration_emotion_vae.py", "modeling_emotion_vae.py", "networks.py", "outputs.py"]


def test_a_saved_folder_predicts_the_same_where_the_package_cannot_be_imported(
    build, tiny_tokenizer, sentences, tmp_path
):
    model = build(categories=("fiction", "news"), prior_components=2)
    folder = tmp_path / "emotion"
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*CODE, "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    )
    script = """
import json
from transformers import AutoModel, AutoTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules.") and not model.training
said = model.predict(texts, tokenizer, ["news"] * len(texts))
low, high = said.interval(0.9)
model.save_pretrained(sys.argv[3])
print(json.dumps([part.tolist() for part in (said.mean, said.rater_deviation, said.mean_deviation, low, high)]))
"""
    told = stranger(script, tmp_path, folder, json.dumps(sentences), tmp_path / "again")
    said = model.predict(sentences, tiny_tokenizer, ["news"] * len(sentences))
    expected = [said.mean, said.rater_deviation, said.mean_deviation, *said.interval(0.9)]
    for found, wanted in zip(json.loads(told), expected, strict=True):
        torch.testing.assert_close(torch.tensor(found), wanted, atol=1e-5, rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "again").glob("*.py")) == CODE


def test_auto_model_knows_it_and_what_is_missing_is_initialised(build, tmp_path):
    model = build(prior_components=3, categories=("a",))
    state = {name: value for name, value in model.state_dict().items() if "prior" not in name and "layers" not in name}
    model.save_pretrained(tmp_path, state_dict=state)
    fresh = AutoModel.from_pretrained(tmp_path)
    assert isinstance(fresh, EmotionVAEModel)
    assert torch.equal(fresh.rating_mean, model.rating_mean)
    assert all(torch.isfinite(value).all() and value.abs().max() < 10 for value in fresh.state_dict().values())


def test_a_text_is_read_alike_whatever_stands_beside_it(build, tiny_tokenizer, sentences):
    model = build()
    together = model.predict(sentences, tiny_tokenizer)
    for row, text in enumerate(sentences):
        torch.testing.assert_close(model.predict([text], tiny_tokenizer).mean[0], together.mean[row])
    norms = model.embed_texts(sentences, tiny_tokenizer).unflatten(1, (2, -1)).norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(len(sentences), 2))


def test_a_long_text_is_cut_to_what_the_encoder_reads(build, tiny_tokenizer, sentences):
    model = build(max_text_length=1000)
    assert model.config.max_text_length == model.config.encoder_config.max_position_embeddings
    assert model.predict([" ".join(sentences * 5)], tiny_tokenizer).mean.isfinite().all()


def test_positions_of_roberta_begin_behind_that_of_padding(tmp_path):
    sizes = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(**sizes, intermediate_size=32, max_position_embeddings=18, pad_token_id=1)
    RobertaModel(config).save_pretrained(tmp_path)
    model = EmotionVAEModel.from_encoder_pretrained(str(tmp_path), encoder_layers=(0, 1), hidden_size=8)
    assert model.config.max_text_length == 16
    assert model.embed(torch.full((1, 16), 5)).isfinite().all()
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        model.embed(torch.full((1, 17), 5))


def test_an_encoder_that_is_stored_in_half_precision_is_trained_in_float32(tiny_encoder, tiny_tokenizer, tmp_path):
    AutoModel.from_pretrained(tiny_encoder, dtype=torch.float16).save_pretrained(tmp_path / "encoder")
    torch.manual_seed(0)
    model = EmotionVAEModel.from_encoder_pretrained(str(tmp_path / "encoder"), encoder_layers=(0, 2), hidden_size=8)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    model.save_pretrained(tmp_path / "emotion")
    again = EmotionVAEModel.from_pretrained(tmp_path / "emotion")
    for (name, weight), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(weight, other), name
    said = [one.eval().predict(["a film."], tiny_tokenizer).mean for one in (model, again)]
    assert torch.equal(*said)


def test_what_a_tokenizer_gives_is_taken_as_it_is(build, tiny_encoder, sentences):
    model, tokenizer = build(), AutoTokenizer.from_pretrained(tiny_encoder)
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    assert "token_type_ids" in batch
    noise = torch.zeros(2, len(sentences), 2)
    said = model.predict_embeddings(model.embed_texts(sentences, tokenizer))
    torch.testing.assert_close(model(**batch, noise=noise).prediction, said.mean)
    batch["token_type_ids"] += 1  # `embed_texts` does not read them either
    torch.testing.assert_close(model(**batch, noise=noise).prediction, said.mean)
    (alone,) = sentences[:1]
    ids = tokenizer(alone, return_tensors="pt")["input_ids"]
    torch.testing.assert_close(model(input_ids=ids, noise=noise[:, :1]).prediction, said.mean[:1])


@pytest.mark.parametrize("rated", [("valence", "arousal"), ("valence",)])
def test_a_trainers_predictions_are_those_of_the_rows_in_their_order(build, tmp_path, rated):
    model = build(num_members=3, rated=rated)
    embeddings = torch.randn(7, model.config.embedding_size)
    labels = [[3.0 + 0.1 * row, 2.0 if len(rated) == 2 else torch.nan] for row in range(7)]
    rows = [{"embeddings": one.tolist(), "labels": label} for one, label in zip(embeddings, labels, strict=True)]
    arguments = TrainingArguments(
        str(tmp_path), per_device_eval_batch_size=3, use_cpu=True, report_to="none", disable_tqdm=True
    )
    found = Trainer(model, arguments).predict(rows)
    assert found.predictions.shape == found.label_ids.shape == (7, 2)
    torch.testing.assert_close(
        torch.from_numpy(found.predictions), model.predict_embeddings(embeddings).mean, equal_nan=True
    )
    left = set(EmotionVAEOutput.__dataclass_fields__) - set(model.config.keys_to_ignore_at_inference)
    assert left == {"loss", "prediction"}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_encoder_attends_as_it_is_asked_to(build, tmp_path, attention, tiny_tokenizer):
    model = build()
    assert model.encoder.config._attn_implementation == "sdpa"  # its own choice
    model.save_pretrained(tmp_path)
    asked = EmotionVAEModel.from_pretrained(tmp_path, attn_implementation=attention)
    assert asked.encoder.config._attn_implementation == attention
    said = [one.predict(["a film."], tiny_tokenizer).mean for one in (model, asked)]
    torch.testing.assert_close(*said)


def test_a_tokenizer_of_another_vocabulary_is_refused(build, tiny_tokenizer):
    model, known = build(), len(tiny_tokenizer)
    other = copy.deepcopy(tiny_tokenizer)
    other.add_tokens(["dreadful"])
    with pytest.raises(
        ValueError, match=rf"tokenizer has {known + 1} tokens, the encoder {known}; give the one beside the model"
    ):
        model.predict(["a film."], other)

    class Gaps(type(tiny_tokenizer)):
        """Numbers its tokens with gaps, so that it counts too few of them."""

        def __call__(self, *arguments, **settings):
            batch = super().__call__(*arguments, **settings)
            batch["input_ids"][0, 1] = known + 6
            return batch

    model_of_its = build(vocabulary_digest=vocabulary_digest(tiny_tokenizer))
    assert model_of_its.predict(["a film."], tiny_tokenizer).mean.isfinite().all()
    other = copy.deepcopy(tiny_tokenizer)
    other.get_vocab = lambda: {token: -number for token, number in tiny_tokenizer.get_vocab().items()}
    with pytest.raises(ValueError, match="another vocabulary; give the one saved beside the model"):
        model_of_its.predict(["a film."], other)

    gaps = copy.deepcopy(tiny_tokenizer)
    gaps.__class__ = Gaps
    with pytest.raises(ValueError, match=f"tokenizer has {known + 7} tokens"):
        model.predict(["a film."], gaps)


def test_a_category_that_is_unknown_is_named(build, tiny_tokenizer):
    model = build(categories=("fiction", "news"))
    with pytest.raises(ValueError, match=r"'blog' is not known; known: fiction, news"):
        model.predict(["a film."], tiny_tokenizer, ["blog"])
    known, unknown = (model.predict(["a film."], tiny_tokenizer, [name]).mean for name in ("news", None))
    assert not torch.allclose(known, unknown)
    torch.testing.assert_close(model.predict(["a film."], tiny_tokenizer).mean, unknown)
    with pytest.raises(ValueError, match="no categories"):
        build().predict_embeddings(torch.randn(1, 64), torch.tensor([0]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_members": 0},
        {"encoder_layers": (13,)},
        {"encoder_layers": ()},
        {"rated": ("dominance",)},
        {"min_deviation": 0.0},
        {"lowest_rating": 5.0},
    ],
    ids=str,
)
def test_an_impossible_configuration_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EmotionVAEConfig(**wrong)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("changes", [{}, {"categories": ("fiction", "news"), "prior_components": 2}])
def test_half_precision_weights_compute(build, tiny_tokenizer, sentences, tmp_path, dtype, changes, batch):
    model = build(**changes)
    model.save_pretrained(tmp_path)
    half = EmotionVAEModel.from_pretrained(tmp_path, dtype=dtype)
    assert {weight.dtype for weight in half.parameters()} == {dtype}
    assert {buffer.dtype for name, buffer in half.named_buffers() if "encoder." not in name} == {torch.float32}
    noise = torch.zeros(2, 4, 2)
    out, expected = (one(**batch(one), noise=noise) for one in (half, model))
    torch.testing.assert_close(out.loss, expected.loss, rtol=0.05, atol=0.5)
    said, expected = (one.predict(sentences, tiny_tokenizer) for one in (half, model))
    assert said.mean.dtype == torch.float32
    torch.testing.assert_close(said.mean, expected.mean, rtol=0.05, atol=0.05)
    assert half.decode(torch.tensor([[4.0, 3.5]])).isfinite().all()


def test_a_tuple_where_it_is_asked_for(build, batch):
    model = build()
    parts = model(**batch(model), return_dict=False)
    assert isinstance(parts, tuple)
    assert parts[0].ndim == 0
