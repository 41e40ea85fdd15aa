"""The cards of the sister systems: every number stands in a results file of the run, of these very weights."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from card_numbers import leaves, untraced

from textvae.hub_cards.layouts import layout_of
from textvae.training.common.errors import UserError
from textvae.training.lstm.data import TRICKY
from textvae.training.study.statistics import wilson_interval


@pytest.fixture(params=["lstm", "digits", "emotion"])
def run(request, tmp_path):
    return shutil.copytree(request.getfixturevalue(f"{request.param}_run"), tmp_path / "run")


def cards(run, staging) -> dict[str, str]:
    shutil.rmtree(staging, ignore_errors=True)
    return {repo.id: (repo.folder / "README.md").read_text() for repo in layout_of(run, "org", staging).all()}


def measured(run) -> list:
    found = [value for path in run.rglob("*.json") for value in leaves(json.loads(path.read_text()))]
    figures = json.loads((run / "evaluation.json").read_text())
    if "test" in figures:  # an LSTM's
        reviews = TRICKY.read_text()
        found += [*wilson_interval(figures["test"]["accuracy"], figures["test"]["rows"]), reviews]
    return found


def test_every_number_stands_in_a_results_file(run, tmp_path):
    values = measured(run)
    for name, card in cards(run, tmp_path / "staging").items():
        assert not untraced(card, name, values), name


def test_a_figure_that_is_gone_is_an_error_never_a_blank(run, tmp_path):
    before = cards(run, tmp_path / "staging")
    file = run / "evaluation.json"
    whole = json.loads(file.read_text())
    said = []
    for key in whole:
        file.write_text(json.dumps({name: value for name, value in whole.items() if name != key}))
        try:
            after = cards(run, tmp_path / "staging")
        except UserError as error:
            said.append(str(error))
        else:
            assert [re.sub("v-[0-9a-f]{12}", "", card) for card in after.values()] == [
                re.sub("v-[0-9a-f]{12}", "", card) for card in before.values()
            ], key
    assert len(said) > len(whole) / 10  # the rest are for the report
    assert all("evaluation.json" in error for error in said)


def test_figures_of_other_weights_are_not_published(run, tmp_path):
    weights = next(run.rglob("model/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match="figures are not of"):
        cards(run, tmp_path / "staging")
