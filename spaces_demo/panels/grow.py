"""A labelled file, grown: rows in, rows with scores out, as files."""

from __future__ import annotations

from typing import Any

import gradio as gr
import limits
import pandas as pd
import rows
from loading import PinnedModel, seeded
from panels import MODEL_WORK, SHARE_SEED, record_box, seed_box

STAGES = {"generate": "Decoding candidates", "score": "Scoring candidates"}
HEADERS = ["Text", "Label", "Verdict, score"]
SHOWN = 200
EXAMPLE = """text,label
"A moving and funny film. The cast is good.",good
The story is honest and the camera loves every face.,good
One of the best films of the year!,good
I laughed all the way through.,good
The plot is dull. I slept.,bad
A lifeless film with wooden acting.,bad
"I want my two hours back, and my money too.",bad
One of the worst films of the year.,bad
"""


def read(path: Any, pasted: Any) -> rows.Table:
    """The table that was uploaded, else the one that was pasted."""
    return rows.read_file(path) if path else rows.read_text(pasted)


def columns(path: Any, pasted: Any) -> tuple[Any, Any]:
    """The two choices of columns, for rows that were just given; none as long as what is typed is no table yet."""
    try:
        table = read(path, pasted)
    except gr.Error:
        if path:
            raise
        return gr.Dropdown([], value=None), gr.Dropdown([], value=None)
    text, label = rows.guess_columns(table)
    return gr.Dropdown(table.header, value=text), gr.Dropdown(table.header, value=label)


def grow(
    model: PinnedModel, path: Any, pasted: Any, text_column: Any, label_column: Any, added: Any, temperature: Any,
    seed: Any, progress: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """What became of the rows in a sentence, the generated ones, the two files, and how to get it again."""
    table = read(path, pasted)
    if not text_column and not label_column:
        text_column, label_column = rows.guess_columns(table)
    texts, labels = rows.labelled(table, text_column, label_column)
    added = limits.whole(added, "Rows to add", 1, limits.GROWN)
    temperature, seed = limits.number(temperature, "Temperature", 0, 2), limits.seed(seed)
    done = dict.fromkeys(STAGES, 0)

    def report(stage: str, count: int, total: int) -> None:
        done[stage] += count
        progress((done[stage], total), desc=STAGES[stage], unit="rows")

    progress(0, desc="Reading your rows")
    loaded = model.load()
    grown = loaded.model.augment(
        texts, labels, loaded.tokenizer, len(texts) + added, temperature=temperature, generator=seeded(seed),
        progress=report,
    )  # fmt: skip
    frame = pd.DataFrame(grown).astype({"source_row": "Int64", "seed": "Int64", "rank": "Int64"})
    kept = frame[frame["kept"]].drop(columns=["kept", "reject_reason"])
    generated = frame[frame["method"] != "original"]
    reasons = generated["reject_reason"].value_counts()
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
    summary = (
        f"{len(texts)} rows were given and {len(kept) - len(texts)} of {added} added, from {len(generated)} "
        f"candidates; rejected: {told}. The score is the probability of the label, by a classifier fitted on your rows."
    )
    shown = [[row.text, row.label, _verdict(row)] for row in generated.head(SHOWN).itertuples()]
    record = model.record(rows_added=added, temperature=f"{temperature:g}", seed=seed) + " · and the same rows"
    return summary, shown, *rows.write_files(kept), record


def _verdict(row: Any) -> str:
    verdict = "kept" if row.kept else row.reject_reason
    return verdict if pd.isna(row.teacher_confidence) else f"{verdict}, {row.teacher_confidence:.2f}"


def build(model: PinnedModel) -> gr.Number:
    """The tab; returns its seed."""
    gr.Markdown(
        "New rows are decoded from around the sentences of yours and keep their labels; a classifier fitted on your "
        f"rows picks the ones it is surest of. At most {limits.ROWS} rows; for more, and to learn whether they help, "
        "run `textvae` on your machine. The model knows film reviews and makes film reviews of other texts."
    )
    with gr.Row():
        upload = gr.File(label="CSV file, UTF-8, with a header", file_types=[".csv", ".tsv", ".txt"], height=140)
        pasted = gr.Textbox(label="or pasted rows, column names first", lines=5, max_lines=10, max_length=limits.FILE)
    gr.Examples([[EXAMPLE]], pasted, label="Example rows", example_labels=["Eight film reviews"])
    with gr.Row():
        text = gr.Dropdown([], label="Text column", allow_custom_value=True)
        label = gr.Dropdown([], label="Label column", allow_custom_value=True)
        added = gr.Slider(1, limits.GROWN, 20, step=1, label="Rows to add")
    with gr.Row():
        temperature = gr.Slider(0, 2, 0.5, step=0.1, label="Temperature", info="standard deviations of noise")
        seed = seed_box()
    button = gr.Button("Grow", variant="primary")
    summary = gr.Textbox(label="What became of them", interactive=False, lines=2)
    with gr.Row():
        parquet = gr.DownloadButton("Download as parquet", interactive=False)
        comma = gr.DownloadButton("Download as CSV", interactive=False)
    gr.Markdown(
        "Both hold your rows and the kept ones. In the CSV, a text that begins with `=`, `+`, `-`, `@`, a tab or a "
        "line end has an apostrophe before it, so that no spreadsheet runs it; the parquet is exact."
    )
    table = gr.Dataframe(
        headers=HEADERS, label=f"Generated rows, the first {SHOWN}", interactive=False, wrap=True, buttons=[],
        column_widths=["50%", "20%", "30%"],
    )  # fmt: skip
    record = record_box()
    gr.on(
        [upload.change, pasted.change], columns, [upload, pasted], [text, label], show_progress="hidden",
        trigger_mode="always_last", api_visibility="private",
    )  # fmt: skip

    def run(
        path: Any, pasted: Any, text: Any, label: Any, added: Any, temperature: Any, seed: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio finds it by its default)
    ) -> tuple[Any, ...]:  # fmt: skip
        summary, shown, *files, record = grow(model, path, pasted, text, label, added, temperature, seed, progress)
        return summary, shown, *(gr.DownloadButton(value=file, interactive=True) for file in files), record

    button.click(
        run, [upload, pasted, text, label, added, temperature, seed], [summary, table, parquet, comma, record],
        api_name="grow", **MODEL_WORK,
    ).success(None, seed, None, js=SHARE_SEED)  # fmt: skip
    return seed
