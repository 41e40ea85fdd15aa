"""An LSTM on the Hub, and the reviews that it was scored on."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import pandas as pd
import pytest
import yaml
from processes import stranger, textvae
from publishing import publish
from repositories import File

from textvae.hub_cards.checks import check
from textvae.hub_cards.layouts import layout_of
from textvae.training.common.errors import UserError
from textvae.training.common.intervals import wilson_interval
from textvae.training.lstm.data import TRICKY


def laid_out(run, staging, model_name=None):
    return {repo.id: repo for repo in layout_of(run, "org", staging, model_name).all()}


def test_exactly_these_files_travel(lstm_run, tmp_path):
    repos = laid_out(lstm_run, tmp_path / "staging").values()
    assert {repo.id: [path.relative_to(repo.folder).as_posix() for path in repo.files] for repo in repos} == {
        "org/imdb-lstm-tiny": [
            "README.md", "config.json", "configuration_lstm.py", "evaluation.json", "model.safetensors",
            "modeling_lstm.py", "plots/learning-lstm_tiny.svg", "plots/reliability.svg", "tokenizer.json",
            "tokenizer_config.json",
        ],
        "org/tricky-reviews": ["README.md", "tricky_reviews.csv"],
    }  # fmt: skip


def test_the_card_says_what_was_measured(lstm_run, tmp_path):
    card = (laid_out(lstm_run, tmp_path / "staging")["org/imdb-lstm-tiny"].folder / "README.md").read_text()
    found = json.loads((lstm_run / "evaluation.json").read_text())
    assert f"| accuracy, 95 % Wilson interval | {100 * found['test']['accuracy']:.2f} % (" in card
    assert f"| cross-entropy, nats | {found['test']['loss']:.4f} |" in card
    solved, pairs = (found["tricky"][name] for name in ("pairs_solved", "pairs"))
    low, high = wilson_interval(solved, pairs)
    told = f"{100 * solved:.1f} % (95 % Wilson interval {100 * low:.1f} to {100 * high:.1f}) of the {pairs} pairs"
    assert told in card
    assert re.search(r"name: accuracy\n", card)


@pytest.mark.parametrize(("pretrained", "said"), [(False, "trained from nothing on"), (True, "; it was trained on")])
def test_the_card_says_what_it_started_from(lstm_run, tmp_path, pretrained, said):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    info["recipe"]["pretrained_embeddings"] = pretrained
    (run / "run.json").write_text(json.dumps(info))
    card = (laid_out(run, tmp_path / "staging")["org/imdb-lstm-tiny"].folder / "README.md").read_text()
    assert said in card
    assert ("components of those of" in card) == pretrained


def test_the_card_tells_of_a_start_as_a_language_model(lstm_run, tmp_path):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    figures = json.loads((run / "evaluation.json").read_text())
    figures["pretraining"] = {"texts": 640, "unlabelled": 400, "steps": 77, "seconds": 300.0, "loss": 4.8125}
    (run / "evaluation.json").write_text(json.dumps(figures))
    card = (laid_out(run, tmp_path / "staging")["org/imdb-lstm-tiny"].folder / "README.md").read_text()
    assert "on 640 texts, those of the training and 400 without labels: 77 steps, 5 of the minutes below" in card
    assert "from nothing" not in card


def test_the_reviews_that_their_card_names_are_in_them_with_the_labels_that_it_tells(lstm_run, tmp_path):
    card = (laid_out(lstm_run, tmp_path / "staging")["org/tricky-reviews"].folder / "README.md").read_text()
    rows = pd.read_csv(TRICKY).set_index("text")["label"]
    won, lost = re.findall(r"\(\*(.+?)\*\)", card)
    assert (rows[won], rows[lost]) == ("positive", "negative")


def test_a_run_that_is_not_finished_says_so(lstm_run, tmp_path):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    (run / "evaluation.json").unlink()
    with pytest.raises(UserError, match="not evaluated yet"):
        laid_out(run, tmp_path / "staging")


def test_a_member_that_saw_no_test_rows_is_scored_on_them_by_the_command_that_is_named(
    lstm_run, smoke_mirror, tmp_path
):
    """The comparison that trained it scores validation rows alone, however often it is run."""
    shutil.copy(lstm_run / "recipe.yaml", tmp_path / "lstm_tiny.yaml")
    comparison = {"members": {"wide": {"recipe": "lstm_tiny.yaml", "changes": {"hidden_size": 9}}}}
    (tmp_path / "lstm_choose.yaml").write_text(yaml.safe_dump(comparison))
    done = textvae(["lstm", "lstm_choose.yaml"], tmp_path, TEXTVAE_MIRROR=smoke_mirror)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = (tmp_path / "runs/lstm_choose/wide/model/model.safetensors").stat().st_mtime_ns
    publish = ["publish", "runs/lstm_choose/wide", "--namespace", "org", "--model-name", "wide"]
    done = textvae(publish, tmp_path, TEXTVAE_MIRROR=smoke_mirror)
    assert done.returncode == 2
    command = re.search(r"wide: is not evaluated yet; run `textvae (lstm .*)` to its end", done.stderr)[1]
    done = textvae(shlex.split(command), tmp_path, TEXTVAE_MIRROR=smoke_mirror)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "runs/lstm_choose/wide/model/model.safetensors").stat().st_mtime_ns == weights
    assert "org/wide" in laid_out(tmp_path / "runs/lstm_choose/wide", tmp_path / "staging", "wide")


def test_a_tokenizer_that_is_not_the_models_is_not_published(lstm_run, tmp_path):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    config = json.loads((run / "model/config.json").read_text())
    (run / "model/config.json").write_text(json.dumps(config | {"vocabulary_digest": "0" * 16}))
    repos = list(laid_out(run, tmp_path / "staging").values())
    with pytest.raises(UserError, match=r"org/imdb-lstm-tiny: does not work when it is loaded: .* another vocab"):
        check(repos)


def test_a_run_that_broke_off_or_lost_a_plot_is_not_published(lstm_run, tmp_path):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    assert info["finished"]
    (run / "run.json").write_text(json.dumps(info | {"finished": False}))
    with pytest.raises(UserError, match="broke off; run it again"):
        laid_out(run, tmp_path / "staging")
    (run / "run.json").write_text(json.dumps(info))
    (run / "plots/reliability.svg").unlink()
    with pytest.raises(UserError, match=r"reliability\.svg: is missing, and the card shows it"):
        laid_out(run, tmp_path / "other")


def test_names_that_the_hub_does_not_take_are_refused_at_once(lstm_run, tmp_path):
    for name in ("my model", "org/x", "x@main"):
        done = textvae(["publish", str(lstm_run), "--namespace", "org", "--model-name", name], tmp_path)
        assert done.returncode == 2
        assert re.fullmatch(rf"textvae: error: org/{re.escape(name)}: Repo id .*--model-name\n", done.stderr)


def test_a_comparisons_folder_names_those_of_its_members(lstm_run, tmp_path):
    """What `textvae lstm` leaves of a comparison: figures and plots, and no model."""
    run = tmp_path / "both"
    run.mkdir()
    info = json.loads((lstm_run / "run.json").read_text())
    info |= {"recipe": {"name": "both", "members": {}}, "members": {"small": "runs/small", "large": "runs/both/large"}}
    (run / "run.json").write_text(json.dumps(info))
    for command in (["publish", str(run), "--namespace", "org"], ["demo", str(run)]):
        done = textvae(command, tmp_path)
        assert done.returncode == 2
        assert re.fullmatch(r"textvae: error: .*both: .*runs/small runs/both/large\n", done.stderr)


def test_where_tricky_reviews_do_not_apply_there_are_none(lstm_run, tmp_path):
    run = shutil.copytree(lstm_run, tmp_path / "run")
    found = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps(found | {"tricky": None}))
    (repo,) = laid_out(run, tmp_path / "staging").values()
    assert "tricky" not in (repo.folder / "README.md").read_text()


def test_strangers_use_what_is_published(lstm_run, smoke_mirror, hub, tmp_path):
    done = publish(hub, lstm_run, smoke_mirror, tmp_path, "--push")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {repo.id for repo in hub.repos.values()} == {"org/imdb-lstm-tiny", "org/tricky-reviews", "org/textvae-demo"}
    card = hub.repo("org/imdb-lstm-tiny").files()["README.md"].decode()
    assert "tricky-reviews" not in card.partition("---\n")[2].partition("---\n")[0]  # no training was on them
    script = "\n".join(re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL))
    script += """
(said,) = classify("a moving and funny film. " * 100, truncation=True)
assert said["label"] in model.config.id2label.values() and 0.5 <= said["score"] <= 1
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
reviews = load_dataset("org/tricky-reviews", split="test")
model = AutoModelForSequenceClassification.from_pretrained("org/imdb-lstm-tiny", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("org/imdb-lstm-tiny", trust_remote_code=True)
print(len(reviews), model(**tokenizer(reviews[0]["text"], return_tensors="pt")).logits.shape)
"""
    told = stranger(script, tmp_path, **hub.environment, HF_HOME=tmp_path / "stranger")
    assert told.split("\n")[-2] == f"{len(TRICKY.read_text().splitlines()) - 1} torch.Size([1, 2])"


def test_who_publishes_to_the_space_meanwhile_loses_no_tab(lstm_run, digits_run, smoke_mirror, hub, tmp_path):
    """Somebody else's commit comes after the pins have been read, once to no Space yet and once to one."""
    theirs = [{"emotion": {"id": "org/a", "revision": "a" * 40}}, {"emotion": {"id": "org/b", "revision": "b" * 40}}]

    def meddle(route):
        if route == "refs":  # a repository is whole
            hub.requests.clear()
        elif route == "commit" and "resolve" in hub.requests:  # only the Space's pins are read from the Hub
            space = hub.repo("org/textvae-demo", "spaces")
            data = json.dumps(theirs.pop()).encode()
            space.commit("main", {"pins.json": File(data, lfs=False)}, "textvae publish: v-other")
            hub.fault = lambda _: None
        return None

    for run, kept in ((lstm_run, "org/b"), (digits_run, "org/a")):
        hub.requests.clear()
        hub.fault = meddle
        done = publish(hub, run, smoke_mirror, tmp_path, "--push")
        assert done.returncode == 2
        assert re.search(
            r"^textvae: error: org/textvae-demo: somebody else published there just now", done.stderr, re.M
        )
        done = publish(hub, run, smoke_mirror, tmp_path, "--push")
        assert done.returncode == 0, done.stderr[-3000:]
        pins = json.loads(hub.repo("org/textvae-demo", "spaces").files()["pins.json"])
        assert pins["emotion"]["id"] == kept
        assert {"lstm", "digits"} & set(pins)


def test_runs_are_published_together_with_one_space(lstm_run, finished_run, smoke_mirror, hub, tmp_path):
    command = ["publish", finished_run, lstm_run, "--namespace", "org", "--model-name", "mine"]
    done = textvae(command, tmp_path, TEXTVAE_MIRROR=smoke_mirror, **hub.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "model org/mine (private)" in done.stdout
    assert "org/textvae-rt" not in done.stdout
    assert "model org/imdb-lstm-tiny (private)" in done.stdout
    assert done.stdout.count("space org/textvae-demo") == 1


def test_two_runs_share_the_reviews_but_no_model(lstm_run, smoke_mirror, hub, tmp_path):
    other = shutil.copytree(lstm_run, tmp_path / "other")
    info = json.loads((other / "run.json").read_text())
    info |= {"recipe": info["recipe"] | {"name": "lstm_other"}, "command": "textvae lstm other", "textvae": "9.9.9"}
    (other / "run.json").write_text(json.dumps(info))
    (other / "plots/learning-lstm_tiny.svg").rename(other / "plots/learning-lstm_other.svg")
    cards = [
        (laid_out(run, tmp_path / "staging" / run.name)["org/tricky-reviews"].folder / "README.md").read_text()
        for run in (lstm_run, other)
    ]
    assert cards[0] == cards[1]
    done = textvae(["publish", str(lstm_run), str(other), "--namespace", "org"], tmp_path, **hub.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.findall(r"^(?:model|dataset|space) (\S+)", done.stdout, re.MULTILINE) == [
        "org/imdb-lstm-tiny", "org/tricky-reviews", "org/imdb-lstm-other", "org/textvae-demo",
    ]  # fmt: skip

    info["recipe"]["name"] = "lstm_tiny"  # the same name, but another plot in it
    (other / "plots/learning-lstm_tiny.svg").write_text("<svg/>")
    (other / "run.json").write_text(json.dumps(info))
    done = textvae(["publish", str(lstm_run), str(other), "--namespace", "org"], tmp_path, **hub.environment)
    assert done.returncode == 2
    assert re.fullmatch(
        r"textvae: error: org/imdb-lstm-tiny: two of the runs have one of that name.* --model-name .*\n", done.stderr
    )
    named = ["publish", lstm_run, other, "--namespace", "org", "--model-name", "mine"]  # the first run's
    done = textvae(named, tmp_path, **hub.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.findall(r"^model (\S+)", done.stdout, re.MULTILINE) == ["org/mine", "org/imdb-lstm-tiny"]


def test_a_model_of_a_name_of_its_own_is_published_to_everybody(lstm_run, smoke_mirror, hub, tmp_path):
    done = publish(hub, lstm_run, smoke_mirror, tmp_path, "--push", "--public", "--model-name", "mine")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {repo.id: repo.private for repo in hub.repos.values()} == dict.fromkeys(
        ("org/mine", "org/tricky-reviews", "org/textvae-demo"), False
    )
    assert 'from_pretrained("org/mine"' in hub.repo("org/mine").files()["README.md"].decode()
    assert json.loads(hub.repo("org/textvae-demo", "spaces").files()["pins.json"])["lstm"]["id"] == "org/mine"
    assert "secret HF_TOKEN" not in done.stderr
    (collection,) = hub.collections.values()
    assert not collection["private"]
    # Anybody: without the token, too.
    variables = hub.environment | {"HF_TOKEN": "", "HF_HOME": tmp_path / "stranger"}
    program = """
from transformers import AutoModelForSequenceClassification
print(AutoModelForSequenceClassification.from_pretrained("org/mine", trust_remote_code=True).config.model_type)
"""
    assert stranger(program, tmp_path, **variables) == "textvae_lstm\n"


def test_the_space_keeps_the_tabs_of_what_was_published_before(lstm_run, digits_run, smoke_mirror, hub, tmp_path):
    for run in (digits_run, lstm_run):
        done = publish(hub, run, smoke_mirror, tmp_path, "--push")
        assert done.returncode == 0, done.stderr[-3000:]
    files = hub.repo("org/textvae-demo", "spaces").files()
    pins = json.loads(files["pins.json"])
    assert {name: pin["id"] for name, pin in pins.items()} == {
        "digits": "org/digits-ae-4",
        "lstm": "org/imdb-lstm-tiny",
    }
    card = files["README.md"].decode()
    assert "- org/digits-ae-4\n" in card
    assert "- org/imdb-lstm-tiny\n" in card


def test_the_verb_names_its_recipes(tmp_path):
    done = textvae(["lstm", "lstm_14m"], tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"textvae: error: lstm_14m: no such recipe; .*lstm_15m.*\n", done.stderr)
