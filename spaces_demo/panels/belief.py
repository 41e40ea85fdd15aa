"""A review coloured by what a classifier believes after each of its words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import gradio as gr
import limits
from loading import PinnedClassifier
from panels import MODEL_WORK, plain, record_box

LONGEST = 600  # characters; every beginning of a review is read by itself
BATCH = 32
MOVERS = 5
EXAMPLES = [
    ["The first hour is dull and the jokes are bad, but the last scene made up for all of it."],
    ["Not a single joke misses."],
    ["Not a single joke lands."],
    ["I wanted to love this film. I really did."],
]
CSS = """
p.review { font-size: 1.15em; line-height: 2; }
p.review span { padding: 0.15em 0.1em; border-radius: 4px; cursor: pointer; }
p.review span:hover, p.review span:focus { outline: 2px solid var(--body-text-color); }
.said { min-height: 1.6em; }
"""
JS = """
const say = event => {
    const title = event.target.closest("p.review span")?.title;
    if (title) element.querySelector(".said").textContent = title;
};
for (const kind of ["pointerover", "click", "focusin"]) element.addEventListener(kind, say);
"""


class Belief(NamedTuple):
    """A review's words as they stand in it, and the probability of the second of two classes after each of them."""

    words: list[str]
    probabilities: list[float]
    classes: list[str]


def believe(model: PinnedClassifier, text: Any) -> Belief:
    """What the classifier believes of every beginning of the text that ends with a word."""
    import torch

    text = limits.text(text, "Review", LONGEST)
    classifier, tokenizer = model.load()
    encoded = tokenizer(text, truncation=True, return_offsets_mapping=True)
    ids, offsets, owners = encoded["input_ids"], encoded["offset_mapping"], encoded.word_ids()
    places = [place for place, owner in enumerate(owners) if owner is not None]
    if not places:
        raise limits.refuse("Review: the classifier knows none of its characters. Write words.")
    ends = [place for place in places if place == places[-1] or owners[place + 1] != owners[place]]
    beginnings = [{"input_ids": ids[: end + 1] + ids[places[-1] + 1 :]} for end in ends]
    probabilities: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(beginnings), BATCH):
            batch = tokenizer.pad(beginnings[start : start + BATCH], return_tensors="pt")
            logits = classifier(batch["input_ids"], batch["attention_mask"]).logits
            probabilities += logits.float().softmax(-1)[:, -1].tolist()
    cuts = [0, *(offsets[end][1] for end in ends)]
    words = [text[start:end] for start, end in pairwise(cuts)]
    return Belief(words, probabilities, model.classes)


def picture(belief: Belief) -> str:
    """The review as HTML: each word on a ground of the class that is believed after it, the surer the stronger."""
    spans = "".join(
        f'<span tabindex="0" style="background: rgb({"13 148 136" if share >= 0.5 else "220 38 38"} / '
        f'{abs(share - 0.5):.2f})" title="{plain(word.strip())}: {belief.classes[-1]} {share:.0%}">{plain(word)}</span>'
        for word, share in zip(belief.words, belief.probabilities, strict=True)
    )
    return f'<p class="review">{spans}</p><p class="said" aria-live="polite">Point at a word, or tap it.</p>'


def show(model: PinnedClassifier, text: Any) -> tuple[str, str, list[list[Any]], str]:
    """The verdict, the coloured review, the words that moved it most, and how to get this again."""
    belief = believe(model, text)
    share = belief.probabilities[-1]
    verdict = f"{belief.classes[-1] if share >= 0.5 else belief.classes[0]}, {max(share, 1 - share):.1%} sure"
    before = [0.5, *belief.probabilities[:-1]]
    moves = [now - then for now, then in zip(belief.probabilities, before, strict=True)]
    order = sorted(range(len(moves)), key=lambda place: -abs(moves[place]))[:MOVERS]
    rows = [
        [belief.words[place].strip(), f"{belief.probabilities[place]:.1%}", f"{100 * moves[place]:+.1f}"]
        for place in order
    ]
    return verdict, picture(belief), rows, model.record() + " · and the same review"


def build(model: PinnedClassifier) -> None:
    """The tab, of a classifier of two classes."""
    first, second = model.classes
    gr.Markdown(
        "An LSTM reads the review word by word: each is coloured by what the classifier believes after it, "
        f"green for {plain(second)}, red for {plain(first)}, the surer the stronger."
    )
    text = gr.Textbox(label="Review", lines=3, max_length=LONGEST, placeholder="A few sentences about a film")
    button = gr.Button("Read", variant="primary")
    gr.Examples(EXAMPLES, text, label="Example reviews")
    verdict = gr.Textbox(label="Verdict", interactive=False)
    shown = gr.HTML(label="Belief after each word", css_template=CSS, js_on_load=JS)
    table = gr.Dataframe(
        headers=["Word", f"{second} after it", "Moved by, points"], label="Words that moved it most", interactive=False,
        wrap=True, column_widths=["40%", "30%", "30%"], buttons=[],
    )  # fmt: skip
    record = record_box()
    gr.on(
        [button.click, text.submit], lambda value: show(model, value), text, [verdict, shown, table, record],
        api_name="belief", **MODEL_WORK,
    )  # fmt: skip
