"""Digit autoencoders on the Hub."""

from __future__ import annotations

import json
import re

from processes import stranger
from publishing import publish

from textvae.hub_cards.layouts import layout_of

CODE = ["configuration_digit_autoencoder.py", "mixture.py", "modeling_digit_autoencoder.py"]


def laid_out(run, staging):
    return {repo.id: repo for repo in layout_of(run, "org", staging).all()}


def test_exactly_these_files_travel(digits_run, tmp_path):
    repos = laid_out(digits_run, tmp_path / "staging")
    assert list(repos) == ["org/digits-ae-4", "org/digits-denoising", "org/digits-vae-3"]  # the main one first
    found = [path.relative_to(repos["org/digits-ae-4"].folder).as_posix() for path in repos["org/digits-ae-4"].files]
    assert sorted(found) == sorted(
        ["README.md", "config.json", "evaluation.json", "model.safetensors", *CODE]
        + [f"pictures/{name}" for name in (
            "generated_ae_4.png", "interpolations_ae_4.png", "latent_map_ae_4.svg", "loss_ae_4.svg",
            "reconstructions_ae_4.png",
        )]
    )  # fmt: skip


def test_the_main_model_takes_the_name_that_is_asked_for(digits_run, tmp_path):
    repos = layout_of(digits_run, "org", tmp_path / "staging", "mine").all()
    assert [repo.id for repo in repos] == ["org/mine", "org/digits-denoising", "org/digits-vae-3"]


def test_the_cards_say_what_was_measured(digits_run, tmp_path):
    found = json.loads((digits_run / "evaluation.json").read_text())
    cards = {
        name: (repo.folder / "README.md").read_text() for name, repo in laid_out(digits_run, tmp_path / "s").items()
    }
    assert f"| squared error a pixel | {found['mse_latent_4']:.4f} |" in cards["org/digits-ae-4"]
    accepted = f"{100 * found['accepted_share_ae_4']:.1f} % |"
    assert f"| generated digits that a judge accepts, of 40 unpicked ones | {accepted}" in cards["org/digits-ae-4"]
    assert f"| −ELBO, nats an image | {found['vae_loss_latent_3']:.2f} ±" in cards["org/digits-vae-3"]
    assert (
        f"| of what the model makes of them | {found['denoised_mse_denoising']:.4f} |" in cards["org/digits-denoising"]
    )
    assert "generate" not in cards["org/digits-denoising"]


def test_strangers_use_what_is_published(digits_run, smoke_mirror, hub, tmp_path):
    done = publish(hub, digits_run, smoke_mirror, tmp_path, "--push")
    assert done.returncode == 0, done.stderr[-3000:]
    pins = json.loads(hub.repo("org/textvae-demo", "spaces").files()["pins.json"])
    assert set(pins) == {"digits"}
    assert re.fullmatch("[0-9a-f]{40}", pins["digits"]["revision"])
    script = """
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained("org/digits-ae-4", trust_remote_code=True).eval()
print(model.generate(3, generator=torch.Generator().manual_seed(0)).shape)
"""
    told = stranger(script, tmp_path, **hub.environment, HF_HOME=tmp_path / "stranger")
    assert "torch.Size([3, 1, 8, 8])" in told
