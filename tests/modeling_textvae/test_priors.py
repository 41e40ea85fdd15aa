"""Fitted priors: their density and draws, on disk and back, and what `generate` makes of them."""

from __future__ import annotations

import math

import pytest
import torch

from textvae.modeling_textvae import TextVAEModel
from textvae.modeling_textvae.chunk_prior import ChunkPrior
from textvae.modeling_textvae.priors import ClassChunkPrior, LatentPrior, MixturePrior


@pytest.fixture
def prior():
    """Class 0: N((0, 0), diag(1, 4)); class 1: half N((5, 5), I), half N((−5, 5), I)."""
    means = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[5.0, 5.0], [-5.0, 5.0]]])
    scales = torch.eye(2).repeat(2, 2, 1, 1)
    scales[0, :, 1, 1] = 2.0
    return MixturePrior(torch.tensor([[0.0, -math.inf], [math.log(0.5)] * 2]), means, scales, {"kind": "mixture"})


def test_density_by_hand(prior):
    latents = torch.tensor([[0.0, 2.0], [5.0, 5.0]])
    density = prior.log_density(latents, torch.tensor([0, 1]))
    # −log(2π) − log 2 − ½ (2/2)²; and −log(2π) + log ½, the other component 10 units away.
    expected = [-math.log(2 * math.pi) - math.log(2) - 0.5, -math.log(2 * math.pi) - math.log(2)]
    assert density.tolist() == pytest.approx(expected)


def test_draws_have_the_moments_of_their_class(prior):
    classes = torch.tensor([0, 1]).repeat(20_000)
    drawn = prior.sample(classes, generator=torch.Generator().manual_seed(0))
    first, second = drawn[::2], drawn[1::2]
    assert first.mean(0).tolist() == pytest.approx([0, 0], abs=0.05)
    assert first.var(0).tolist() == pytest.approx([1, 4], rel=0.05)
    assert second.mean(0).tolist() == pytest.approx([0, 5], abs=0.1)
    assert second.var(0).tolist() == pytest.approx([26, 1], rel=0.05)
    still = prior.sample(classes[:2], temperature=0.0, generator=torch.Generator().manual_seed(0))
    assert still[0].tolist() == [0, 0]
    assert still[1].abs().tolist() == [5, 5]
    with pytest.raises(ValueError, match="0 to 1"):
        prior.sample(torch.tensor([2]))


def test_a_prior_beside_the_weights_comes_back_and_is_drawn_from(tiny_model, tmp_path):
    centres = torch.tensor([[[3.0] * 16], [[-3.0] * 16]])
    prior = MixturePrior(torch.zeros(2, 1), centres, 1e-6 * torch.eye(16).repeat(2, 1, 1, 1), {"kind": "gaussian"})
    tiny_model.save_pretrained(tmp_path)
    prior.save(tmp_path / "classes.prior.safetensors")
    model = TextVAEModel.from_pretrained(tmp_path)
    loaded = model.load_prior("classes")
    assert loaded.facts == {"kind": "gaussian"}
    assert torch.equal(loaded.scales, prior.scales)
    ids = model.generate(prior=loaded, class_ids=torch.tensor([0, 1]), num_return_sequences=2, do_sample=False)
    expected = model.generate(centres[:, 0].repeat_interleave(2, 0), do_sample=False)
    assert torch.equal(ids, expected)
    assert len(model.generate(prior=loaded, num_return_sequences=3)) == 3
    with pytest.raises(OSError, match=r"absent\.prior\.safetensors"):
        model.load_prior("absent")


def test_a_prior_over_chunks_comes_back_with_its_guidance(tmp_path):
    torch.manual_seed(0)
    chunks = ChunkPrior(chunks=4, size=4, num_classes=3)
    torch.nn.init.normal_(chunks.place)
    prior = ClassChunkPrior(chunks, guidance=2.0, facts={"labelled": True})
    prior.save(tmp_path / "classes.prior.safetensors")
    loaded = LatentPrior.load(tmp_path / "classes.prior.safetensors")
    assert loaded.facts == {"labelled": True, "guidance": 2.0}
    assert loaded.num_classes == 3
    classes = torch.tensor([0, 1, 2, 2])
    drawn = [p.sample(classes, generator=torch.Generator().manual_seed(1)) for p in (prior, loaded)]
    assert torch.equal(*drawn)
    plain = ClassChunkPrior(chunks).sample(classes, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(plain, drawn[0])
    with torch.no_grad():
        torch.testing.assert_close(loaded.log_density(plain, classes), prior.log_density(plain, classes))
    with pytest.raises(ValueError, match="0 to 2"):
        loaded.sample(torch.tensor([3]))
