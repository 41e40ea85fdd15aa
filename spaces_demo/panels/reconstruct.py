"""A text, what its posterior knows, the text that comes back, and others from around it."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr
import limits
from loading import PinnedModel, seeded
from panels import MODEL_WORK, SHARE_SEED, record_box, seed_box, sentences_of

NEIGHBOURS = 4
KL_DRAWS = 16  # of the latent; under a learned prior the KL is an expectation over it
ACTIVE_SENTENCE, ACTIVE_CHUNK = 1.0, 0.1  # nats
FACTS = ["Sentence", "KL", "Chunks"]
EXAMPLES = [
    ["a moving and funny film, with a cast that is good."],
    ["The plot is dull. I would not watch it again, not even with friends."],
    ["an honest, sensitive story from a vietnamese point of view."],
]


class Reading(NamedTuple):
    """A text as the model has read it: its sentences with a posterior each."""

    sentences: list[str]
    posterior: Any


def read(model: PinnedModel, text: Any) -> Reading:
    """Sentences of a text and their posteriors, which takes seconds."""
    sentences, loaded = sentences_of(model, text, "Text"), model.load()
    return Reading(sentences, loaded.generation.encode_texts(loaded.model, sentences, loaded.tokenizer))


def facts(model: PinnedModel, reading: Reading) -> tuple[str, list[list[Any]]]:
    """What the posteriors hold, in a sentence and a row a sentence."""
    vae, generator = model.load().model, seeded(0)
    draws = [vae.kl(reading.posterior, reading.posterior.sample(1.0, generator)).detach() for _ in range(KL_DRAWS)]
    by_dimension = sum(draws) / KL_DRAWS
    kl = by_dimension.sum(-1).tolist()
    chunks = max(vae.config.latent_chunks, 1)
    active = (by_dimension.unflatten(-1, (chunks, -1)).sum(-1) > ACTIVE_CHUNK).sum(-1).tolist()
    rows = [
        [sentence, round(nats, 1), f"{count} of {chunks}"]
        for sentence, nats, count in zip(reading.sentences, kl, active, strict=True)
    ]
    told = sum(nats > ACTIVE_SENTENCE for nats in kl)
    return (
        f"KL of {sum(kl):.1f} nats between posterior and prior; {told} of {len(kl)} sentences active "
        f"(more than {ACTIVE_SENTENCE:g} nat). Each sentence has a latent of its own.",
        rows,
    )


def reconstruct(model: PinnedModel, text: Any, temperature: Any, seed: Any) -> tuple[Any, ...]:
    """Everything that the tab shows of a text, and its reading for `neighbours`."""
    limits.number(temperature, "Temperature", 0, 2)
    limits.seed(seed)
    reading = read(model, text)
    loaded = model.load()
    rebuilt = loaded.generation.decode_latents(loaded.model, reading.posterior.mean, loaded.tokenizer)
    return " ".join(rebuilt), *facts(model, reading), *neighbours(model, reading, temperature, seed), reading


def neighbours(model: PinnedModel, reading: Reading | None, temperature: Any, seed: Any) -> tuple[Any, str]:
    """Texts from around a reading, and how to get them again; the noise stays as the temperature changes."""
    temperature, seed = limits.number(temperature, "Temperature", 0, 2), limits.seed(seed)
    if reading is None:
        raise limits.refuse("There is no text to look around: press Reconstruct first.")
    loaded = model.load()
    repeated = type(reading.posterior)(*(part.repeat_interleave(NEIGHBOURS, dim=0) for part in reading.posterior))
    latents = repeated.sample(temperature, seeded(seed))
    decoded = loaded.generation.decode_latents(loaded.model, latents, loaded.tokenizer)
    texts = [" ".join(decoded[place::NEIGHBOURS]) for place in range(NEIGHBOURS)]
    record = model.record(neighbours=NEIGHBOURS, temperature=f"{temperature:g}", seed=seed) + " · and the same text"
    return [[text] for text in texts], record


def build(model: PinnedModel) -> gr.Number:
    """The tab; returns its seed."""
    gr.Markdown("The text is encoded, and decoded again. Neighbours are decoded from noise around its posterior.")
    text = gr.Textbox(label="Text", lines=3, max_length=limits.TEXT, placeholder="A sentence or a few about a film")
    button = gr.Button("Reconstruct", variant="primary")
    gr.Examples(EXAMPLES, text, label="Example texts")
    rebuilt = gr.Textbox(label="Reconstruction", interactive=False, lines=2)
    summary = gr.Textbox(label="Posterior", interactive=False, lines=2)
    with gr.Row():
        temperature = gr.Slider(
            0, 2, 1, step=0.1, label="Temperature", info="standard deviations of noise; slide it and look"
        )
        seed = seed_box()
    around = gr.Dataframe(
        headers=["Text"], label="Neighbours", interactive=False, wrap=True, column_count=1, buttons=[]
    )
    record = record_box()
    table = gr.Dataframe(
        headers=FACTS, label="Posterior, sentence by sentence: KL in nats, active chunks", interactive=False,
        wrap=True, buttons=[], column_widths=["50%", "22%", "28%"],
    )  # fmt: skip
    reading = gr.State(time_to_live=3600)

    gr.on(
        [button.click, text.submit], lambda *values: reconstruct(model, *values), [text, temperature, seed],
        [rebuilt, summary, table, around, record, reading], api_name="reconstruct", **MODEL_WORK,
    ).success(None, seed, None, js=SHARE_SEED)  # fmt: skip

    def slide(*values: Any) -> tuple[Any, Any]:
        return (gr.skip(), gr.skip()) if values[0] is None else neighbours(model, *values)

    gr.on(
        [temperature.input, seed.input], slide, [reading, temperature, seed], [around, record],
        trigger_mode="always_last", show_progress="hidden", api_visibility="private", **MODEL_WORK,
    )  # fmt: skip
    return seed
