"""One file a tab: what it computes, then what it shows. Here is what several have."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
import limits
from loading import PinnedModel

MODEL_WORK = {"concurrency_limit": 1, "concurrency_id": "model"}  # one request at a time, whatever its tab
# The address of the page may bring a seed along, for all tabs; anything else in its place is 0.
TAKE_SEED = """() => {
    const seed = new URLSearchParams(window.location.search).get("seed") || "";
    const known = /^[0-9]{1,10}$/.test(seed) && Number(seed) <= LAST_SEED;
    return Array(COUNT).fill(known ? Number(seed) : 0);
}""".replace("LAST_SEED", str(limits.LAST_SEED))
# What was drawn can be shared: the address of the page holds the seed, of a Space's outer page, too.
SHARE_SEED = """seed => {
    const url = new URL(window.location);
    url.searchParams.set("seed", seed);
    history.replaceState(history.state, "", url);
    if (window.parent !== window)
        window.parent.postMessage({queryString: url.search.slice(1)}, "https://huggingface.co");
}"""


def sentences_of(model: PinnedModel, text: Any, name: str) -> list[str]:
    """Sentences of a text that came from outside, none longer than the model reads."""
    text, loaded = limits.text(text, name), model.load()
    (sentences,) = loaded.sentences.fit_sentences([text], loaded.tokenizer, loaded.model.config.max_text_length)
    if len(sentences) > limits.SENTENCES:
        raise limits.refuse(f"{name} has {len(sentences)} sentences: shorten it to {limits.SENTENCES}.")
    return sentences


def plain(text: str) -> str:
    """Text for a page, in which neither HTML nor the templates of Gradio's HTML component see anything of theirs."""
    return escape(text).replace("{", "&#123;").replace("$", "&#36;").replace("@", "&#64;")


def seed_box() -> gr.Number:
    """The control for what is drawn."""
    return gr.Number(0, label="Seed", info=f"0 to {limits.LAST_SEED:,}; the same seed gives the same result", step=1)


def record_box(label: str = "To get this again") -> gr.Textbox:
    """The line below a result that says how to get it again."""
    # No copy button: Gradio puts it into the label, which then names the button and leaves the text nameless.
    return gr.Textbox(label=label, interactive=False, lines=1, max_lines=4)
