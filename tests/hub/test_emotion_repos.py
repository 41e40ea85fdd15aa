"""An emotion VAE on the Hub."""

from __future__ import annotations

import json
import re
import shutil

import torch
from processes import stranger
from publishing import publish
from transformers import AutoTokenizer

from textvae.hub_cards.layouts import layout_of
from textvae.modeling_emotion_vae import EmotionVAEModel

CODE = ["configuration_emotion_vae.py", "modeling_emotion_vae.py", "networks.py", "outputs.py"]


def laid_out(run, staging, name=None):
    (repo,) = layout_of(run, "org", staging, name).all()
    return repo


def test_exactly_these_files_travel(emotion_run, tmp_path):
    repo = laid_out(emotion_run, tmp_path / "staging")
    assert repo.id == "org/emotion-tiny-vae"
    assert laid_out(emotion_run, tmp_path / "named", "mine").id == "org/mine"
    files = [path.relative_to(repo.folder).as_posix() for path in repo.files]
    assert sorted(name for name in files if not name.startswith("plots/")) == sorted(
        ["README.md", "config.json", "evaluation.json", "map.json", "model.safetensors", "tokenizer.json",
         "tokenizer_config.json", *CODE]
    )  # fmt: skip
    assert {"plots/emotion-map.svg", "plots/reliability.svg"} <= set(files)


def test_the_card_says_what_was_measured(emotion_run, tmp_path):
    found = json.loads((emotion_run / "evaluation.json").read_text())
    card = (laid_out(emotion_run, tmp_path / "staging").folder / "README.md").read_text()
    r, sd, one = (found[name] for name in ("r_valence", "r_valence_sd", "official_r_valence"))
    assert f"| Pearson r, valence | {r:.3f} ({sd:.3f}) | {one:.3f} |" in card
    assert f"| means inside the 90 % interval, arousal | {100 * found['coverage_arousal']:.1f} % |" in card
    assert "the first 32 tokens of a longer text" in card
    assert "trained with 1.0 × `reconstruction` + 0.01 × `kl` + 0.5 × `mean_error` + 0.3 × `deviation_error`" in card


def test_the_figures_of_a_frozen_encoder_beside_them_are_not_a_trained_ones(emotion_run, tmp_path):
    run = shutil.copytree(emotion_run, tmp_path / "run")
    info, found = (json.loads((run / name).read_text()) for name in ("run.json", "evaluation.json"))
    info["recipe"]["model"]["trainable_encoder_layers"] = -1
    own = {re.sub(r"(_sd)?$", r"_finetuned\1", key, count=1): value for key, value in found.items()}
    beside = {key: 0.123 if isinstance(value, float) else value for key, value in found.items()}
    (run / "run.json").write_text(json.dumps(info))
    (run / "evaluation.json").write_text(json.dumps(own | beside))
    card = (laid_out(run, tmp_path / "staging").folder / "README.md").read_text()
    frozen = (laid_out(emotion_run, tmp_path / "frozen").folder / "README.md").read_text()
    tables = [re.findall(r"^\| .*", text, flags=re.MULTILINE) for text in (card, frozen)]
    assert tables[0] == tables[1]


def test_the_map_holds_sentences_as_the_model_places_them(emotion_run):
    placed = json.loads((emotion_run / "model/map.json").read_text())
    official = json.loads((emotion_run / "official.json").read_text())
    assert [place[1:] for place in placed] == official["predictions"]["mean"][: len(placed)]
    assert all(isinstance(place[0], str) for place in placed)


def test_strangers_use_what_is_published(emotion_run, smoke_mirror, hub, tmp_path):
    done = publish(hub, emotion_run, smoke_mirror, tmp_path, "--push")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {repo.id for repo in hub.repos.values()} == {"org/emotion-tiny-vae", "org/textvae-demo"}
    pins = json.loads(hub.repo("org/textvae-demo", "spaces").files()["pins.json"])
    assert {name: pin["id"] for name, pin in pins.items()} == {"emotion": "org/emotion-tiny-vae"}
    card = hub.repo("org/emotion-tiny-vae").files()["README.md"].decode()
    (use,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert use.count('from_pretrained("org/emotion-tiny-vae", revision="v-') == 2
    nearest = use.strip().splitlines()[-1]
    assert "model.nearest" in nearest
    script = f"""{use}
assert said.mean.shape == low.shape == (2, 2) and (low < said.mean).all() and (said.mean < high).all()
assert {nearest} in sentences
print(type(model).__module__, said.mean.tolist())
"""
    told = stranger(script, tmp_path, **hub.environment, HF_HOME=tmp_path / "stranger")
    module, means = told.split(maxsplit=1)
    assert module.startswith("transformers_modules.org.")
    model, tokenizer = (load.from_pretrained(emotion_run / "model") for load in (EmotionVAEModel, AutoTokenizer))
    own = model.predict(["What a lovely day!", "The meeting is at nine."], tokenizer).mean
    torch.testing.assert_close(torch.tensor(json.loads(means)), own)
