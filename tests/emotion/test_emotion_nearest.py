"""From a valence and an arousal to sentences, through the command."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from textvae.cli import main
from textvae.training.common.files import read_json
from textvae.training.common.recipe_files import load_sister_recipe
from textvae.training.emotion.data import load_annotated, official_rows
from textvae.training.emotion.recipe import EmotionRecipe


def test_the_sentences_nearest_to_places_are_told(recipe, tmp_path, capsys):
    path, output = recipe(), tmp_path / "run"
    assert main(["emotion", path, "--output", str(output), "--near", "4,3", "--near", "2,3.4"]) == 0
    page, *told = capsys.readouterr().out.splitlines()
    asked = load_sister_recipe(EmotionRecipe, path)
    data = load_annotated(asked)
    rows = official_rows(data).test
    model, tokenizer = (load(output / "model") for load in (AutoModel.from_pretrained, AutoTokenizer.from_pretrained))
    embeddings = model.embed_texts([data.texts[row] for row in rows], tokenizer)
    wanted = []
    for valence, arousal in ((4.0, 3.0), (2.0, 3.4)):
        wanted.append(f"nearest to valence {valence:g}, arousal {arousal:g} (rated: valence, arousal)")
        for row in rows[model.nearest(torch.tensor([[valence, arousal]]), embeddings)[0]]:
            wanted.append("{:.2f}\t{:.2f}\t{}".format(*data.ratings[row], data.texts[row]))
    assert told == wanted
    # The report's table is of the corners and the middle.
    found = read_json(output / "nearest.json")
    assert [one["place"] for one in found] == [
        [np.quantile(data.ratings[rows, index], share) for index, share in enumerate(shares)]
        for shares in ((0.95, 0.95), (0.95, 0.05), (0.05, 0.95), (0.05, 0.05), (0.5, 0.5))
    ]
    (table,) = re.findall(r'aria-label="From ratings to sentences">.*?</div>', Path(page).read_text(), re.DOTALL)
    assert re.findall(r'<td class="long">(.*?)</td>', table) == [
        sentence["text"] for one in found for sentence in one["sentences"]
    ]
    assert len(found[0]["sentences"]) == 3


def test_a_place_that_is_none_is_named_before_the_run(recipe, tmp_path, capsys):
    command = ["emotion", recipe(), "--output", str(tmp_path / "run"), "--near"]
    assert main([*command, "9,3"]) == 2
    assert "--near: valence 9 lies outside 1 to 5" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "4"])
    assert "argument --near: invalid V,A value: '4'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
