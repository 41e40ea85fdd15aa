"""The emotion VAE as a Hub user meets it, and its terms against worked cases."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from processes import stranger
from scipy import stats
from torch import distributions
from transformers import AutoModel

from textvae.modeling_emotion_vae import EmotionVAEConfig, EmotionVAEModel
from textvae.modeling_emotion_vae.networks import MixturePrior

CODE = ["configuration_emotion_vae.py", "modeling_emotion_vae.py", "networks.py", "outputs.py"]


@pytest.fixture
def build(tiny_encoder):
    def build(**changes) -> EmotionVAEModel:
        torch.manual_seed(1)
        fields = {"encoder_layers": (0, 2), "hidden_size": 16, "num_hidden_layers": 2, "num_members": 2, **changes}
        model = EmotionVAEModel.from_encoder_pretrained(str(tiny_encoder), **fields)
        ratings = torch.tensor([[2.0, 3.0], [3.0, 3.4], [4.0, 3.8]])
        model.set_scales(torch.randn(3, model.config.embedding_size), ratings)
        return model.eval()

    return build


def batch(model, rows=4):
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(rows, model.config.embedding_size, generator=generator)
    labels = 1 + 4 * torch.rand(rows, 2, generator=generator)
    deviations = torch.rand(rows, 2, generator=generator)
    return {"embeddings": embeddings, "labels": labels, "deviations": deviations}


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


def test_a_tokenizer_of_another_vocabulary_is_refused(build, tiny_tokenizer):
    model, known = build(), len(tiny_tokenizer)
    other = copy.deepcopy(tiny_tokenizer)
    other.add_tokens(["dreadful"])
    with pytest.raises(
        ValueError, match=rf"tokenizer has {known + 1} tokens, the encoder {known}: .* beside the model"
    ):
        model.predict(["a film."], other)

    class Gaps(type(tiny_tokenizer)):
        """Numbers its tokens with gaps, so that it counts too few of them."""

        def __call__(self, *arguments, **settings):
            batch = super().__call__(*arguments, **settings)
            batch["input_ids"][0, 1] = known + 6
            return batch

    gaps = copy.deepcopy(tiny_tokenizer)
    gaps.__class__ = Gaps
    with pytest.raises(ValueError, match=f"tokenizer has {known + 7} tokens"):
        model.predict(["a film."], gaps)


def test_an_arousal_that_is_not_annotated_has_no_gradient(build):
    model = build()
    inputs = batch(model)
    inputs["labels"][:, 1] = inputs["deviations"][:, 1] = torch.nan
    output = model(**inputs)
    (output.mean_error.sum() + output.deviation_error.sum() + output.nll.sum()).backward()
    for layer, valence in ((model.recognition.posterior, [0, 2]), (model.recognition.error, [0])):
        gradient = layer.weight.grad.abs().sum((0, 1))
        assert gradient.isfinite().all()
        assert [place for place, value in enumerate(gradient) if value > 0] == valence


def test_terms_of_the_loss(build):
    model, floor = build(), 0.1
    inputs = batch(model)
    noise = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(3))
    output = model(**inputs, noise=noise, nll_beta=0.0)
    mean, log_variance, error, states = model.recognise(inputs["embeddings"])
    sigma = (0.5 * log_variance).exp()
    scale = model.rating_deviation
    assert (sigma * scale > floor).all()
    posterior, prior = distributions.Normal(mean, sigma), distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(output.kl, distributions.kl_divergence(posterior, prior).sum(-1))
    wanted = (inputs["labels"] - model.rating_mean) / scale
    torch.testing.assert_close(output.mean_error, (mean - wanted).square().sum(-1))
    torch.testing.assert_close(output.deviation_error, (sigma - inputs["deviations"] / scale).square().sum(-1))
    width = (error.exp() + (floor / scale).square()).sqrt()
    nll = -distributions.Normal(mean, width).log_prob(wanted).sum(-1)
    torch.testing.assert_close(output.nll, nll)
    rebuilt = model.decoder(mean + sigma * noise, states)
    target = (inputs["embeddings"] - model.embedding_mean) / model.embedding_deviation
    torch.testing.assert_close(output.reconstruction, (rebuilt - target).square().mean(-1))
    terms = output.reconstruction + output.kl + output.mean_error + output.deviation_error + output.nll
    torch.testing.assert_close(output.loss, terms.sum(0).mean())


def test_the_head_of_the_error_does_not_move_the_mean(build):
    model = build()
    model(**batch(model)).nll.sum().backward()
    assert model.recognition.posterior.weight.grad is None
    assert model.recognition.error.weight.grad.abs().sum() > 0


def test_hidden_skips_leave_the_latent_alone(build):
    model = build()
    inputs = batch(model)
    noise = torch.zeros(2, 4, 2)
    hidden = model(**inputs, noise=noise, shown=torch.zeros(4, dtype=torch.bool))
    rebuilt = model.decoder(hidden.mean, None)
    target = model.standardise(inputs["embeddings"])
    torch.testing.assert_close(hidden.reconstruction, (rebuilt - target).square().mean(-1))
    shown = model(**inputs, noise=noise, shown=torch.ones(4, dtype=torch.bool))
    assert not torch.allclose(shown.reconstruction, hidden.reconstruction)
    free = build(skip_connections=False)
    _, _, _, states = free.recognise(inputs["embeddings"])
    assert torch.equal(free.rebuild(hidden.mean, states), free.rebuild(hidden.mean, None))


def test_the_mixture_prior_is_that_of_torch():
    torch.manual_seed(0)
    prior = MixturePrior(members=1, components=3)
    torch.nn.init.normal_(prior.logits)
    torch.nn.init.normal_(prior.log_variances)
    latents = torch.randn(1, 5, 2)
    parts = distributions.Independent(
        distributions.Normal(prior.means[0, 0], (0.5 * prior.log_variances[0, 0]).exp()), 1
    )
    mixture = distributions.MixtureSameFamily(distributions.Categorical(logits=prior.logits[0, 0]), parts)
    torch.testing.assert_close(prior.log_density(latents)[0], mixture.log_prob(latents[0]))


def kl_of_draws(model, mean, log_variance, draws=50_000):
    """Mean over draws of the KL of one posterior, and its standard error."""
    noise = torch.randn(1, draws, 2, generator=torch.Generator().manual_seed(0))
    mean, log_variance = (values.expand(1, draws, 2) for values in (mean, log_variance))
    with torch.no_grad():
        found = model.kl(mean, log_variance, mean + (0.5 * log_variance).exp() * noise)
    return found.mean(), found.std() / draws**0.5


MEAN, LOG_VARIANCE = torch.tensor([0.3, -0.8]), torch.tensor([-1.0, 0.4])


def test_the_kl_from_a_mixture_is_the_integral(build):
    """Of the posterior times the logarithm of both densities' ratio, on a fine grid over the plane."""
    model = build(prior_components=3, num_members=1)
    torch.nn.init.normal_(model.prior.logits)
    torch.nn.init.normal_(model.prior.log_variances, std=0.5)
    places = torch.cartesian_prod(*2 * [torch.linspace(-12, 12, 1201)])
    posterior = distributions.Normal(MEAN, (0.5 * LOG_VARIANCE).exp()).log_prob(places).sum(-1)
    with torch.no_grad():
        ratio = posterior - model.prior.log_density(places[None])[0]
    wanted = (posterior.double().exp() * ratio).sum() * 0.02**2
    found, error = kl_of_draws(model, MEAN, LOG_VARIANCE)
    assert abs(found - wanted) < 4 * error
    assert error < 0.01


def test_the_kl_from_a_mixture_of_one_gaussian_is_the_closed_form(build):
    model = build(prior_components=2, num_members=1)
    torch.nn.init.normal_(model.prior.logits)  # shares do not matter where both are the same
    location, log_scale = torch.tensor([0.5, 1.0]), torch.tensor([0.2, -0.3])
    model.prior.means.data[:] = location
    model.prior.log_variances.data[:] = 2 * log_scale
    wanted = distributions.kl_divergence(
        distributions.Normal(MEAN, (0.5 * LOG_VARIANCE).exp()), distributions.Normal(location, log_scale.exp())
    ).sum()
    found, error = kl_of_draws(model, MEAN, LOG_VARIANCE)
    assert abs(found - wanted) < 4 * error
    assert error < 0.03


def test_widths_keep_their_floor_and_the_interval_its_share(build):
    model = build(min_deviation=0.1)
    torch.nn.init.constant_(model.recognition.error.bias, -50.0)
    torch.nn.init.zeros_(model.recognition.error.weight)
    model.recognition.posterior.bias.data[..., 2:] = -50.0
    model.recognition.posterior.weight.data[..., 2:] = 0.0
    said = model.predict_embeddings(batch(model)["embeddings"])
    torch.testing.assert_close(said.rater_deviation, torch.full((4, 2), 0.1))
    model.calibration_offset.fill_(-50.0)
    said = model.predict_embeddings(batch(model)["embeddings"])
    torch.testing.assert_close(said.mean_deviation, torch.full((4, 2), 0.1))
    low, high = said.interval(0.9)
    torch.testing.assert_close(high - low, torch.full((4, 2), 0.2 * stats.norm.ppf(0.95)).float())


def test_the_ensembles_error_is_within_and_between_members(build):
    model = build()
    inputs = batch(model)["embeddings"]
    means, _, errors, _ = model.recognise(inputs)
    variance = (errors.exp() + model.floor.square()).mean(0) + means.var(0, unbiased=False)
    model.calibration_offset.copy_(torch.tensor([math.log(4.0), 0.0]))
    said = model.predict_embeddings(inputs)
    expected = variance.sqrt() * model.rating_deviation * torch.tensor([2.0, 1.0])
    torch.testing.assert_close(said.mean_deviation, expected)
    torch.testing.assert_close(said.mean, model.rating_mean + model.rating_deviation * means.mean(0))


def test_what_was_never_rated_is_not_predicted(build):
    said = build(rated=("valence",)).predict_embeddings(torch.randn(3, 64))
    assert said.mean[:, 1].isnan().all()
    assert said.mean[:, 0].isfinite().all()


def test_nearest_are_the_texts_that_a_rating_decodes_to(build):
    model = build()
    ratings = torch.tensor([[2.0, 3.0], [4.5, 4.0]])
    decoded = model.decode(ratings)
    corpus = torch.cat([torch.randn(5, model.config.embedding_size), decoded])
    assert model.nearest(ratings, corpus, num=1)[:, 0].tolist() == [5, 6]


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
def test_half_precision_weights_compute(build, tiny_tokenizer, sentences, tmp_path, dtype, changes):
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


def test_a_tuple_where_it_is_asked_for(build):
    model = build()
    parts = model(**batch(model), return_dict=False)
    assert isinstance(parts, tuple)
    assert parts[0].ndim == 0
