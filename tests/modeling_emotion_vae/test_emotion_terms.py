"""The emotion VAE's terms and widths against worked cases."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import distributions

from textvae.modeling_emotion_vae.networks import MixturePrior

MEAN, LOG_VARIANCE = torch.tensor([0.3, -0.8]), torch.tensor([-1.0, 0.4])


def test_an_arousal_that_is_not_annotated_has_no_gradient(build, batch):
    model = build()
    inputs = batch(model)
    inputs["labels"][:, 1] = inputs["deviations"][:, 1] = torch.nan
    output = model(**inputs)
    (output.mean_error.sum() + output.deviation_error.sum() + output.nll.sum()).backward()
    for layer, valence in ((model.recognition.posterior, [0, 2]), (model.recognition.error, [0])):
        gradient = layer.weight.grad.abs().sum((0, 1))
        assert gradient.isfinite().all()
        assert [place for place, value in enumerate(gradient) if value > 0] == valence


@pytest.mark.parametrize("nll_beta", [0.0, 0.5])
def test_terms_of_the_loss(build, batch, nll_beta):
    model, floor = build(), 0.1
    inputs = batch(model)
    noise = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(3))
    output = model(**inputs, noise=noise, nll_beta=nll_beta)
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
    nll = -distributions.Normal(mean, width).log_prob(wanted)
    torch.testing.assert_close(output.nll, (width ** (2 * nll_beta) * nll).sum(-1))
    rebuilt = model.decoder(mean + sigma * noise, states)
    target = (inputs["embeddings"] - model.embedding_mean) / model.embedding_deviation
    torch.testing.assert_close(output.reconstruction, (rebuilt - target).square().mean(-1))
    terms = output.reconstruction + output.kl + output.mean_error + output.deviation_error + output.nll
    torch.testing.assert_close(output.loss, terms.sum(0).mean())


def test_the_head_of_the_error_does_not_move_the_mean(build, batch):
    model = build()
    model(**batch(model)).nll.sum().backward()
    assert model.recognition.posterior.weight.grad is None
    assert model.recognition.error.weight.grad.abs().sum() > 0


def test_hidden_skips_leave_the_latent_alone(build, batch):
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


def test_widths_keep_their_floor_and_the_interval_its_share(build, batch):
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


def test_the_ensembles_error_is_within_and_between_members(build, batch):
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


def test_ratings_find_their_texts_though_the_encoder_has_moved_all_of_them(build, monkeypatch):
    model, generator = build(), torch.Generator().manual_seed(0)
    ratings = torch.rand(40, 2, generator=generator) * 4 + 1
    moved, own = model.decode(ratings) + 5, torch.arange(40)
    assert (model.nearest(ratings, moved, num=1)[:, 0] == own).sum() < 10
    latents = ((ratings - model.rating_mean) / model.rating_deviation).expand(2, -1, -1)
    monkeypatch.setattr(model, "recognise", lambda *_: (latents,))  # as the posterior of a trained model's texts is
    for _ in range(2):  # the second time from what the first one set
        model.set_centre(moved)
        assert (model.nearest(ratings, moved, num=1)[:, 0] == own).all()
        assert torch.allclose(model.decode(ratings).mean(0), moved.mean(0), atol=1e-4)


def test_one_text_is_not_taken_for_a_list_of_its_letters(build, tiny_tokenizer):
    with pytest.raises(ValueError, match="texts is a str; give a list of texts"):
        build().predict("a good film", tiny_tokenizer)


def test_a_small_corpus_is_all_there_is(build):
    model = build()
    corpus = torch.randn(3, model.config.embedding_size)
    assert sorted(model.nearest(torch.tensor([[2.0, 3.0]]), corpus, num=5)[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("coverage", [90, 1, 0.0, -0.5, math.nan])
def test_a_coverage_that_is_no_share_is_named(build, batch, coverage):
    model = build()
    said = model.predict_embeddings(batch(model)["embeddings"])
    with pytest.raises(ValueError, match=f"coverage must lie between 0 and 1, not {coverage:g}"):
        said.interval(coverage)


@pytest.mark.parametrize(
    ("rating", "deviation", "message"),
    [
        (9.0, 0.5, "a rating of 9 lies outside 1 to 5"),
        (0.5, 0.5, "a rating of 0.5 lies outside 1 to 5"),
        (3.0, -0.5, "a deviation of -0.5 lies outside 0 to 4"),
        (3.0, 4.5, "a deviation of 4.5 lies outside 0 to 4"),
    ],
)
def test_what_nobody_can_have_rated_is_refused(build, batch, rating, deviation, message):
    model = build()
    inputs = batch(model)
    model(**inputs)
    inputs["labels"][2, 1], inputs["deviations"][2, 1] = rating, deviation
    with pytest.raises(ValueError, match=message):
        model(**inputs)
    if "rating" in message:
        with pytest.raises(ValueError, match=message):
            model.decode(inputs["labels"])
        with pytest.raises(ValueError, match=message):
            model.nearest(inputs["labels"], inputs["embeddings"], num=1)


def test_an_arousal_that_is_not_rated_is_no_number(build, batch):
    model = build(rated=("valence",))
    inputs = batch(model)
    with pytest.raises(ValueError, match="does not rate arousal: its rating must be NaN"):
        model(**inputs)
    with pytest.raises(ValueError, match="does not rate arousal: its rating must be NaN"):
        model.decode(inputs["labels"])
    inputs["labels"][:, 1] = torch.nan
    with pytest.raises(ValueError, match="does not rate arousal: its deviation must be NaN"):
        model(**inputs)
    inputs["deviations"][:, 1] = torch.nan
    assert model(**inputs).loss.isfinite()
    latents = (inputs["labels"] - model.rating_mean) / model.rating_deviation
    latents[:, 1] = 0
    rebuilt = model.rebuild(latents.expand(2, -1, -1), None)
    torch.testing.assert_close(model.standardise(model.decode(inputs["labels"])), rebuilt)
