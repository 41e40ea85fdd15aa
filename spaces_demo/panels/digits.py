"""A digit that is drawn by hand, seen as the autoencoder sees it, and rebuilt; and digits that it makes up."""

from __future__ import annotations

import base64
import io
from typing import Any

import gradio as gr
import limits
import numpy as np
from loading import PinnedAutoencoder, seeded
from panels import MODEL_WORK, SHARE_SEED, record_box, seed_box

CANVAS = 280  # pixels a side
LARGEST = 2 * CANVAS  # of a drawing that comes from elsewhere
INK = 0.05  # lightest grey that counts as drawn
MNIST_SHARE = 20 / 28  # of an image's side is taken by its digit
MADE = 16
CSS = """
figure { display: inline-block; margin: 0 16px 8px 0; }
img { height: 224px; max-width: 100%; image-rendering: pixelated; border: 1px solid var(--border-color-primary); }
"""
# Gradio's canvas waits for its brush to be chosen, which nobody expects; it is there a moment after the tab.
CHOOSE_BRUSH = """() => { setTimeout(() => document.querySelector("button[title=Brush]")?.click(), 500); }"""


def drawn_pixels(value: Any) -> np.ndarray:
    """(H, W) grey values in [0, 1] of what a canvas holds, ink being 1."""
    picture = value.get("composite") if isinstance(value, dict) else None
    if not isinstance(picture, np.ndarray) or picture.ndim != 3:
        raise limits.refuse("Drawing: nothing there. Draw a digit.")
    if max(picture.shape[:2]) > LARGEST:
        raise limits.refuse(f"Drawing: more than {LARGEST} pixels a side. Draw it here.")
    ink = 1 - picture[:, :, :3].astype(np.float32).mean(-1) / 255
    if ink.max() < INK:
        raise limits.refuse("Drawing: the canvas is empty. Draw a digit.")
    return ink


def as_seen(ink: np.ndarray, side: int, share: float) -> np.ndarray:
    """(side, side) as training images are made: its digit's box takes `share` of the side, its centre of mass is in the
    middle.

    LeCun et al. 1998, as http://yann.lecun.com/exdb/mnist tells it.
    """
    import torch

    rows, columns = np.flatnonzero(ink.max(1) >= INK), np.flatnonzero(ink.max(0) >= INK)
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = round(share * side) / max(digit.shape)
    size = tuple(max(1, round(scale * length)) for length in digit.shape)
    small = torch.nn.functional.interpolate(torch.from_numpy(digit)[None, None], size, mode="area")[0, 0].numpy()
    weights = small.sum()
    middle = [(small.sum(axis) * np.arange(small.shape[1 - axis])).sum() / weights for axis in (1, 0)]
    corner = [
        min(max(round((side - 1) / 2 - where), 0), side - length)
        for where, length in zip(middle, small.shape, strict=True)
    ]
    image = np.zeros((side, side), dtype=np.float32)
    image[corner[0] : corner[0] + small.shape[0], corner[1] : corner[1] + small.shape[1]] = small
    return image.clip(0, 1)


def rebuild(model: PinnedAutoencoder, value: Any) -> tuple[str, str, str]:
    """What the model sees of a drawing beside what it makes of it, how far these differ, and how to get it again."""
    import torch

    autoencoder = model.load()
    config = autoencoder.config
    # Older models do not say how large the digits were that they learned from.
    seen = as_seen(drawn_pixels(value), config.image_size, getattr(config, "digit_share", MNIST_SHARE))
    with torch.inference_mode():
        pixels = torch.from_numpy(seen)[None, None]
        rebuilt = autoencoder.decode(autoencoder.encode(pixels).mean)
    error = (rebuilt - pixels).square().mean().item()
    told = f"{config.latent_size} numbers; mean squared error a pixel {error:.4f}"
    both = picture(seen, "As the model sees it") + picture(rebuilt[0, 0].numpy(), "Rebuilt")
    return both, told, model.record() + " · and the same drawing"


def make(model: PinnedAutoencoder, seed: Any) -> tuple[str, str]:
    """A sheet of digits that nobody drew, and how to get it again."""
    seed = limits.seed(seed)
    images = model.load().generate(MADE, generator=seeded(seed))[:, 0].numpy()
    across = MADE // 2
    sheet = np.concatenate([np.concatenate(list(images[start : start + across]), 1) for start in (0, across)])
    return picture(sheet, f"{MADE} digits that nobody drew"), model.record(digits=MADE, seed=seed)


def picture(image: np.ndarray, alt: str) -> str:
    """(H, W) in [0, 1] → HTML of a picture with dark ink on white. Gradio's own has a button that nothing names."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray((255 * (1 - image)).round().astype(np.uint8)).save(file, "png")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<figure><img src="data:image/png;base64,{data}" alt="{alt}"><figcaption>{alt}</figcaption></figure>'


def build(model: PinnedAutoencoder, tab: gr.Tab) -> gr.Number:
    """The tab; returns its seed."""
    gr.Markdown("Choose the brush and draw a digit: the autoencoder keeps a few numbers of it, and draws it anew.")
    canvas = gr.Sketchpad(
        label="Drawing", type="numpy", image_mode="RGB", canvas_size=(CANVAS, CANVAS), fixed_canvas=True, layers=False,
        brush=gr.Brush(default_size=22, colors=["#000000"], color_mode="fixed"), transforms=(), buttons=[],
    )  # fmt: skip
    tab.select(None, None, None, js=CHOOSE_BRUSH)
    button = gr.Button("Rebuild", variant="primary")
    shown = gr.HTML(label="The drawing, and what became of it", css_template=CSS)
    told = gr.Textbox(label="What it kept", interactive=False)
    record = record_box()
    gr.on(
        button.click, lambda value: rebuild(model, value), canvas, [shown, told, record],
        api_name="rebuild", **MODEL_WORK,
    )  # fmt: skip
    seed = seed_box()
    another = gr.Button("Make digits up")
    sheet = gr.HTML(label="Digits that nobody drew", css_template=CSS)
    made_record = record_box("To get these digits again")
    gr.on(
        another.click, lambda value: make(model, value), seed, [sheet, made_record], api_name="digits", **MODEL_WORK
    ).success(None, seed, None, js=SHARE_SEED)
    return seed
