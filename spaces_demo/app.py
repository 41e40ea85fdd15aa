"""The Space: what the pinned models do, by hand, and what a run found out about them.

`python app.py` starts it on the pins beside this file, `python app.py --pins FILE` on others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# Read by Gradio and huggingface_hub when they are imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"  # which it keeps whether or not it sends any
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr
import limits
from loading import (
    Pin,
    PinError,
    Pinned,
    PinnedAutoencoder,
    PinnedClassifier,
    PinnedEmotion,
    PinnedModel,
    Pins,
    read_pins,
)
from panels import TAKE_SEED, belief, digits, emotion, evidence, generate, grow, interpolate, latent_map, reconstruct
from starlette.middleware import Middleware

CSS = """
.virtual-table-viewport { --font-mono: var(--font); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 16px; }
.plots figure { margin: 0; padding: 8px; border-radius: 8px; background: #fff; color-scheme: light; }
.plots img { width: 100%; }
.plots figcaption { color: #1f2328; text-align: center; }
.report table { display: block; border: none !important; overflow-x: auto; }
.report :is(td, th) { white-space: nowrap; }
"""
KEEP_SECONDS = 3600

Found = TypeVar("Found")


def build(pins: Pins) -> tuple[gr.Blocks, list[Pinned]]:
    """The page, and the models that it will load. A pin that leads nowhere costs its own tab, and the page says so.

    Raises:
        PinError: no pin leads to a model.
    """
    missing: list[PinError] = []

    def found(find: Callable[[Pin], Found], pin: Pin | None) -> Found | None:
        try:
            return find(pin) if pin else None
        except PinError as error:
            missing.append(error)
            return None

    vaes = {profile: found(PinnedModel, pin) for profile, pin in pins.models.items()}
    models = {profile: model for profile, model in vaes.items() if model}
    dataset = found(lambda pin: (pin, pin.folder("datasets", "train.parquet")), pins.dataset if models else None)
    reports = found(evidence.find, pins.evidence)
    classifier, feelings = found(PinnedClassifier, pins.lstm), found(PinnedEmotion, pins.emotion)
    autoencoder = found(PinnedAutoencoder, pins.digits)
    used: list[Pinned] = [*models.values(), *(one for one in (classifier, feelings, autoencoder) if one)]
    if not used:
        raise missing[0]
    seeds = []
    with gr.Blocks(title="textvae", analytics_enabled=False, delete_cache=(600, KEEP_SECONDS)) as page:
        told = "A variational autoencoder for text: what it remembers, mixes, makes up and grows." if models else ""
        gr.Markdown(f"# textvae\n{told}")
        for error in missing:
            print(f"error: {error}", file=sys.stderr)
            gr.Markdown(f"Not shown: `{error}`")
        with gr.Tabs():
            if models:
                seeds += _text_vae(models, dataset)
            if reports:
                with gr.Tab("Evidence"):
                    evidence.build(reports)
            if classifier:
                with gr.Tab("Belief word by word"):
                    belief.build(classifier)
            if feelings:
                with gr.Tab("Emotion map"):
                    emotion.build(feelings)
            if autoencoder:
                with gr.Tab("Digits") as tab:
                    seeds.append(digits.build(autoencoder, tab))
        if seeds:
            page.load(None, None, seeds, js=TAKE_SEED.replace("COUNT", str(len(seeds))))
    return page, used


def _text_vae(models: dict[str, PinnedModel], dataset: tuple[Pin, Path] | None) -> list[gr.Number]:
    """The tabs of the text VAE; returns their seeds."""
    model, seeds = models.get("augment") or models["generate"], []
    with gr.Tab("Reconstruct"):
        seeds.append(reconstruct.build(model))
    with gr.Tab("Interpolate"):
        interpolate.build(model)
    with gr.Tab("Generate"):
        seeds.append(generate.build(models))
    if dataset:
        with gr.Tab("Latent map") as tab:
            latent_map.build(model, *dataset, tab)
    with gr.Tab("Grow a dataset"):
        seeds.append(grow.build(model))
    return seeds


def main() -> int:
    """Start the app; returns the exit code."""
    parser = argparse.ArgumentParser(description="The demo of textvae.")
    parser.add_argument("--pins", type=Path, default=Path(__file__).with_name("pins.json"), metavar="FILE")
    args = parser.parse_args()
    try:
        page, models = build(read_pins(args.pins))
    except PinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    page.queue(max_size=32, default_concurrency_limit=4, api_open=False)
    page.launch(
        prevent_thread_lock=True,
        share=False,
        show_error=True,
        max_file_size=limits.FILE,
        state_session_capacity=200,
        run_history=False,
        mcp_server=False,
        enable_monitoring=False,
        footer_links=["api", "settings"],
        css=CSS,
        app_kwargs={"middleware": [Middleware(limits.BodyLimit)]},
    )
    for model in models:  # the page is there already; a request that comes first waits for the same
        try:
            model.load()
        except Exception as error:  # of whatever code came with the weights; the other tabs go on
            print(f"error: {model.pin}: {error}", file=sys.stderr)
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
