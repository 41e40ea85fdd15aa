from __future__ import annotations

import sys
import time

import pytest
import yaml

from textvae.training.common.errors import UserError
from textvae.training.common.files import read_json
from textvae.training.common.machine import Memory
from textvae.training.common.recipe import Recipe
from textvae.training.common.run_folder import RunFolder, open_run
from textvae.training.common.sources import resolve_model


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "runs" / "x", Recipe(name="x", seed=3))


def make(run, name="vae", inputs=(1,), text="weights"):
    """Run a stage and say whether its work was done anew."""
    with run.stage(name, inputs=inputs, outputs=["vae/model.txt"]) as stage:
        if stage.done:
            return False
        (run.path / "vae").mkdir(exist_ok=True)
        (run.path / "vae" / "model.txt").write_text(text)
        stage.note = "12 active units"
    return True


def test_facts(run):
    info = read_json(run.path / "run.json")
    assert info["seed"] == 3
    assert info["recipe"]["vae"]["steps"] == Recipe(name="x").vae.steps
    assert set(info["hardware"]) == {"cpu", "cores", "memory_gb", "gpu"}
    assert "torch" in info["versions"]
    assert (info["sources"], info["stages"]) == ([], {})
    assert yaml.safe_load((run.path / "recipe.yaml").read_text())["seed"] == 3


def test_update_keeps_what_stands_there_and_the_higher_peak(run):
    run.update(sources=[{"id": "a"}], peak_memory_gb=2.0)
    run.update(peak_memory_gb=1.0, total_seconds=5)
    again = RunFolder(run.path, Recipe(name="x"))
    assert again.info["sources"] == [{"id": "a"}]
    assert again.info["peak_memory_gb"] == 2.0
    assert again.info["total_seconds"] == 5


def test_a_finished_stage_is_reused(run, capsys):
    assert make(run)
    assert f"vae: 0.0 s → {run.path}/vae (12 active units)" in capsys.readouterr().err
    record = run.info["stages"]["vae"]
    again = RunFolder(run.path, Recipe(name="x"))
    assert not make(again)
    assert capsys.readouterr().err == f"vae: reused {run.path}/vae\n"
    assert again.info["stages"]["vae"] == record
    assert record["note"] == "12 active units"


def test_a_command_that_reuses_everything_does_not_pass_for_the_maker(run, monkeypatch):
    make(run)
    made = {name: run.info[name] for name in ("command", "hardware", "versions", "python", "textvae")}
    monkeypatch.setattr(sys, "argv", ["/bin/textvae", "emotion", "--near", "4,3"])
    again = RunFolder(run.path, Recipe(name="x"))
    assert not make(again)
    assert {name: read_json(run.path / "run.json")[name] for name in made} == made
    make(again, inputs=(2,))
    assert read_json(run.path / "run.json")["command"] == "textvae emotion --near 4,3"


def test_other_inputs_or_missing_outputs_run_again(run):
    make(run)
    assert make(run, inputs=(2,))
    (run.path / "vae" / "model.txt").unlink()
    assert make(run, inputs=(2,))


def test_input_files_count_by_content(run, tmp_path):
    (tmp_path / "in.txt").write_text("1")
    make(run, inputs=[tmp_path / "in.txt"])
    assert not make(run, inputs=[tmp_path / "in.txt"])
    (tmp_path / "in.txt").write_text("2")
    assert make(run, inputs=[tmp_path / "in.txt"])


def test_a_stage_that_breaks_off_vouches_for_nothing(run):
    make(run, inputs=(1,))
    with pytest.raises(ZeroDivisionError), run.stage("vae", inputs=(2,), outputs=["vae/model.txt"]):
        (run.path / "vae" / "model.txt").write_text(f"half of another model {1 / 0}")
    again = RunFolder(run.path, Recipe(name="x"))
    assert "vae" not in again.info["stages"]
    assert make(again, inputs=(1,))


def test_a_run_is_finished_when_it_is_left_in_peace_and_keeps_what_was_added_last(tmp_path):
    recipe, facts = Recipe(name="test"), tmp_path / "run" / "run.json"
    with pytest.raises(InterruptedError), open_run(tmp_path / "run", recipe):
        raise InterruptedError
    assert read_json(facts)["finished"] is False
    with open_run(tmp_path / "run", recipe) as run:
        RunFolder(run.path, recipe).update(added="by a folder that was opened anew")
    found = read_json(facts)
    assert found["finished"] is True
    assert found["added"] == "by a folder that was opened anew"


def test_a_busy_folder_is_refused_and_left_as_it_is(tmp_path):
    folder = tmp_path / "x"
    with open_run(folder, Recipe(name="x", seed=3)):
        files = {path: path.read_bytes() for path in (folder / "recipe.yaml", folder / "run.json")}
        with pytest.raises(UserError, match="another run is at work here"), open_run(folder, Recipe(name="y", seed=4)):
            pass
        assert {path: path.read_bytes() for path in files} == files
    with open_run(folder, Recipe(name="y", seed=4)) as run:
        assert run.info["seed"] == 4


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"file/x: cannot be written: .*--output"),
        open_run(tmp_path / "file" / "x", Recipe(name="x")),
    ):
        pass


def test_other_weights_than_a_run_began_with_are_refused(run, tmp_path):
    model = tmp_path / "body"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"1")
    run.update(sources=[{"asked": str(model), **resolve_model(str(model))[1].to_dict()}])
    run.check_sources([str(model)])
    (model / "model.safetensors").write_bytes(b"2")
    with pytest.raises(UserError, match=f"{model}: this run began with {model}, now it comes from"):
        run.check_sources([str(model)])


def test_memory_sees_a_peak():
    with Memory(seconds=0.02) as memory:
        time.sleep(0.1)
        before = memory.peak_gb
        block = bytearray(200_000_000)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(0.2)
        del block
    assert before > 0
    assert memory.peak_gb >= before + 0.15
