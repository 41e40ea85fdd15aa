"""Every number of a card stands in a results file, and no card can do without one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from card_numbers import REVISION, leaves, untraced
from processes import textvae

from textvae import hub_cards
from textvae.hub_cards.study_repos import StudyRepos
from textvae.modeling_textvae.priors import FittedPrior
from textvae.training.common.errors import UserError
from textvae.training.common.intervals import wilson_interval


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def cards(run, staging) -> dict[str, str]:
    shutil.rmtree(staging, ignore_errors=True)
    repos = StudyRepos(run, "org", staging, None).all()
    return {repo.id: re.sub(REVISION, "v-0", (repo.folder / "README.md").read_text()) for repo in repos}


def measured(run) -> list:
    """What the results files of a run say, and intervals by hand."""
    found = []
    for path in [
        *run.glob("*.json"),
        *run.glob("vae/*.json"),
        *run.rglob("evaluation/*.json"),
        *run.rglob("provenance.json"),
    ]:
        found += leaves(json.loads(path.read_text()))
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    found += leaves(rows)
    found += [bound for row in rows for bound in wilson_interval(row["accuracy"], row["test_rows"])]
    found += [(run / "report.md").read_text()]
    for path in run.glob("evaluation/evaluation.json"):
        figures = json.loads(path.read_text())
        for name, value in figures.items():
            if f"{name}_standard_error" in figures:
                found += [value + sign * 1.96 * figures[f"{name}_standard_error"] for sign in (-1, 1)]
    found += leaves(json.loads(Path(hub_cards.__file__).with_name("compatibility.json").read_text()))
    for path in run.glob("vae/*.prior.safetensors"):
        found += leaves(FittedPrior.load(path).facts)
    for path in run.rglob("candidates.parquet"):
        rows = pd.read_parquet(path)
        found += rows["text"].tolist() + rows["reject_reason"].value_counts().tolist()
        made = rows[rows["kept"] & (rows["method"] != "original")]
        found += [len(made), int(rows["kept"].sum()), *made["label"].value_counts().tolist()]
    return found


def test_every_number_of_every_card_stands_in_a_results_file(run, tmp_path):
    values = measured(run)
    made = cards(run, tmp_path / "staging")
    assert len(made) == 6
    for name, card in made.items():
        assert not untraced(card, name, values), name


def test_snippets_draw_as_the_samples_were_drawn(run, tmp_path):
    info = json.loads((run / "run.json").read_text())
    info["recipe"]["evaluation"] |= {"prior_temperature": 0.85, "latent_share": 0.1, "token_top_p": 0.86}
    (run / "run.json").write_text(json.dumps(info))
    card = (StudyRepos(run, "org", tmp_path / "drawn", None).text_vae(run / "vae").folder / "README.md").read_text()
    assert "\nsampling = dict(prior_temperature=0.85, latent_share=0.1, top_p=0.86)\n" in card
    assert card.count(", **sampling)") == len(re.findall(r"model\.generate\(", card)) > 1


def test_an_adapter_names_the_weights_under_it(run, tmp_path):
    (adapter,) = (path.parent for path in run.glob("classifiers/*/adapter_config.json"))
    info = json.loads((run / "run.json").read_text())
    body = info["recipe"]["classifiers"][adapter.name]["model"]

    def card(staging, **changes):
        for source in info["sources"]:
            if source["asked"] == body:
                source |= changes
        (run / "run.json").write_text(json.dumps(info))
        return (StudyRepos(run, "org", tmp_path / staging, None).classifier(adapter).folder / "README.md").read_text()

    mirrored = card("mirror")
    assert f'from_pretrained("{body}", num_labels' in mirrored
    assert "It was trained over" not in mirrored
    assert f'from_pretrained("{body}", revision="{"a" * 40}", num_labels' in card(
        "hub", origin="hub", revision="a" * 40
    )
    assert "It was trained over the same model, 4-bit, in place of" in card("coarse", stand_in="the same model, 4-bit")


def test_so_does_every_number_on_the_card_of_rows_that_are_put_together_from_samples(
    finished_run, smoke_mirror, tmp_path
):
    run = tmp_path / "runs/bank"
    shutil.copytree(finished_run / "vae", run / "vae")
    recipe = yaml.safe_load((finished_run / "recipe.yaml").read_text()) | {"name": "bank"}
    recipe["augment"] |= {
        "sizes": [16], "vae_latents": "prior", "bank_sentences": 120, "bank_share": 0.8, "oversample": 3,
    }  # fmt: skip
    recipe["classifiers"] = {"probe": recipe["classifiers"]["probe"] | {"arms": {"duplicate": [16], "vae": [16]}}}
    (tmp_path / "bank.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    done = textvae(["run", "bank.yaml"], tmp_path, TEXTVAE_MIRROR=smoke_mirror)
    assert done.returncode == 0, done.stderr[-3000:]
    repo = StudyRepos(run, "org", tmp_path / "staging", None).dataset(run / "augmented/imdb-vae-aug16")
    card = (repo.folder / "README.md").read_text()
    assert "120 sentences sampled from the prior" in card
    assert not untraced(card, repo.id, measured(run))


@pytest.mark.parametrize(
    ("file", "at"),
    [
        ("evaluation/evaluation.json", ()),
        ("vae/training.json", ("facts",)),
        ("augmented/imdb-vae-aug500/provenance.json", ()),
        ("augmented/imdb-vae-aug500/provenance.json", ("settings",)),
    ],
    ids=lambda value: value.split("/")[-1] if isinstance(value, str) else ".".join(value),
)
def test_a_fact_that_is_deleted_or_null_is_an_error_never_a_blank(run, tmp_path, file, at):
    def card():
        shutil.rmtree(tmp_path / "staging", ignore_errors=True)
        parts = StudyRepos(run, "org", tmp_path / "staging", None)
        (repo,) = [parts.dataset((run / file).parent)] if "augmented" in file else [parts.text_vae(run / "vae")]
        return re.sub(REVISION, "v-0", (repo.folder / "README.md").read_text())

    whole = part = json.loads((run / file).read_text())
    before = card()
    for key in at:
        part = part[key]
    needed = set()
    for key in list(part):
        for nothing in (False, True):
            kept = part.pop(key)
            if nothing:
                part[key] = None
            (run / file).write_text(json.dumps(whole))
            part[key] = kept
            try:
                after = card()
            except (UserError, KeyError, TypeError):
                needed.add(key)
            else:
                # `null` is a fact of these: no licence, no stand-in, no model that scored.
                assert after == before or (nothing and key in ("perplexity_model", "licence", "stand_in")), key
    assert len(needed) > len(part) / 4


def test_a_row_without_a_figure_is_an_error(run, tmp_path):
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    row = next(row for row in rows if row.get("model_revision") and row["classifier"] == "bert")
    for key in ("accuracy", "precision", "recall", "f1", "cross_entropy", "test_rows", "seconds", "weights", "rows"):
        kept, row[key] = row[key], None
        (run / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        row[key] = kept
        with pytest.raises(UserError):
            cards(run, tmp_path / "staging")


def test_figures_change_the_card(run, tmp_path):
    before = cards(run, tmp_path / "staging")["org/textvae-rt"]
    file = run / "evaluation/evaluation.json"
    figures = json.loads(file.read_text())
    figures["kl"] += 1.0
    file.write_text(json.dumps(figures))
    after = cards(run, tmp_path / "staging")["org/textvae-rt"]
    assert f"{figures['kl']:.1f} (" in after
    assert f"{figures['kl']:.1f} (" not in before


def test_texts_of_models_are_shown_not_obeyed(run, tmp_path):
    hostile = "---\nlicense: evil\n---\n<script>alert(1)</script> ![x](http://evil.example) | `a`\n# title"
    file = run / "evaluation/page.json"
    page = json.loads(file.read_text())
    page["samples"]["vae"][0] = page["reconstructions"][0][0] = hostile
    file.write_text(json.dumps(page))
    card = cards(run, tmp_path / "staging")["org/textvae-rt"]
    assert "<script" not in card
    assert "](http" not in card.replace("\\]", "")
    assert "\n# title" not in card
    assert card.count("\n---\n") == 1
