"""What is said of classifiers side by side, from predictions made up for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, t

from textvae.training.lstm import speed
from textvae.training.lstm.evaluation import difference, figures
from textvae.training.lstm.recipe import LstmRecipe
from textvae.training.lstm.report import Classifier, changes, flat, reference, verdict
from textvae.training.lstm.speed import matmul_share

ROWS = 400


def sure(right):
    """(rows, 2) probabilities of rows that all are of class 0, .9 for what is said."""
    first = np.where(np.arange(ROWS) < right, 0.9, 0.1)
    return np.stack([first, 1 - first], axis=1)


def classifier(right, part="test", validation_loss=0.5, recipe=None):
    labels = [0] * ROWS
    facts = {"validation": {"loss": validation_loss}, part: figures(sure(right), labels) | {"loss": validation_loss}}
    facts |= {"parameters": 5, "seconds": 60.0, "tricky": None, "tokens": 8, "step_cpu_seconds": 2.0}
    facts |= {"step_seconds": 3.0, "threads": 1, "matmul_peak": 36.0, "recurrent_parameters": 3}
    return Classifier(facts, sure(right), labels, recipe, [])


SMALL = LstmRecipe("small", learning_rate=0.01)
LARGE = LstmRecipe("large", hidden_size=256, truncation_side="right")


def test_differences_are_paired():
    found = difference(sure(300), sure(290), [0] * ROWS)
    gained = np.array([1.0] * 10 + [0.0] * 390)
    half = t.ppf(0.975, ROWS - 1) * gained.std(ddof=1) / math.sqrt(ROWS)
    assert found["accuracy"] == pytest.approx((0.025, 0.025 - half, 0.025 + half))
    nats = -math.log(0.9 / 0.1)
    assert found["loss"] == pytest.approx(tuple(nats * value for value in (0.025, 0.025 + half, 0.025 - half)))
    assert difference(sure(300), sure(300), [0] * ROWS)["accuracy"] == (0.0, 0.0, 0.0)


def test_the_verdict_follows_the_intervals():
    lstms = {
        "small": classifier(340, validation_loss=0.3, recipe=SMALL),
        "large": classifier(360, validation_loss=0.4, recipe=LARGE),  # on test rows ahead, which must not choose it
    }
    said = verdict(lstms | {"tfidf": classifier(360), "probe": classifier(338), "bert": classifier(300)})
    assert said.startswith(
        "Of the LSTMs small has the lowest loss on validation rows (0.300); small: 85.0 % of the test"
    )
    assert (
        "TF-IDF of words and pairs with logistic regression (90.0 %) is ahead of it by 5.0 points (2.9 to 7.1)" in said
    )
    assert "features (84.5 %) cannot be told from it (−0.5 points, −1.2 to +0.2)" in said
    assert "it is ahead of a fine-tuned encoder (75.0 %) by 10.0 points (7.0 to 13.0)." in said
    assert "points" not in verdict(lstms)
    alone = verdict({"small": lstms["small"], "bert": classifier(300)})
    assert alone.startswith("small: 85.0 % of the test rows are right; it is ahead of a fine-tuned encoder")
    assert verdict({"small": lstms["small"]}) == "small: 85.0 % of the test rows are right."


def test_choices_are_held_against_the_first_and_tests_against_the_chosen():
    chosen = {"small": classifier(340, "validation", 0.4, SMALL), "large": classifier(360, "validation", 0.3, LARGE)}
    assert reference(chosen) == "small"
    large = {"hidden_size": 256, "truncation_side": "right", "learning_rate": 0.001}
    assert changes(chosen) == {"small": {}, "large": large}
    assert flat(chosen)["accuracy_difference_large"] == pytest.approx(5)
    assert "tricky_accuracy_large" not in flat(chosen)
    tested = {"small": classifier(340, "test", 0.4, SMALL), "large": classifier(360, "test", 0.3, LARGE)}
    assert reference(tested) == flat(tested)["differences_from"] == "large"
    assert flat(tested)["accuracy_difference_small"] == pytest.approx(-5)
    assert flat(tested)["matmul_share_small"] == 6 * 3 * 8 / (2 * 36)
    assert flat(tested)["tricky_pairs_low_small"] is flat(tested)["tricky_pairs_high_small"] is None
    tested["small"].facts["tricky"] = {"accuracy": 0.6, "pairs": 56, "pairs_solved": 0.25}
    found = flat(tested)
    low, high = binomtest(14, 56).proportion_ci(method="wilson")
    assert [found[f"tricky_pairs_{end}small"] for end in ("low_", "", "high_")] == pytest.approx(
        [100 * low, 25, 100 * high]
    )


def test_the_share_of_a_products_speed_is_of_the_time_that_the_steps_had_the_device():
    facts = {"recurrent_parameters": 2, "tokens": 100, "matmul_peak": 50.0, "step_seconds": 80.0}
    operations = 6 * 2 * 100
    cpu = facts | {"step_cpu_seconds": 60.0, "threads": 2}
    assert matmul_share(cpu) == operations / (60 * 50)  # the peak is of one thread, the time of both
    assert matmul_share(cpu | {"step_seconds": 200.0}) == matmul_share(cpu)  # whatever else the machine did
    assert matmul_share(cpu | {"threads": None}) == operations / (80 * 50)  # a GPU
    older = {name: value for name, value in cpu.items() if name != "threads"}
    assert matmul_share(older) == operations / (60 * 50)


def test_the_peak_on_a_processor_is_of_one_thread(monkeypatch):
    before, threads = torch.get_num_threads(), []

    def seconds() -> int:
        threads.append(torch.get_num_threads())
        return len(threads)

    monkeypatch.setitem(speed.SIZES, "cpu", 64)
    monkeypatch.setattr(speed.time, "process_time", seconds)
    torch.set_num_threads(2)
    try:
        assert speed.matmul_peak(torch.float32, torch.device("cpu")) == 2 * 64**3
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {1}
