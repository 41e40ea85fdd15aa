"""The demo on tiny models: its modules as a Space has them, its folders, and a server that runs `app.py`."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import serving

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "spaces_demo"
sys.path.insert(0, str(DEMO))  # a Space's files import each other as top-level modules


@pytest.fixture(scope="session")
def kept():
    """What the fixtures below make once; servers in it are ended."""
    with contextlib.ExitStack() as servers:
        yield SimpleNamespace(folder=None, server=None, servers=servers)


@pytest.fixture
def folder(kept, tiny_model, tiny_encoder, tiny_tokenizer, sentences, tmp_path_factory):
    """A folder with `vae`, `dataset` and `evidence`, and the pins of these in `pins.json`."""
    if kept.folder is None:
        import pandas as pd
        import torch

        from textvae.modeling_textvae.priors import ResampledPrior

        root = tmp_path_factory.mktemp("demo")
        tiny_model.config.max_text_length = 48
        tiny_model.save_pretrained(root / "vae")
        tiny_tokenizer.save_pretrained(root / "vae")
        weight = torch.randn(tiny_model.config.decoder_vocab_size, 2, generator=torch.Generator().manual_seed(0))
        facts = {"candidates": 2, "sharpness": 1.0, "classes": ["neg", "pos"]}
        ResampledPrior(weight, torch.zeros(2), facts).save(root / "vae/classes.prior.safetensors")
        _save_lstm(root / "lstm", tiny_tokenizer)
        _save_emotion(root / "emotion", tiny_encoder, tiny_tokenizer)
        _save_autoencoder(root / "digits")
        texts = [*sentences, "<b>bold</b> & <img src=x onerror=window.pwned=1>"]
        rows = pd.DataFrame({"text": texts, "label": ["pos", "neg"] * 4 + ["neg"], "method": "original"})
        (root / "dataset").mkdir()
        rows.to_parquet(root / "dataset/train.parquet")
        pins = {
            "models": {name: {"id": str(root / "vae")} for name in ("augment", "generate")},
            "dataset": {"id": str(root / "dataset")},
            "lstm": {"id": str(root / "lstm")},
            "emotion": {"id": str(root / "emotion")},
            "digits": {"id": str(root / "digits")},
            "evidence": {"id": str(ROOT / "docs/results/quickstart")},
        }
        (root / "pins.json").write_text(json.dumps(pins))
        kept.folder = root
    return kept.folder


def _save_lstm(folder, tokenizer):
    """A random classifier."""
    import torch

    from textvae.modeling_lstm import LstmConfig, LstmForSequenceClassification

    names = {0: "neg", 1: "pos"}
    config = LstmConfig(vocab_size=len(tokenizer), embedding_size=4, hidden_size=4, pooling="last", id2label=names)
    torch.manual_seed(0)
    lstm = LstmForSequenceClassification(config)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.uniform_(-1, 1)
    lstm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _save_emotion(folder, encoder, tokenizer):
    """A random model of emotions, and a map of two sentences."""
    import torch

    from textvae.modeling_emotion_vae import EmotionVAEModel

    torch.manual_seed(0)
    model = EmotionVAEModel.from_encoder_pretrained(
        str(encoder), encoder_layers=(0, 2), hidden_size=8, num_members=2, max_text_length=64
    )
    model.rating_mean.fill_(3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "map.json").write_text(json.dumps([["<b>i loved it</b>", 4.1, 3.5], ["a dull film.", 2.2, 2.4]]))


@pytest.fixture
def emotion(folder):
    from loading import Pin, PinnedEmotion

    return PinnedEmotion(Pin(str(folder / "emotion")))


def _save_autoencoder(folder):
    """A random autoencoder that generates."""
    import torch

    from textvae.modeling_digit_autoencoder import DigitAutoencoderConfig, DigitAutoencoderModel

    torch.manual_seed(0)
    config = DigitAutoencoderConfig(image_size=28, latent_size=3, channels=(4, 4), hidden_size=8, variational=True)
    DigitAutoencoderModel(config).save_pretrained(folder)


@pytest.fixture
def autoencoder(folder):
    from loading import Pin, PinnedAutoencoder

    return PinnedAutoencoder(Pin(str(folder / "digits")))


@pytest.fixture
def classifier(folder):
    from loading import Pin, PinnedClassifier

    return PinnedClassifier(Pin(str(folder / "lstm")))


@pytest.fixture
def model(folder):
    from loading import Pin, PinnedModel

    return PinnedModel(Pin(str(folder / "vae")))


@pytest.fixture
def server(kept, folder, tmp_path_factory):
    """`app.py` on the tiny models in a process of its own: `url`, `process`, `log`."""
    if kept.server is None:
        place = tmp_path_factory.mktemp("server")
        command = [sys.executable, DEMO / "app.py", "--pins", folder / "pins.json"]
        kept.server = kept.servers.enter_context(serving(command, place, GRADIO_TEMP_DIR=place / "cache"))
    return kept.server
