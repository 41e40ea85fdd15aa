"""What the sisters' tabs compute is what their models say; texts stay texts."""

from __future__ import annotations

import base64
import io
import re

import gradio as gr
import numpy as np
import pytest
import torch
from panels import belief, digits
from panels import emotion as emotion_panel
from PIL import Image

HOSTILE = "<img src=x onerror=window.pwned=1> {{7*7}} ${7*7} [x](javascript:alert(1)) a film."


def test_belief_after_each_word_is_the_classifiers_about_the_review_that_ends_there(classifier):
    review = "A moving film, but it isn't funny."
    found = belief.believe(classifier, review)
    assert "".join(found.words) == review
    assert found.words[:4] == ["A", " moving", " film", ","]
    lstm, tokenizer = classifier.load()
    for end, share in ((2, found.probabilities[1]), (len(found.words), found.probabilities[-1])):
        text = "".join(found.words[:end])
        logits = lstm(**tokenizer(text, return_tensors="pt")).logits
        assert share == pytest.approx(logits.softmax(-1)[0, 1].item(), abs=1e-5)
    verdict, _, rows, record = belief.show(classifier, review)
    assert verdict.startswith("pos" if found.probabilities[-1] >= 0.5 else "neg")
    assert record.startswith(classifier.pin.id)
    assert len(rows) == belief.MOVERS
    assert float(rows[0][2]) == pytest.approx(max((float(row[2]) for row in rows), key=abs))


def test_a_coloured_review_stays_text(classifier):
    _, html, _, _ = belief.show(classifier, HOSTILE)
    assert "<img" not in html
    assert "{{" not in html
    assert "${" not in html


@pytest.mark.parametrize("text", ["", None, "a " * 400])
def test_what_is_no_review_is_refused(classifier, text):
    with pytest.raises(gr.Error, match="Review"):
        belief.believe(classifier, text)


def drawing(*, rows=(40, 140), columns=(200, 220), size=280):
    """A canvas with one black bar on white."""
    picture = np.full((size, size, 3), 255, dtype=np.uint8)
    picture[slice(*rows), slice(*columns)] = 0
    return {"background": None, "layers": [], "composite": picture}


def test_a_drawing_is_seen_as_training_images_are_made():
    seen = digits.as_seen(digits.drawn_pixels(drawing()), 28, digits.MNIST_SHARE)
    assert seen.shape == (28, 28)
    rows, columns = np.nonzero(seen > 0.5)
    assert (rows.min(), rows.max()) == (4, 23)  # 20 pixels, in the middle
    assert (columns.min(), columns.max()) == (12, 15)
    assert seen.max() == 1


def test_a_drawing_fills_small_images_as_the_digits_do_that_were_learned_from():
    """Those of scikit-learn have ink in all of their 8 rows."""
    seen = digits.as_seen(digits.drawn_pixels(drawing()), 8, 1.0)
    rows, columns = np.nonzero(seen > 0.5)
    assert (rows.min(), rows.max()) == (0, 7)
    assert len(set(columns)) == 2
    wide = digits.as_seen(digits.drawn_pixels(drawing(rows=(40, 60), columns=(100, 200))), 8, 1.0)
    assert np.array_equal(wide, seen.T)


def pictures(html):
    """Pictures in HTML as grey values, ink being 1."""
    files = [io.BytesIO(base64.b64decode(data)) for data in re.findall(r"base64,([^\"]+)", html)]
    return [1 - np.asarray(Image.open(file)) / 255 for file in files]


def test_a_drawing_is_rebuilt_by_the_model(autoencoder):
    html, told, record = digits.rebuild(autoencoder, drawing())
    model = autoencoder.load()
    pixels = torch.from_numpy(digits.as_seen(digits.drawn_pixels(drawing()), 28, digits.MNIST_SHARE))[None, None]
    expected = model.decode(model.encode(pixels).mean)[0, 0].detach().numpy()
    seen, rebuilt = pictures(html)
    assert np.allclose(seen, pixels[0, 0].numpy(), atol=0.003)
    assert np.allclose(rebuilt, expected, atol=0.003)
    assert f"{((expected - pixels[0, 0].numpy()) ** 2).mean():.4f}" in told
    assert record.startswith(autoencoder.pin.id)
    model.config.digit_share = 1.0
    seen, _ = pictures(digits.rebuild(autoencoder, drawing())[0])
    assert np.flatnonzero(seen.max(1) > 0.5).tolist() == list(range(28))
    del model.config.digit_share  # as of models from before they told
    assert digits.rebuild(autoencoder, drawing())[0] == html


def test_digits_are_made_up_by_their_seed(autoencoder):
    (one, record), (same, _), (other, _) = (digits.make(autoencoder, seed) for seed in (3, 3, 4))
    assert one == same != other
    assert pictures(one)[0].shape == (2 * 28, 8 * 28)
    assert "seed 3" in record


@pytest.mark.parametrize(
    "value", [None, {}, {"composite": None}, "text", drawing(rows=(0, 0)), drawing(size=digits.LARGEST + 1)]
)
def test_what_is_no_drawing_is_refused(autoencoder, value):
    with pytest.raises(gr.Error, match="Drawing"):
        digits.rebuild(autoencoder, value)


def test_sentences_are_placed_where_the_model_says(emotion):
    placed = emotion_panel.place(emotion, "I loved this movie.\n\n the story is dull. \n")
    model, tokenizer = emotion.load()
    said = model.predict(["I loved this movie.", "the story is dull."], tokenizer)
    assert [one.text for one in placed] == ["I loved this movie.", "the story is dull."]
    assert [[one.valence, one.arousal] for one in placed] == said.mean.tolist()
    low, high = said.interval(0.9)
    assert placed[1].interval[0] == [low[1, 0].item(), high[1, 0].item()]
    html, rows, record = emotion_panel.show(emotion, emotion_panel.corpus(emotion.folder), "I loved this movie.")
    assert rows[0][1] == f"{said.mean[0, 0]:.2f} ({low[0, 0]:.2f} to {high[0, 0]:.2f})"
    assert rows[0][3] == f"{said.rater_deviation[0, 0]:.2f}, {said.rater_deviation[0, 1]:.2f}"
    assert html.count("<circle") == 3
    assert "&lt;b&gt;i loved it" in html
    assert record.startswith(emotion.pin.id)


def test_a_model_that_rates_valence_alone_has_no_arousal_to_tell(emotion):
    model, _ = emotion.load()
    model.config.rated = ["valence"]
    _, rows, _ = emotion_panel.show(emotion, [], "the story is dull.")
    assert rows[0][2] == "not rated"
    assert rows[0][3] == f"{model.predict(['the story is dull.'], emotion.load()[1]).rater_deviation[0, 0]:.2f}"


@pytest.mark.parametrize("text", ["", None, "a\n" * 9])
def test_what_are_no_sentences_is_refused(emotion, text):
    with pytest.raises(gr.Error, match="Sentences"):
        emotion_panel.place(emotion, text)


def test_the_map_of_emotions_names_its_ends_and_only_what_was_rated():
    yours = emotion_panel.Placed("a day", 4.0, 3.7, [[3.4, 4.6], [3.2, 4.3]], [0.4, 0.5])
    html = emotion_panel.picture([yours], [["a dog", 2.2, 2.6]], (1, 5))
    for name in ("unpleasant, 2.2", "pleasant, 4.6", "calm, 2.6", "excited, 4.3"):
        assert f">{name}</text>" in html
    html = emotion_panel.picture([], [["a dog", 2.2, None], ["a cat", 3.0, None]], (1, 5))
    assert ">pleasant, 3.0</text>" in html
    assert "calm" not in html
