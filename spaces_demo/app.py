"""The Space: what the pinned models do, by hand, and what a run found out about them.

`python app.py` starts it on the pins beside this file, `python app.py --pins FILE` on others.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

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


def build(pins: Pins) -> tuple[gr.Blocks, list[Pinned]]:
    """The page, and the models that it will load.

    Raises:
        PinError: a pin leads nowhere.
    """
    models = {profile: PinnedModel(pin) for profile, pin in pins.models.items()}
    used: list[Pinned] = list(models.values())
    seeds = []
    with gr.Blocks(title="textvae", analytics_enabled=False, delete_cache=(600, KEEP_SECONDS)) as page:
        told = "A variational autoencoder for text: what it remembers, mixes, makes up and grows." if models else ""
        gr.Markdown(f"# textvae\n{told}")
        with gr.Tabs():
            if models:
                seeds += _text_vae(models, pins.dataset)
            if pins.evidence:
                with gr.Tab("Evidence"):
                    evidence.build(pins.evidence.folder("datasets", "**/report.md"))
            if pins.lstm:
                with gr.Tab("Belief word by word"):
                    used.append(PinnedClassifier(pins.lstm))
                    belief.build(used[-1])
            if pins.emotion:
                with gr.Tab("Emotion map"):
                    used.append(PinnedEmotion(pins.emotion))
                    emotion.build(used[-1])
            if pins.digits:
                with gr.Tab("Digits") as tab:
                    used.append(PinnedAutoencoder(pins.digits))
                    seeds.append(digits.build(used[-1], tab))
        if seeds:
            page.load(None, None, seeds, js=TAKE_SEED.replace("COUNT", str(len(seeds))))
    return page, used


def _text_vae(models: dict[str, PinnedModel], dataset: Pin | None) -> list[gr.Number]:
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
            latent_map.build(model, dataset, tab)
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
        model.load()
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
