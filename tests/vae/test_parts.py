"""Finished parts of a long piece of work."""

from __future__ import annotations

import pytest
import torch

from textvae.training.vae.parts import Parts


def never():
    raise AssertionError("made again")


def test_a_part_is_made_once_for_the_same_inputs(tmp_path):
    parts = Parts(tmp_path / "parts", "first")
    assert parts.data("pair", lambda: (1, {"a": 0.1 + 0.2})) == [1, {"a": 0.1 + 0.2}]
    values = {"x": torch.arange(6.0).view(2, 3).T}
    assert torch.equal(parts.tensors("latents", lambda: values)["x"], values["x"])
    again = Parts(tmp_path / "parts", "first")
    assert again.data("pair", never) == [1, {"a": 0.1 + 0.2}]
    assert torch.equal(again.tensors("latents", never)["x"], values["x"])
    other = Parts(tmp_path / "parts", "second")
    assert other.data("pair", lambda: 2) == 2
    with pytest.raises(AssertionError, match="made again"):
        other.tensors("latents", never)


def test_a_part_that_breaks_off_leaves_nothing(tmp_path):
    parts = Parts(tmp_path / "parts", "first")

    def broken():
        raise KeyboardInterrupt

    for make in (parts.data, parts.tensors):
        with pytest.raises(KeyboardInterrupt):
            make("part", broken)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["made_from"]
    assert parts.data("part", lambda: 3) == 3
