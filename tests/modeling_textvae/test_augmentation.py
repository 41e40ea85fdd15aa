"""Growing a labelled set with a model alone, as a Hub user does."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from textvae.modeling_textvae import augmentation
from textvae.modeling_textvae.augmentation import Teacher, augment, propose
from textvae.modeling_textvae.generation import encode_texts
from textvae.modeling_textvae.selection import fill_quotas, reject_copies

TEXTS = [
    "A moving film. The cast is good.",
    "A dull film. The story is bad. The cast is bad.",
    "One of the best films of the year! I loved every moment.",
    "One of the worst films of the year.",
    "I loved the story.",
    "It isn't good. It's lifeless.",
]
LABELS = ["pos", "neg"] * 3
KEYS = {
    "text", "label", "method", "source_row", "temperature", "teacher_confidence", "seed", "kept",
    "reject_reason", "rank",
}  # fmt: skip


@pytest.fixture
def latents_seen(monkeypatch):
    """An untrained decoder says the same of all: this one spells out the latent, and keeps what it saw."""
    seen = []

    def decode_latents(model, latents, tokenizer, class_ids=None):
        seen.append(latents)
        return [" ".join("abcdefghij"[int(digit)] for digit in str(int(abs(z[0]) * 1e6))) for z in latents]

    monkeypatch.setattr(augmentation, "decode_latents", decode_latents)
    return seen


def grown(model, tokenizer, size=12, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return augment(model, TEXTS, LABELS, tokenizer, size, generator=generator, **options)


def test_a_real_model_grows_any_script_markup_and_label(tiny_model, tiny_tokenizer):
    texts = [
        *TEXTS,
        "这是好电影。我喜欢\uff01",
        "<b>bad</b> <br /><br />film 😀 & 'so' on",
        "***",
        "word" * 200,
    ]
    labels = [*LABELS, "好", "<b>", "好", "<b>"]
    rows = tiny_model.augment(texts, labels, tiny_tokenizer, 20, generator=torch.Generator().manual_seed(0))
    assert all(set(row) == KEYS for row in rows)
    assert len(rows) == 10 + 4 * 10
    assert [row["text"] for row in rows[:10]] == texts
    assert [row["label"] for row in rows[:10]] == labels
    assert all(row["kept"] and row["method"] == "original" for row in rows[:10])
    for row in rows[10:]:
        assert row["label"] == labels[row["source_row"]]
        assert row["kept"] == (row["rank"] is not None) == (row["reject_reason"] is None)
        assert (row["teacher_confidence"] is None) == (row["reject_reason"] in ("empty", "duplicate"))


def test_the_same_generator_gives_the_same_rows(tiny_model, tiny_tokenizer, latents_seen):
    first = grown(tiny_model, tiny_tokenizer)
    assert first == grown(tiny_model, tiny_tokenizer)
    assert first != grown(tiny_model, tiny_tokenizer, seed=1)


def test_more_candidates_change_no_earlier_one(tiny_model, tiny_tokenizer, latents_seen, monkeypatch):
    settings = {"temperature": 0.5, "interpolation_share": 0.5, "seed": 3}
    few = propose(tiny_model, TEXTS, LABELS, tiny_tokenizer, 7, **settings)
    monkeypatch.setattr(augmentation, "BLOCK", 4)
    many = propose(tiny_model, TEXTS, LABELS, tiny_tokenizer, 30, **settings)
    assert many[:7] == few
    assert {row["method"] for row in many} == {"neighbour", "interpolation"}
    assert Counter(row["source_row"] for row in many) == dict.fromkeys(range(6), 5)
    assert len({row["seed"] for row in many}) == 30
    assert {row["temperature"] for row in many if row["method"] == "interpolation"} == {0.0}


def test_sentences_are_put_together_in_the_order_of_their_source(tiny_model, tiny_tokenizer, monkeypatch):
    sources = ["A dull film.", "The story is bad.", "The cast is bad."]
    means = encode_texts(tiny_model, sources, tiny_tokenizer).mean

    def nearest(model, latents, tokenizer, class_ids=None):
        return [["first", "second", "third"][int((means - z).norm(dim=1).argmin())] for z in latents]

    monkeypatch.setattr(augmentation, "decode_latents", nearest)
    rows = propose(tiny_model, [TEXTS[1]], ["neg"], tiny_tokenizer, 2, temperature=0, interpolation_share=0, seed=0)
    assert [row["text"] for row in rows] == ["First Second Third"] * 2


def test_neighbours_are_as_far_as_the_temperature_says(tiny_model, tiny_tokenizer, latents_seen):
    posterior = encode_texts(tiny_model, ["I loved the story."], tiny_tokenizer)
    propose(tiny_model, [TEXTS[4]], ["pos"], tiny_tokenizer, 400, temperature=0.5, interpolation_share=0, seed=0)
    (latents,) = latents_seen
    standard = (latents - posterior.mean) / (0.5 * posterior.log_variance).exp()
    assert standard.mean().abs() < 0.02
    assert standard.std().item() == pytest.approx(0.5, rel=0.03)


def test_interpolations_lie_between_rows_of_one_class(tiny_model, tiny_tokenizer, latents_seen):
    texts = ["A moving film.", "A dull film.", "The cast is good.", "The story is bad."]
    rows = propose(tiny_model, texts, [1, 0, 1, 0], tiny_tokenizer, 8, temperature=0.5, interpolation_share=1.0, seed=0)
    assert {row["method"] for row in rows} == {"interpolation"}
    means = encode_texts(tiny_model, texts, tiny_tokenizer).mean
    latents = {tuple(z.tolist()) for z in torch.cat(latents_seen)}
    assert len(latents) == 8
    for z in map(torch.tensor, latents):
        weights = []
        for place, other in ((0, 2), (1, 3), (2, 0), (3, 1)):
            step = means[other] - means[place]
            weight = ((z - means[place]) @ step / step.square().sum()).item()
            if torch.allclose(means[place] + weight * step, z, atol=1e-5) and weight <= 0.5:
                weights.append(weight)
        assert len(weights) == 1
        assert 0.25 <= weights[0] <= 0.5


def test_a_class_of_one_row_has_neighbours_only(tiny_model, tiny_tokenizer, latents_seen):
    rows = propose(
        tiny_model, TEXTS[:2], LABELS[:2], tiny_tokenizer, 4, temperature=0.5, interpolation_share=1.0, seed=0
    )
    assert {row["method"] for row in rows} == {"neighbour"}


def test_teacher_agrees_with_an_independent_logistic_regression():
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(60, 8, generator=generator), dim=-1)
    labels = (features[:, 0] * 3 + features[:, 1] > 0).long() + (features[:, 2] > 0.4).long()
    ours = Teacher(features, labels.tolist(), 3, inverse_penalty=10.0).probabilities(features)
    theirs = LogisticRegression(C=10.0, tol=1e-8, max_iter=1000).fit(features, labels).predict_proba(features)
    assert torch.allclose(ours, torch.tensor(theirs, dtype=torch.float32), atol=1e-3)


def row(text, label="a", confidence=0.5, kept=False):
    return {
        "text": text,
        "label": label,
        "method": "neighbour",
        "teacher_confidence": confidence,
        "kept": kept,
        "reject_reason": None,
        "rank": None,
    }


def test_copies_of_originals_and_of_each_other_are_rejected():
    candidates = [row(text) for text in ("a  FILM", "other", "Other!", "", "...!", "new")]
    reject_copies([row("A film.", kept=True), *candidates])
    reasons = [one["reject_reason"] for one in candidates]
    assert reasons == ["duplicate", None, "duplicate", "empty", "empty", None]


def test_punctuation_counts_where_it_is_what_was_changed():
    candidates = [row(text) | {"method": "marks"} for text in ("A film.", "A, film.", "A, film.", "A; film.")]
    reject_copies([row("A film.", kept=True), *candidates], marks_count=("marks",))
    assert [one["reject_reason"] for one in candidates] == ["duplicate", None, "duplicate", None]


def test_quotas_keep_class_shares_and_the_most_confident():
    originals = [row(f"o{i}", "a" if i % 3 else "b", kept=True) for i in range(9)]  # 6 a, 3 b
    for rank, one in enumerate(originals):
        one["rank"] = rank
    candidates = [row(f"c{i}", "ab"[i % 2], confidence=(i * 37 % 100) / 100) for i in range(100)]
    rows = originals + candidates
    fill_quotas(rows, 39)
    for size in (12, 20, 39):
        kept = Counter(one["label"] for one in rows if one["kept"] and one["rank"] < size)
        assert abs(kept["a"] - size * 2 / 3) <= 1
        assert kept.total() == size
    for label in "ab":
        mine = [one for one in candidates if one["label"] == label]
        ranked = sorted((one for one in mine if one["kept"]), key=lambda one: one["rank"])
        confidences = [one["teacher_confidence"] for one in ranked]
        assert confidences == sorted(confidences, reverse=True)
        rest = [one for one in mine if not one["kept"]]
        assert all(one["reject_reason"] == "over quota" for one in rest)
        assert max(one["teacher_confidence"] for one in rest) <= confidences[-1]


def test_a_class_without_candidates_is_not_replaced_by_another():
    rows = [row("o", "a", kept=True), row("p", "b", kept=True), *(row(f"c{i}", "a") for i in range(20))]
    fill_quotas(rows, 10)
    assert Counter(one["label"] for one in rows if one["kept"]) == {"a": 5, "b": 1}


def test_a_smaller_target_is_the_beginning_of_a_larger_one(tiny_model, tiny_tokenizer, latents_seen):
    # The same 24 candidates, so the same rows in the same places.
    small = grown(tiny_model, tiny_tokenizer, size=9, oversample=8)
    large = grown(tiny_model, tiny_tokenizer, size=10, oversample=6)
    assert [one["text"] for one in small if one["kept"]] == [one["text"] for one in large if one["kept"]][:9]


@pytest.mark.parametrize(
    ("texts", "labels", "size", "message"),
    [
        (["a", ""], [0, 1], 5, r"texts\[1\] is empty"),
        (["a", None], [0, 1], 5, r"texts\[1\] is empty or not a string"),
        (["a", "b"], [0, 0], 5, "at least two"),
        (["a", "b"], [0], 5, "2 texts but 1 labels"),
        (["a", "b"], [0, 1], 2, "target_size is 2"),
    ],
)
def test_what_cannot_be_grown_is_refused(tiny_model, tiny_tokenizer, texts, labels, size, message):
    with pytest.raises(ValueError, match=message) as caught:
        tiny_model.augment(texts, labels, tiny_tokenizer, size)
    assert "\n" not in str(caught.value)


def test_progress_counts_every_row_once(tiny_model, tiny_tokenizer, latents_seen):
    done = Counter()
    totals = {}

    def progress(stage, rows, total):
        done[stage] += rows
        totals[stage] = total

    grown(tiny_model, tiny_tokenizer, progress=progress)
    assert done == totals
    assert set(done) == {"generate", "score"}


@pytest.mark.parametrize("labels", [[0, 1, 3], [0, 1, 1], [0, 2, -1]])
def test_a_teacher_of_other_classes_is_refused(labels):
    with pytest.raises(ValueError, match=r"a teacher of 3 classes is given rows of the classes .* of every class"):
        Teacher(torch.eye(3), labels, 3)
