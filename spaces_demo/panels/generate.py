"""Sentences drawn from a model's prior, or from what a class is under it."""

from __future__ import annotations

from typing import Any

import gradio as gr
import limits
from loading import PinnedModel, seeded
from panels import MODEL_WORK, SHARE_SEED, record_box, seed_box

ANY = "any"
EXAMPLES = [[5, 1.0, 0.9, 1], [10, 0.8, 0.8, 2], [10, 1.2, 1.0, 3]]


def generate(
    models: dict[str, PinnedModel], profile: Any, label: Any, number: Any, temperature: Any, top_p: Any, seed: Any
) -> tuple[list[list[str]], str]:
    """A row a sentence, and how to get them again."""
    if profile not in models:
        raise limits.refuse(f"Profile must be {' or '.join(models)}.")
    model = models[profile]
    if label not in [ANY, *model.classes]:
        raise limits.refuse("Label: this model knows no such class. Choose one from the list.")
    number = limits.whole(number, "Sentences", 1, 20)
    temperature = limits.number(temperature, "Temperature", 0.1, 2)
    top_p = limits.number(top_p, "Top-p", 0.1, 1)
    seed = limits.seed(seed)
    fixed = {name: value for name, value in model.sampling.items() if name != "top_p"}
    settings = {"temperature": temperature, "top_p": top_p, **fixed}
    wanted = {"num_return_sequences": number}
    loaded = model.load()
    if label != ANY:
        import torch

        wanted = {"prior": loaded.prior, "class_ids": torch.full((number,), model.classes.index(label))}
    ids = loaded.model.generate(**wanted, **settings, generator=seeded(seed))
    told = {name: f"{value:g}" for name, value in settings.items()}
    rows = [[text] for text in loaded.generation.decode_ids(ids, loaded.tokenizer)]
    return rows, model.record(label=label, sentences=number, **told, seed=seed)


def build(models: dict[str, PinnedModel]) -> gr.Number:
    """The tab; returns its seed."""
    first = next(iter(models.values()))
    gr.Markdown("Sentences that nobody wrote. A label is asked of the class prior that was saved with the model.")
    with gr.Row():
        profile = gr.Radio(
            list(models), value=next(iter(models)), label="Profile", info="which of the pinned models",
            visible=len(models) > 1,
        )  # fmt: skip
        label = gr.Dropdown([ANY, *first.classes], value=ANY, label="Label")
        number = gr.Slider(1, 20, 5, step=1, label="Sentences")
    with gr.Row():
        temperature = gr.Slider(0.1, 2, 1, step=0.1, label="Temperature", info="of the next word")
        top_p = gr.Slider(
            0.1, 1, first.sampling["top_p"], step=0.01, label="Top-p", info="total probability of words drawn from"
        )
        seed = seed_box()
    button = gr.Button("Generate", variant="primary")
    gr.Examples(EXAMPLES, [number, temperature, top_p, seed], label="Example settings")
    table = gr.Dataframe(
        headers=["Text"], label="Generated sentences", interactive=False, wrap=True, column_count=1, buttons=[]
    )
    record = record_box()

    def choose(name: Any) -> tuple[Any, Any]:
        model = models.get(name, first)
        return gr.Dropdown([ANY, *model.classes], value=ANY), model.sampling["top_p"]

    profile.change(choose, profile, [label, top_p], api_visibility="private")
    button.click(
        lambda *values: generate(models, *values), [profile, label, number, temperature, top_p, seed],
        [table, record], api_name="generate", **MODEL_WORK,
    ).success(None, seed, None, js=SHARE_SEED)  # fmt: skip
    return seed
