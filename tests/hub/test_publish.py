"""The whole way: a run is published to a Hub, and strangers, who have nothing of ours, use what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from loopback import TOKEN, LoopbackHub
from processes import stranger as run_stranger
from publishing import publish

PUBLISHED = {
    ("models", "org/textvae-rt"), ("datasets", "org/imdb-vae-aug200"), ("datasets", "org/imdb-vae-aug500"),
    ("models", "org/imdb-bert-vae-aug500"), ("models", "org/imdb-lstm-vae-aug500"),
    ("models", "org/imdb-gpt2-lora-vae-aug500"), ("spaces", "org/textvae-demo"),
}  # fmt: skip


def stranger(hub, tmp_path, program):
    """What a program prints that has nothing of ours but what is on the Hub."""
    return run_stranger(program, tmp_path, **hub.environment)


def card_of(hub, kind, name):
    return hub.repo(name, kind).files()["README.md"].decode()


def test_everything_is_there_privately_in_one_commit_each_and_collected(published):
    hub, done = published
    ours = {place: repo for place, repo in hub.repos.items() if repo.id.startswith("org/")}
    assert set(ours) == PUBLISHED
    for repo in ours.values():
        assert repo.private
        assert len(repo.commits) == 2  # the Hub's own, and ours
        assert repo.refs["main"] in done.stdout
        (tag,) = set(repo.refs) - {"main"}
        assert repo.refs[tag] == repo.refs["main"]
    (collection,) = hub.collections.values()
    assert {item["id"] for item in collection["items"]} == {name for _, name in PUBLISHED}
    assert TOKEN not in done.stdout + done.stderr
    assert "org/textvae-demo: is private, and reads private models only by a secret HF_TOKEN" in done.stderr


def test_publishing_again_changes_nothing(published, finished_run, smoke_mirror, tmp_path):
    hub, _ = published
    commits = {place: list(repo.commits) for place, repo in hub.repos.items()}
    again = publish(hub, finished_run, smoke_mirror, tmp_path, "--push")
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count(": unchanged,") == len(PUBLISHED)
    assert {place: list(repo.commits) for place, repo in hub.repos.items()} == commits


def test_without_push_the_hub_is_not_asked(finished_run, smoke_mirror, tmp_path):
    with LoopbackHub() as hub:
        done = publish(hub, finished_run, smoke_mirror, tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        assert not hub.requests
    assert re.search(r"^model org/textvae-rt \(private\), v-[0-9a-f]{12}, ", done.stdout, re.MULTILINE)
    assert re.search(r"^ +[\d.]+ kB  model\.safetensors$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("nothing was pushed; --push does it\n")
    assert not re.search(r"checkpoint|\.pkl|\.bin|metrics\.jsonl|precision\.json", done.stdout)


def test_automodel_gives_the_weights_that_were_trained_and_generates(published, finished_run, tmp_path):
    hub, _ = published
    printed = stranger(
        hub,
        tmp_path,
        f"""
from pathlib import Path
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer
model = AutoModel.from_pretrained("org/textvae-rt", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("org/textvae-rt", trust_remote_code=True)
trained = load_file("{finished_run / "vae/model.safetensors"}")
state = model.state_dict()
assert trained and all(state[name].equal(tensor) for name, tensor in trained.items())
texts = tokenizer.batch_decode(model.generate(num_return_sequences=3), skip_special_tokens=True)
print(type(model).__module__, len(texts))
""",
    )
    module, count = printed.split()
    assert module.startswith("transformers_modules.org.")
    assert count == "3"


def test_load_dataset_gives_both_configurations_typed(published, tmp_path):
    hub, _ = published
    printed = stranger(
        hub,
        tmp_path,
        """
import json
from datasets import load_dataset
rows = load_dataset("org/imdb-vae-aug500")["train"]
candidates = load_dataset("org/imdb-vae-aug500", "candidates")["train"]
print(json.dumps([len(rows), sum(candidates["kept"]), {k: str(v) for k, v in candidates.features.items()}]))
""",
    )
    rows, kept, features = json.loads(printed)
    assert rows == kept == 500
    assert features["label"] == "ClassLabel(names=['neg', 'pos'])"
    assert features["reject_reason"] == "Value('string')"
    assert features["kept"] == "Value('bool')"


def test_every_snippet_of_every_card_runs(published, tmp_path):
    hub, _ = published
    seen = 0
    for kind, name in sorted(PUBLISHED):
        snippets = re.findall(r"^```python\n(.*?)^```$", card_of(hub, kind, name), re.MULTILINE | re.DOTALL)
        if kind != "spaces":
            assert f'"{name}"' in snippets[0]
            assert f'revision="{next(ref for ref in hub.repo(name, kind).refs if ref != "main")}"' in snippets[0]
        if snippets:
            printed = stranger(hub, tmp_path, "\n".join(snippets))
            seen += 1
            assert printed.strip() in ("neg", "pos") if "vae-aug500" in name and kind == "models" else not printed
    assert seen == 6


def test_what_is_taken_back_from_the_private_repositories_needs_the_token(published, tmp_path):
    hub, _ = published
    printed = stranger(
        hub,
        tmp_path,
        """
import os
os.environ.pop("HF_TOKEN")
from transformers import AutoModel
try:
    AutoModel.from_pretrained("org/textvae-rt", trust_remote_code=True)
except OSError:
    print("refused")
""",
    )
    assert printed == "refused\n"


def test_what_the_readme_tells_anybody_to_write_runs(published, tmp_path):
    hub, _ = published
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (program,) = [block for block in re.findall(r"^```python\n(.*?)^```$", readme, re.M | re.S) if "ORG/" in block]
    program = program.replace("ORG/", "org/")
    assert stranger(hub, tmp_path, f"{program}\nprint(len(rows), sum(row['kept'] for row in grown))").startswith("500 ")
