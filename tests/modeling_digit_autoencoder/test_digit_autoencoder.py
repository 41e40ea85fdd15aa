"""The digit autoencoder: its losses against worked cases, what it draws, what survives a reload."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from processes import stranger
from sklearn.mixture import GaussianMixture
from torch.distributions import Normal, kl_divergence
from transformers import AutoModel

from textvae.modeling_digit_autoencoder import DigitAutoencoderConfig, DigitAutoencoderModel

FILES = {
    "config.json", "model.safetensors", "configuration_digit_autoencoder.py", "modeling_digit_autoencoder.py",
    "mixture.py",
}  # fmt: skip


def build(**changes) -> DigitAutoencoderModel:
    torch.manual_seed(0)
    settings = {"image_size": 8, "channels": (4, 6), "hidden_size": 16, "latent_size": 3}
    return DigitAutoencoderModel(DigitAutoencoderConfig(**(settings | changes))).eval()


def images(num: int = 5, side: int = 8) -> torch.Tensor:
    return torch.rand(num, 1, side, side, generator=torch.Generator().manual_seed(1))


def with_prior(model: DigitAutoencoderModel, components: int = 4) -> GaussianMixture:
    """Fit a mixture to skewed points and give it to the model; returns scikit-learn's own."""
    points = np.random.default_rng(0).normal(size=(400, model.config.latent_size)) @ np.diag([1, 3, 0.2])
    points[::2] += 4
    mixture = GaussianMixture(components, random_state=0).fit(points)
    model.set_prior(*map(torch.from_numpy, (mixture.weights_, mixture.means_, mixture.covariances_)))
    return mixture


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize(
    ("side", "channels"), [(28, (4, 6, 8)), (8, (4, 6)), (8, (4, 6, 8)), (5, (4,)), (13, (4, 6, 8))]
)
def test_every_side_comes_back(side, channels, variational):
    out = build(image_size=side, channels=channels, variational=variational)(images(2, side))
    assert out.reconstruction.shape == (2, 1, side, side)
    assert out.latents.shape == (2, 3)
    assert (out.log_variance is None) == (out.nll is None) == (out.kl is None) == (not variational)


def test_the_loss_of_an_autoencoder_is_the_squared_error_a_pixel():
    model, seen, clean = build(), images(), images().flip(0)
    out = model(seen)
    torch.testing.assert_close(out.loss, torch.nn.functional.mse_loss(out.reconstruction, seen))
    assert torch.equal(out.latents, model.encode(seen).mean)
    torch.testing.assert_close(out.reconstruction, model.decode(out.mean))
    noisy = model(seen, labels=clean)
    assert torch.equal(noisy.reconstruction, out.reconstruction)
    torch.testing.assert_close(noisy.squared_error, (out.reconstruction - clean).square().mean((1, 2, 3)))
    torch.testing.assert_close(noisy.loss, noisy.squared_error.mean())


def test_the_loss_of_a_vae_is_cross_entropy_and_kl_in_nats():
    model, seen = build(variational=True), images()
    out = model(seen, generator=torch.Generator().manual_seed(3))
    posterior = Normal(out.mean, (out.log_variance / 2).exp())
    torch.testing.assert_close(out.kl, kl_divergence(posterior, Normal(0.0, 1.0)).sum(1))
    p = out.reconstruction
    nll = -(seen * p.log() + (1 - seen) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(out.nll, nll, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(out.loss, (out.nll + out.kl).mean())
    noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(out.latents, out.mean + posterior.stddev * noise)
    again = model(seen, generator=torch.Generator().manual_seed(3))
    assert torch.equal(again.latents, out.latents)
    assert not torch.equal(model(seen, generator=torch.Generator().manual_seed(4)).latents, out.latents)


def test_a_mixture_has_the_density_and_the_moments_of_scikit_learns():
    model = build()
    reference = with_prior(model)
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 2
    found = model.prior.log_density(points)
    np.testing.assert_allclose(found.numpy(), reference.score_samples(points.double().numpy()), rtol=1e-4, atol=1e-4)
    drawn = model.prior.sample(40_000, torch.Generator().manual_seed(0)).double().numpy()
    expected = reference.weights_ @ reference.means_
    spread = sum(
        weight * (covariance + np.outer(mean - expected, mean - expected))
        for weight, mean, covariance in zip(reference.weights_, reference.means_, reference.covariances_, strict=True)
    )
    np.testing.assert_allclose(drawn.mean(0), expected, atol=0.06)
    np.testing.assert_allclose(np.cov(drawn.T), spread, atol=0.25)


def test_generate_decodes_draws_of_the_prior():
    model = build()
    with pytest.raises(ValueError, match="set_prior"):
        model.generate(2)
    with_prior(model)
    drawn = model.generate(3, generator=torch.Generator().manual_seed(5))
    assert drawn.shape == (3, 1, 8, 8)
    torch.testing.assert_close(drawn, model.decode(model.prior.sample(3, torch.Generator().manual_seed(5))))
    vae = build(variational=True)
    noise = torch.randn(3, 3, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(vae.generate(3, generator=torch.Generator().manual_seed(5)), vae.decode(noise))


def test_an_interpolation_starts_and_ends_at_the_reconstructions():
    model, seen = build(), images(2)
    path = model.interpolate(seen[0], seen[1], steps=5)
    codes = model.encode(seen).mean
    assert path.shape == (5, 1, 8, 8)
    torch.testing.assert_close(path[[0, -1]], model.decode(codes))
    torch.testing.assert_close(path[2:3], model.decode(codes.mean(0, keepdim=True)))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (torch.rand(2, 1, 9, 9), r"pixel_values.*\(B, 1, 8, 8\).*9"),
        (torch.rand(2, 3, 8, 8), r"pixel_values.*3"),
        (torch.rand(2, 8, 8), "shape"),
        (images() * 255, r"\[0, 1\]"),
        (images() - 0.5, r"\[0, 1\]"),
        (torch.full((1, 1, 8, 8), float("nan")), "nan"),
    ],
)
def test_wrong_images_are_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        build()(wrong)
    with pytest.raises(ValueError, match=told.replace("pixel_values", "labels")):
        build()(images(), labels=wrong)


@pytest.mark.parametrize("shape", [(2, 4), (2, 2), (3,), (2, 1, 3)])
def test_latents_of_another_width_are_named(shape):
    with pytest.raises(ValueError, match=rf"latents .*\(B, 3\), not {re.escape(str(shape))}"):
        build().decode(torch.zeros(shape))


@pytest.mark.parametrize(
    "wrong",
    [{"image_size": 0}, {"latent_size": 0}, {"hidden_size": 0}, {"channels": ()}, {"channels": (4, 0)},
     {"image_size": 4, "channels": (4, 4, 4)}, {"num_hidden_layers": -1}, {"prior_components": -1},
     {"digit_share": 0.0}, {"digit_share": 1.5}],
)  # fmt: skip
def test_an_impossible_configuration_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DigitAutoencoderConfig(**wrong)


def test_weights_that_are_missing_start_like_new_ones(tmp_path):
    model = build()
    state = {
        name: value for name, value in model.state_dict().items() if "dense" not in name and "2.weight" not in name
    }
    model.save_pretrained(tmp_path, state_dict=state)
    fresh = DigitAutoencoderModel.from_pretrained(tmp_path)
    for name, new in fresh.named_parameters():
        old = model.get_parameter(name)
        assert torch.isfinite(new).all()
        assert new.abs().max() <= 3 * old.abs().max() + 1e-6, name
        assert new.ndim == 1 or 0.05 < new.std() < 0.5, name  # 1 / √(3 · inputs)


@pytest.mark.parametrize("variational", [False, True])
def test_a_reload_computes_the_same(tmp_path, variational):
    model = build(variational=variational)
    for _ in range(3):  # running means and deviations of the normalisation travel, too
        model.train()(images())
    with_prior(model.eval())
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert isinstance(again, DigitAutoencoderModel)
    assert again.config.prior_components == 4
    generators = [torch.Generator().manual_seed(0) for _ in range(4)]
    out, other = model(images(), generator=generators[0]), again(images(), generator=generators[1])
    assert torch.equal(out.reconstruction, other.reconstruction)
    assert torch.equal(model.generate(3, generator=generators[2]), again.generate(3, generator=generators[3]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("variational", [False, True])
def test_half_precision_weights_compute(tmp_path, variational, dtype):
    model = build(variational=variational)
    if not variational:
        with_prior(model)
    model.save_pretrained(tmp_path)
    half = DigitAutoencoderModel.from_pretrained(tmp_path, dtype=dtype)
    assert {weight.dtype for weight in half.parameters()} == {dtype}
    assert variational or {buffer.dtype for buffer in half.prior.buffers()} == {torch.float32}

    def alike(found, expected):
        torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.02)

    alike(*(one.generate(3, generator=torch.Generator().manual_seed(5)) for one in (half, model)))
    for seen in (images(), images().to(dtype)):
        out, expected = half(seen), model(images())
        alike(out.mean, expected.mean)
        assert out.loss.dtype == out.squared_error.dtype == torch.float32
        if not variational:  # whose noise is rounded, too
            alike(out.reconstruction, expected.reconstruction)
            alike(out.loss, expected.loss)
    alike(*(one.interpolate(*images(2), steps=3) for one in (half, model)))


def test_a_model_that_does_not_say_how_large_its_digits_are_learned_from_mnist(tmp_path):
    build(digit_share=1.0).save_pretrained(tmp_path)
    assert DigitAutoencoderModel.from_pretrained(tmp_path).config.digit_share == 1.0
    config = tmp_path / "config.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "digit_share"}))
    assert DigitAutoencoderModel.from_pretrained(tmp_path).config.digit_share == 20 / 28


def test_a_stranger_without_this_package_gets_the_same_images(tmp_path):
    model = build(variational=True)
    with_prior(model)
    folder = tmp_path / "digits"
    model.save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} == FILES
    script = f"""
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained({str(folder)!r}, trust_remote_code=True)
assert not any(name.startswith("textvae") for name in sys.modules)
assert not model.training and model.config.variational
model.save_pretrained({str(tmp_path / "again")!r})
print(model.generate(2, generator=torch.Generator().manual_seed(7)).tolist())
"""
    told = stranger(script, tmp_path)
    expected = model.generate(2, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(torch.tensor(json.loads(told)), expected, atol=1e-6, rtol=1e-6)
    assert {path.name for path in (tmp_path / "again").iterdir()} == FILES


def test_a_tuple_where_it_is_asked_for():
    parts = build()(images(), return_dict=False)
    assert isinstance(parts, tuple)
    assert parts[1].shape == (5, 1, 8, 8)
