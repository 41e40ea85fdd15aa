"""What the text VAE's tabs compute is what the model's own methods give; texts stay texts."""

from __future__ import annotations

import re
from pathlib import Path

import gradio as gr
import pandas as pd
import pytest
import torch
from loading import Pin
from panels import evidence, generate, grow, interpolate, latent_map, reconstruct

REPORT = Path(__file__).parents[2] / "docs/results/quickstart"
TEXT = "a moving and funny film."
HOSTILE = "<img src=x onerror=window.pwned=1> {{7*7}} ${7*7} [x](javascript:alert(1)) a film."


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_a_reconstruction_and_its_neighbours_are_the_models(model):
    rebuilt, summary, table, around, record, reading = reconstruct.reconstruct(model, TEXT, 1.5, 3)
    loaded = model.load()
    assert [rebuilt] == loaded.model.reconstruct([TEXT], loaded.tokenizer)
    (expected,) = loaded.model.neighbours([TEXT], loaded.tokenizer, temperature=1.5, num=4, generator=seeded(3))
    assert [text for (text,) in around] == expected
    assert record == f"{model.pin.id} · neighbours 4 · temperature 1.5 · seed 3 · and the same text"
    kl = reading.posterior.kl().sum().item()
    assert table == [[TEXT, pytest.approx(kl, abs=0.06), table[0][2]]]
    assert f"KL of {table[0][1]:.1f} nats" in summary
    assert "of 1 sentences active" in summary


def test_neighbours_change_with_the_temperature_and_not_with_the_hour(model):
    reading = reconstruct.read(model, "A moving film. A dull film!")
    assert reading.sentences == ["A moving film.", "A dull film!"]
    near, far = (reconstruct.neighbours(model, reading, heat, 0)[0] for heat in (0, 2))
    assert len({text for (text,) in near}) == 1
    assert near != far
    assert far == reconstruct.neighbours(model, reading, 2, 0)[0]


def test_there_are_no_neighbours_of_nothing(model):
    with pytest.raises(gr.Error, match="press Reconstruct first"):
        reconstruct.neighbours(model, None, 1, 0)


def test_a_text_of_many_sentences_is_refused(model):
    with pytest.raises(gr.Error, match="9 sentences: shorten it to 8"):
        reconstruct.read(model, "A film. " * 9)


@pytest.mark.parametrize("path", interpolate.PATHS)
def test_a_path_is_the_models(model, path):
    rows, record = interpolate.interpolate(model, TEXT, "a dull film.", 5, path)
    loaded = model.load()
    expected = loaded.model.interpolate(TEXT, "a dull film.", loaded.tokenizer, 5, spherical=path == "spherical")
    assert rows == [[f"{25 * place} %", text] for place, text in enumerate(expected)]
    assert f"path {path} · steps 5" in record


@pytest.mark.parametrize("path", interpolate.PATHS)
def test_a_path_is_of_the_kind_that_was_asked_for(model, path, monkeypatch):
    """By what is asked of the model: an untrained one may say the same along both."""
    asked = {}
    monkeypatch.setattr(model.load().model, "interpolate", lambda *_, **options: asked.update(options) or ["a"] * 3)
    interpolate.interpolate(model, TEXT, "a dull film.", 3, path)
    assert asked == {"spherical": path == "spherical"}


def test_sentences_of_a_label_are_the_class_priors(model):
    rows, record = generate.generate({"augment": model}, "augment", "pos", 3, 0.8, 0.9, 7)
    loaded = model.load()
    ids = loaded.model.generate(
        prior=loaded.model.load_prior("classes"), class_ids=torch.ones(3, dtype=torch.long), temperature=0.8,
        top_p=0.9, generator=seeded(7),
    )  # fmt: skip
    assert [text for (text,) in rows] == loaded.generation.decode_ids(ids, loaded.tokenizer)
    assert "label pos · sentences 3 · temperature 0.8 · top p 0.9" in record
    assert record.endswith("seed 7")


def test_sentences_of_any_label_are_drawn_as_the_pins_say(folder, model):
    cool = type(model)(Pin(str(folder / "vae"), None, {"prior_temperature": 0.1}))
    (first, _), (second, record) = (
        generate.generate({"augment": one}, "augment", "any", 2, 0.5, 1, 1) for one in (model, cool)
    )
    assert first != second
    assert "prior temperature 0.1 · latent share 1" in record


@pytest.mark.parametrize(
    ("changed", "said"),
    [({0: "none"}, "Profile"), ({1: "happy"}, "no such class"), ({2: 10**9}, "Sentences"), ({3: -1}, "Temperature"),
     ({4: 0}, "Top-p"), ({5: 0.5}, "Seed")],
)  # fmt: skip
def test_what_generate_refuses(model, changed, said):
    values = ["augment", "any", 2, 1, 0.9, 0]
    for place, value in changed.items():
        values[place] = value
    with pytest.raises(gr.Error, match=said):
        generate.generate({"augment": model}, *values)


def test_a_map_holds_every_sentence_once_and_the_text_at_its_own_place(model, folder, sentences):
    drawn = latent_map.draw(model, folder / "dataset")
    count = len(drawn.sentences)
    assert set(sentences[:6]) < set(drawn.sentences)
    assert len(drawn.labels) == len(drawn.means) == count
    alone, nearest = latent_map.place(model, drawn, None)
    assert alone.count("<circle") == count
    assert 'class="yours"' not in alone
    assert nearest == []
    page, nearest = latent_map.place(model, drawn, drawn.sentences[2])
    assert page.count("<circle") == count + 1
    assert nearest[0] == [drawn.sentences[2], drawn.labels[2], "0.0"]
    places = re.findall(r'<circle (cx="\S+" cy="\S+")', page)
    assert places[-1] == places[2]
    assert places[-1] != places[0]


def test_no_text_on_a_map_is_read_as_anything_else(model, folder):
    page, _ = latent_map.place(model, latent_map.draw(model, folder / "dataset"), HOSTILE)
    assert "<img" not in page
    assert "<b>" not in page
    assert "{" not in page
    assert "$" not in page
    assert "&lt;img src=x" in page


def test_a_map_reads_class_names_where_labels_are_numbers(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"]), "method": Value("string")})
    rows = {"text": ["a", "b", "c"], "label": [1, 0, 1], "method": ["original", "original", "neighbour"]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    assert latent_map.original_rows(tmp_path) == (["a", "b"], ["pos", "neg"])


def test_grown_rows_are_the_models_and_can_be_taken_home(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    said = []
    summary, shown, parquet, comma, record = grow.grow(
        model, None, grow.EXAMPLE, None, None, 4, 1.0, 5, lambda *told, **more: said.append((told, more))
    )
    texts, labels = grow.rows.labelled(grow.rows.read_text(grow.EXAMPLE), "text", "label")
    loaded = model.load()
    expected = loaded.model.augment(texts, labels, loaded.tokenizer, 12, temperature=1.0, generator=seeded(5))
    kept = [row for row in expected if row["kept"]]
    frame = pd.read_parquet(parquet)
    assert frame["text"].tolist() == [row["text"] for row in kept]
    assert frame["text"].tolist()[:8] == texts
    assert len(pd.read_csv(comma)) == len(frame)
    assert summary.startswith(f"8 rows were given and {len(frame) - 8} of 4 added, from 16 candidates; rejected: ")
    assert [row[0] for row in shown] == [row["text"] for row in expected if row["method"] != "original"]
    assert {row[2].split(",")[0] for row in shown} <= {"kept", "over quota", "duplicate", "empty"}
    assert {more["desc"] for _, more in said} == {"Reading your rows", *grow.STAGES.values()}
    assert "rows added 4 · temperature 1 · seed 5" in record


def test_columns_are_offered_for_rows_that_were_given(tmp_path):
    (tmp_path / "x.csv").write_text("when,words,mood\nnow,a film,good\nthen,another film,bad\n")
    text, label = grow.columns(str(tmp_path / "x.csv"), "")
    assert (text.value, label.value) == ("words", "when")  # as good a guess as "mood"
    assert [name for name, _ in text.choices] == ["when", "words", "mood"]
    for unfinished in ("", "text", "text,label\na, b, c"):
        assert grow.columns(None, unfinished)[0].choices == []
    (tmp_path / "x.csv").write_text("text\n")
    with pytest.raises(gr.Error, match="two or more columns"):
        grow.columns(str(tmp_path / "x.csv"), "")


def test_the_report_is_shown_as_far_as_its_tables():
    shown = evidence.report(REPORT)
    assert "generated rows" in shown.split("\n\n")[1]
    assert "| vae | 500 |" in shown
    assert "sentences drawn from the prior" not in shown
    assert "](plots/" not in shown


def test_plots_are_pictures_with_words():
    page = evidence.plots(REPORT)
    assert page.count("<img") == len(list((REPORT / "plots").glob("*.svg"))) > 8
    assert "<svg" not in page
    assert 'alt="Learning curve of probe. Mean accuracy in per cent.' in page


def test_generated_rows_of_the_run_are_told_by_label():
    samples = evidence.samples(REPORT)
    assert len(samples) == 20
    assert {label for label, _ in samples} == {"neg", "pos"}
