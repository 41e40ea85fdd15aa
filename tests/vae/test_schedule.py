"""β and the learning rate over a training."""

from __future__ import annotations

import pytest

from textvae.training.common.recipe import VaeRecipe
from textvae.training.vae.schedule import Beta, cycle_ends, learning_rate, word_dropout


def test_the_target_falls_geometrically_after_the_autoencoder_phase():
    recipe = VaeRecipe(steps=100, target_kl=50.0, target_kl_start=200.0, autoencoder_share=0.1, anneal_share=0.4)
    beta = Beta(recipe)
    assert beta.target(5) is None
    assert beta.target(10) == pytest.approx(200.0)
    assert beta.target(30) == pytest.approx(100.0)  # half way in log space
    assert beta.target(50) == beta.target(99) == pytest.approx(50.0)


def test_beta_settles_where_the_kl_is_the_target():
    recipe = VaeRecipe(steps=3000, target_kl=40.0, target_kl_start=40.0, autoencoder_share=0, anneal_share=0, beta=0.01)
    beta = Beta(recipe)
    kl = 0.0
    for step in range(3000):
        kl = 100.0 / (1.0 + 5.0 * beta.value)  # a model whose KL falls as beta grows
        beta.update(step, kl)
    assert kl == pytest.approx(40.0, rel=0.02)


def course(**fields):
    """β of every step of a training whose KL is always 500."""
    recipe = VaeRecipe(steps=100, target_kl=None, beta=0.1, beta_end=0.9, autoencoder_share=0.2, **fields)
    beta = Beta(recipe)
    values = []
    for step in range(100):
        values.append(beta.value)
        beta.update(step, 500.0)
    return values


def test_without_a_target_beta_follows_its_schedule_whatever_the_kl_is():
    assert course() == pytest.approx([0.1] * 20 + [0.9] * 80)
    line = course(beta_schedule="linear", anneal_share=0.4)
    assert line[:21] == pytest.approx([0.1] * 21)
    assert line[40] == pytest.approx(0.5)
    assert line[60:] == pytest.approx([0.9] * 40)
    cycles = course(beta_schedule="cyclical", beta_cycles=4)
    assert cycles[20:40] == pytest.approx(cycles[40:60])  # a cycle is 20 of the 80 steps
    assert cycles[20] == cycles[40] == pytest.approx(0.1)
    assert cycles[25] == pytest.approx(0.5)
    assert cycles[30:40] == pytest.approx([0.9] * 10)


@pytest.mark.parametrize("fields", [{"target_kl": None, "beta_schedule": "cyclical"}, {"target_kl": 40.0}])
def test_a_finished_training_keeps_the_beta_of_its_last_step(fields):
    beta = Beta(VaeRecipe(steps=100, **fields))
    for step in range(100):
        last = beta.value
        beta.update(step, 500.0)
    assert beta.value == last > 0.003


def test_learning_rate_warms_up_and_falls_to_its_share():
    recipe = VaeRecipe(steps=1000, warmup_steps=100, learning_rate=1.0, final_learning_rate_share=0.1)
    assert learning_rate(recipe, 49) == pytest.approx(0.5)
    assert learning_rate(recipe, 100) == pytest.approx(1.0)
    assert learning_rate(recipe, 550) == pytest.approx(0.55)
    assert learning_rate(recipe, 999) == pytest.approx(0.1, abs=1e-4)


def test_words_are_dropped_more_often_where_the_texts_alone_are_read():
    recipe = VaeRecipe(steps=10, final_text_share=0.3, word_dropout=0.2, final_word_dropout=0.4)
    assert [word_dropout(recipe, step) for step in range(10)] == [0.2] * 7 + [0.4] * 3
    assert word_dropout(VaeRecipe(steps=10, final_text_share=0.3, word_dropout=0.2), 9) == 0.2


def test_learning_rate_rises_again_in_each_last_cycle_and_falls_to_the_same_low():
    recipe = VaeRecipe(steps=1000, warmup_steps=100, learning_rate=1.0, average_cycles=2, cycle_steps=200)
    before = VaeRecipe(steps=600, warmup_steps=100, learning_rate=1.0)
    assert [learning_rate(recipe, step) for step in range(600)] == [learning_rate(before, step) for step in range(600)]
    first, second = ([learning_rate(recipe, step) for step in range(start, start + 200)] for start in (600, 800))
    assert first == second == sorted(first, reverse=True)
    assert first[0] == pytest.approx(0.4)
    assert first[-1] == pytest.approx(0.03, abs=1e-4)
    assert list(cycle_ends(recipe)) == [600, 800, 1000]
