"""What must not leave this machine does not."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import zipfile

import pandas as pd
import pytest
from loopback import TOKEN

from textvae.hub_cards import checks
from textvae.hub_cards.checks import check_run
from textvae.hub_cards.staging import Repo
from textvae.hub_cards.study_repos import StudyRepos
from textvae.training.common.errors import UserError

CARD = "---\npretty_name: a\nlicense: mit\nconfigs: [1]\ntask_categories: [1]\n---\n# a\n"
SECRETS = ["hf_" + "Ab1" * 12, "ghp_" + "x" * 36, "AKIA" + "Q" * 16, "sk-" + "a" * 40, "xoxb-" + "1" * 24,
           "-----BEGIN RSA " + "PRIVATE KEY-----"]  # fmt: skip


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A dataset without fault; whether it works when loaded is tested elsewhere."""
    monkeypatch.setattr(checks, "_try_out", lambda repos: None)
    folder = tmp_path / "staged"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    pd.DataFrame({"text": ["a film"]}).to_parquet(folder / "train.parquet")
    return Repo("dataset", "org/a", folder, "v-1")


def test_a_plain_folder_passes(repo):
    checks.check([repo])


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:5])
@pytest.mark.parametrize("file", ["README.md", "train.parquet", "config.json"])
def test_secrets_are_found_in_every_kind_of_file(repo, secret, file):
    if file == "train.parquet":
        pd.DataFrame({"n": [1, 2], "text": ["a film", f"my key is {secret} ok"]}).to_parquet(repo.folder / file)
    else:
        with open(repo.folder / file, "a") as handle:
            handle.write(f'"{secret}"\n')
    with pytest.raises(UserError, match=f"org/a: {file}: holds what looks like an? ") as caught:
        checks.check([repo])
    assert secret not in str(caught.value)


def test_the_users_own_token_is_found_whatever_it_looks_like(repo, monkeypatch):
    monkeypatch.setattr(checks, "get_token", lambda: "my-very-own")
    (repo.folder / "provenance.json").write_text('{"command": "textvae --token my-very-own"}')
    with pytest.raises(UserError, match="holds your Hugging Face token") as caught:
        checks.check([repo])
    assert "my-very-own" not in str(caught.value)


def test_home_folders_are_nobodys_business(repo, monkeypatch, tmp_path):
    monkeypatch.setattr(checks.Path, "home", lambda: tmp_path / "alice")
    (repo.folder / "provenance.json").write_text(f'"{tmp_path}/alice/rows.csv"')
    with pytest.raises(UserError, match=r"provenance\.json: names your home folder"):
        checks.check([repo])


def test_files_of_any_size_are_not_taken(repo, monkeypatch):
    monkeypatch.setattr(checks, "LARGEST_FILE", 100)
    with pytest.raises(UserError, match=r"train\.parquet: has .* GB; "):
        checks.check([repo])


def test_links_are_not_followed(repo, tmp_path):
    (tmp_path / "secret.txt").write_text("mine")
    (repo.folder / "plots").mkdir()
    (repo.folder / "plots" / "a.svg").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UserError, match=r"plots/a\.svg: is a link"):
        checks.check([repo])


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_are_known_by_what_is_in_them(repo, protocol):
    (repo.folder / "config.json").write_bytes(pickle.dumps({"a": [1, 2, 3]}, protocol=protocol))
    with pytest.raises(UserError, match=r"config\.json: is a pickle"):
        checks.check([repo])


def test_torchs_pickles_are_known_too(repo):
    with zipfile.ZipFile(repo.folder / "model.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(UserError, match=r"model\.safetensors: is a pickle"):
        checks.check([repo])


def test_weights_whose_header_begins_like_a_pickle_are_none(repo):
    header = b'{"__metadata__":{"a":"' + b"b" * (0x0280 - 25) + b'"}}'
    assert len(header).to_bytes(8, "little")[:2] == b"\x80\x02"
    (repo.folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    checks.check([repo])


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("# a\n", "does not begin with YAML"),
        ("---\na: [\n---\n", "does not begin with YAML"),
        (CARD.replace("license: mit\n", ""), "its metadata lacks license"),
        (CARD.replace("# a", "# a\n").replace("---\n#", "verified: true\n---\n#"), "says 'verified'"),
    ],
)
def test_a_card_is_whole(repo, card, said):
    (repo.folder / "README.md").write_text(card)
    with pytest.raises(UserError, match=f"org/a: README.md: {said}"):
        checks.check([repo])


def test_a_dataset_that_does_not_load_is_refused(repo, monkeypatch):
    monkeypatch.undo()
    pd.DataFrame({"text": ["a film"]}).to_parquet(repo.folder / "candidates.parquet")
    split = [{"split": "train", "path": "train.parquet"}]
    configs = [{"config_name": "default", "data_files": split}, {"config_name": "candidates", "data_files": split}]
    (repo.folder / "README.md").write_text(CARD.replace("configs: [1]", f"configs: {json.dumps(configs)}"))
    with pytest.raises(UserError, match="org/a: does not work when it is loaded: KeyError 'label'"):
        checks.check([repo])
    (repo.folder / "train.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"train\.parquet: is no parquet file"):
        checks.check([repo])


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy to be spoiled."""
    return shutil.copytree(finished_run, tmp_path / "run")


def test_a_run_that_somebody_has_put_something_into(run, tmp_path):
    check_run(run, StudyRepos.parts)
    (run / "vae/checkpoints/step-9").mkdir(parents=True)
    (run / "vae/checkpoints/step-9/optimizer.bin").write_bytes(b"ours, and left behind")
    check_run(run, StudyRepos.parts)
    (run / "classifiers/bert/training_args.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"training_args\.bin: is a pickle"):
        check_run(run, StudyRepos.parts)
    (run / "classifiers/bert/training_args.bin").unlink()
    (run / "vae/tokenizer.json").unlink()
    (tmp_path / "passwd").write_text("root")
    (run / "vae/tokenizer.json").symlink_to(tmp_path / "passwd")
    with pytest.raises(UserError, match=r"tokenizer\.json: links to a file outside"):
        check_run(run, StudyRepos.parts)
    with pytest.raises(UserError, match=r"tokenizer\.json: links to a file outside"):
        list(StudyRepos(run, "org", tmp_path / "staging", None).all())


def test_figures_of_other_weights_are_not_printed(run, tmp_path):
    with open(run / "vae/model.safetensors", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\0\0\1")
    with pytest.raises(UserError, match=r"evaluation\.json: its figures are not of .*vae/model\.safetensors"):
        list(StudyRepos(run, "org", tmp_path / "staging", None).all())


def test_a_vae_without_figures_is_not_published(run, tmp_path):
    shutil.rmtree(run / "evaluation")
    with pytest.raises(UserError, match=r"its VAE has no figures; run `textvae evaluate-vae smoke` first"):
        list(StudyRepos(run, "org", tmp_path / "staging", None).all())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"stand_in": "another body"}, r"on a stand-in for .* \(another body\) and fits no other body"),
        ({"origin": "path"}, "its adapter's body is a folder of this machine"),
    ],
)
def test_an_adapter_over_a_body_that_nobody_has_is_left_out(run, tmp_path, capsys, change, why):
    def classifiers(staging):
        ids = [repo.id for repo in StudyRepos(run, "org", tmp_path / staging, None).all()]
        return {name for name in ids if name.endswith("vae-aug500") and name != "org/imdb-vae-aug500"}

    whole = classifiers("whole")
    info = json.loads((run / "run.json").read_text())
    body = info["recipe"]["classifiers"]["gpt2_lora"]["model"]
    next(source for source in info["sources"] if source["asked"] == body).update(change)
    (run / "run.json").write_text(json.dumps(info))
    assert whole - classifiers("staging") == {"org/imdb-gpt2-lora-vae-aug500"}
    assert re.search(f"classifiers/gpt2_lora: is left out: .*{why}", capsys.readouterr().err)


def test_the_token_is_no_part_of_a_run(finished_run):
    for path in finished_run.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes()
