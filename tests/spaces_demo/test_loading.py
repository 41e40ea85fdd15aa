"""Pins lead to folders without a network, or to a commit; nothing else is run."""

from __future__ import annotations

import ast
import json
import shutil
import sys
import threading
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError
from loading import Pin, PinError, PinnedClassifier, PinnedModel, Pins, read_pins
from processes import python

DEMO = Path(__file__).parents[2] / "spaces_demo"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the Hub is asked for; it answers with a folder."""
    calls = []

    def snapshot_download(name, **options):
        calls.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.delenv("TEXTVAE_MIRROR", raising=False)
    return calls


def test_a_path_is_taken_as_it_is(asked, tmp_path):
    (tmp_path / "config.json").touch()
    assert Pin(str(tmp_path)).folder("models", "config.json") == tmp_path
    assert not asked


def test_the_mirror_comes_before_the_hub(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_MIRROR", str(tmp_path))
    (tmp_path / "models/org/name").mkdir(parents=True)
    (tmp_path / "models/org/name/config.json").touch()
    assert Pin("org/name").folder("models", "config.json") == tmp_path / "models/org/name"
    assert not asked
    Pin("org/name", COMMIT).folder("datasets", "*")
    assert asked == [("org/name", {"revision": COMMIT, "repo_type": "dataset"})]


@pytest.mark.parametrize("revision", [None, "", "main", "v1.0", COMMIT[:12], COMMIT + "\n", "../" + COMMIT])
def test_the_hub_is_asked_for_full_commits_only(asked, revision):
    with pytest.raises(PinError, match="40 hex digits"):
        Pin("org/name", revision).folder("models", "*")
    assert not asked


def test_a_folder_without_what_is_needed_is_refused(tmp_path):
    with pytest.raises(PinError, match=r"holds no config\.json"):
        Pin(str(tmp_path)).folder("models", "config.json")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_hub_keeps_from_the_space_names_the_remedy(monkeypatch, status):
    def snapshot_download(name, **options):
        raise RepositoryNotFoundError("no", response=httpx2.Response(status, request=httpx2.Request("GET", "http://h")))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(PinError, match=r"org/name: .* make the repository public, or add a secret HF_TOKEN"):
        Pin("org/name", COMMIT).folder("models", "*")


def test_pins_are_read(tmp_path):
    (tmp_path / "pins.json").write_text(
        json.dumps({"models": {"augment": {"id": "a", "sampling": {"top_p": 0.8}}}, "dataset": {"id": "d"}})
    )
    assert read_pins(tmp_path / "pins.json") == Pins({"augment": Pin("a", None, {"top_p": 0.8})}, Pin("d"))


def test_the_pins_of_the_demo_can_be_read_but_not_started():
    pins = read_pins(DEMO / "pins.json")
    assert pins.dataset
    assert pins.evidence
    with pytest.raises(PinError, match="pin a revision"):
        PinnedModel(pins.models["augment"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no pins file"), ("[]", "no pins file"), ("{}", "pins no model"),
        ('{"models": {}}', "pins no model"),
        ('{"models": {"augment": {"id": "a", "branch": "b"}}}', "no pins file"),
        ('{"models": {"augment": {"id": "a"}, "other": {"id": "a"}}}', "nothing else"),
        ('{"models": {"augment": {"id": "a", "sampling": {"beams": 4}}}}', "sampling may hold"),
    ],
)  # fmt: skip
def test_what_pins_are_refused_for(tmp_path, content, said):
    (tmp_path / "pins.json").write_text(content)
    with pytest.raises(PinError, match=said):
        read_pins(tmp_path / "pins.json")


def test_classes_are_known_before_the_model_is_loaded(model, folder, tmp_path):
    assert model.classes == ["neg", "pos"]
    assert model._loaded is None
    shutil.copytree(folder / "vae", tmp_path / "vae")
    (tmp_path / "vae/classes.prior.safetensors").unlink()
    assert PinnedModel(Pin(str(tmp_path / "vae"))).classes == []


def test_a_model_is_loaded_once(model):
    found = []
    threads = [threading.Thread(target=lambda: found.append(model.load())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(loaded) for loaded in found}) == 1
    assert not found[0].model.training
    assert found[0].prior.num_classes == 2


def test_a_model_runs_by_the_code_in_its_folder(folder, tmp_path):
    """In a process of its own: in this one the class is that of the checkout, which has registered itself."""
    code = (
        "import sys\nfrom loading import Pin, PinnedModel\n"
        f"loaded = PinnedModel(Pin({str(folder / 'vae')!r})).load()\n"
        "print(type(loaded.model).__module__, loaded.generation.__name__, loaded.sentences.__name__)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('textvae', 'training', 'modeling_textvae')])"
    )
    done = python(["-c", code], tmp_path, PYTHONPATH=DEMO)
    assert done.returncode == 0, done.stderr[-3000:]
    modules, ours = done.stdout.splitlines()
    assert all(name.startswith("transformers_modules.") for name in modules.split())
    assert ours == "[]"


def test_a_classifier_whose_tokenizer_is_anothers_is_not_used(folder, tmp_path):
    lstm = shutil.copytree(folder / "lstm", tmp_path / "lstm")
    config = json.loads((lstm / "config.json").read_text())
    (lstm / "config.json").write_text(json.dumps(config | {"vocabulary_digest": "0" * 16}))
    with pytest.raises(ValueError, match="another vocabulary"):
        PinnedClassifier(Pin(str(lstm))).load()


def test_code_of_another_repository_is_never_run(folder, tmp_path):
    shutil.copytree(folder / "vae", tmp_path / "vae")
    config = json.loads((tmp_path / "vae/config.json").read_text())
    config["auto_map"] = {name: f"someone/else--{place}" for name, place in config["auto_map"].items()}
    (tmp_path / "vae/config.json").write_text(json.dumps(config))
    with pytest.raises(PinError, match="another repository"):
        PinnedModel(Pin(str(tmp_path / "vae"))).load()


def test_a_record_names_model_commit_and_settings(model):
    model.pin = Pin("org/name", COMMIT)
    assert model.record(top_p=0.9, seed=3) == f"org/name @ {COMMIT} · top p 0.9 · seed 3"


@pytest.mark.parametrize("path", sorted(DEMO.rglob("*.py")), ids=lambda path: str(path.relative_to(DEMO)))
def test_the_demo_needs_its_requirements_and_nothing_of_ours(path):
    """A Space installs requirements.txt alone; starlette comes with gradio."""
    own = {file.stem for file in DEMO.glob("*.py")} | {"panels"}
    lines = (DEMO / "requirements.txt").read_text().split()
    required = {line.split(">")[0].split("=")[0] for line in lines} | {"starlette"}
    required |= {"PIL"} if "pillow" in required else set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            assert name.split(".")[0] in own | required | sys.stdlib_module_names, name
