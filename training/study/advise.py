"""`textvae advise`: would generated rows help on somebody's own labelled file?

Nothing but that file is known, so it is asked by repeated stratified cross-validation: each fold's training rows are a
budget that is grown, its other rows are the test. A study's stages do the work, with a fold as a subset.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sklearn.model_selection import StratifiedKFold

from ..augment.dataset import DatasetFacts, write_dataset
from ..augment.generators.rules import wordnet
from ..common.errors import UserError
from ..common.files import atomic_folder, read_jsonl, write_json
from ..common.precision import choose, device
from ..common.progress import say
from ..common.recipe import AugmentRecipe, ClassifierRecipe, Recipe, StudyRecipe
from ..common.run_folder import RunFolder, open_run
from ..common.sources import LabelledTexts, Source, content_revision, resolve_model
from ..common.tables import check_classes, read_table
from ..common.text import normalise
from ..vae.reconstruction import FLUENT_BLEU, familiarity
from ..vae.train import load_model
from . import rows, statistics, tables
from .advice import Advice, Finding, best_generated, findings, generating_costs, verdict
from .cells import grow_budget
from .growing import grow_budgets
from .plan import Growth, seed_of
from .run import classify
from .statistics import Row
from .workers import in_workers

FOLDS = 5
REPEATS = 2
RATIOS = (1, 4)  # generated rows a real one
BODY = "sentence-transformers/all-MiniLM-L6-v2"
LANGUAGE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
BANK_SENTENCES = 12_000
LEAST_SHARE = 0.1  # of the bank, and more where that would be less than
POOL = 3  # sentences a generated row


def advise(
    path: str | Path,
    model: str,
    output: Path | None = None,
    *,
    text_column: str = "text",
    label_column: str = "label",
    thorough: bool = False,
    seed: int = 0,
) -> Advice:
    """Say whether generated rows would help a classifier of the labelled rows in a file, and write them if so.

    Args:
        path: CSV, JSONL, parquet or a Hub dataset id; any number of classes.
        model: the text VAE, a Hub id or a folder.
        output: folder of the work, which is gone on with where it was stopped (default: runs/advise-NAME).
        thorough: ask a language model, too.

    Raises:
        UserError: the file or the model cannot be used; a class has fewer rows than there are folds.
    """
    data = _each_text_once(read_table(str(path), text_column, label_column))
    check_classes(data)
    folds = draw_folds(data, seed)
    budget, tested = len(folds[0][0]), len(folds[0][1])
    recipe = quick_recipe(f"advise-{Path(path).stem}", budget, tested, len(folds), thorough, seed)
    sources: dict[str, Source] = {}
    try:
        sources["WordNet"] = wordnet()[1]
    except UserError as error:
        say(f"{error}; the arm 'rules' is left out")
        recipe = recipe.without("rules")
    with open_run(output or Path("runs") / recipe.name, recipe) as run:
        prepare(run, recipe, data, folds, model, sources)
        grow_budgets(run, recipe)
        results = run.path / "results.jsonl"
        # Rows of cells that are not planned are removed, so `bert` is planned from the start where it was before.
        before = _chosen_before(read_jsonl(results), recipe)
        classify(run, with_bert(recipe, *before) if before else recipe)
        quick = [one for one in findings(read_jsonl(results), tested / budget) if one.classifier != "bert"]
        best = best_generated(quick)
        recipe = with_bert(recipe, best.arm, best.size)
        run = RunFolder(run.path, recipe)
        classify(run, recipe)
        scored = read_jsonl(results)
        found = findings(scored, tested / budget)
        use, sentence, finding = verdict(found, scored, budget, tested / budget)
        dataset = _write_dataset(run, recipe, data, finding, budget, model) if use and finding else None
        say(f"advise: {sentence}")
        advice = Advice(use, sentence, finding, found, dataset, generating_costs(run.info["augmentation"]))
        write_json(run.path / "advice.json", {**asdict(advice), "dataset": dataset and str(dataset)})
    return advice


def draw_folds(data: LabelledTexts, seed: int) -> list[tuple[list[int], list[int]]]:
    """Training and test rows of every fold of every repeat, each as many as the smallest has.

    Raises:
        UserError: a class has fewer rows than there are folds.
    """
    assert data.labels is not None
    for label, name in enumerate(data.label_names):
        if (count := data.labels.count(label)) < FOLDS:
            raise UserError(
                f"{data.source.id}: class '{name}' has {count} rows, fewer than the {FOLDS} folds; "
                "label more of it, or leave it out"
            )
    folds = []
    for repeat in range(REPEATS):
        splits = StratifiedKFold(FOLDS, shuffle=True, random_state=(seed + repeat) % 2**32)
        folds += [(train.tolist(), test.tolist()) for train, test in splits.split(data.texts, data.labels)]
    trained, tested = (min(len(fold[part]) for fold in folds) for part in (0, 1))
    return [(train[:trained], test[:tested]) for train, test in folds]


def quick_recipe(name: str, budget: int, tested: int, folds: int, thorough: bool, seed: int) -> Recipe:
    """The study of the folds: `probe` and `lstm` on what every quick generator makes."""
    sizes = tuple(budget * (1 + ratio) for ratio in RATIOS)
    arms = {"real": (budget,), **dict.fromkeys(("duplicate", "rules", "vae"), sizes)}
    if thorough:
        arms["language_model"] = sizes
    common: dict[str, Any] = {"model": BODY, "max_length": 128, "arms": arms, "subsets": folds, "test_rows": tested}
    steps = {size: round(150 * (size / 100) ** 0.43) for size in (budget, *sizes)}  # as quickstart's
    return Recipe(
        name=name,
        seed=seed,
        augment=AugmentRecipe(
            sizes=(),
            vae_latents="prior",
            filters=(),
            oversample=1.5,
            bank_share=min(max(POOL * RATIOS[-1] * budget / BANK_SENTENCES, LEAST_SHARE), 1.0),
            bank_sentences=BANK_SENTENCES,
            perplexity_model=None,
            language_model=LANGUAGE_MODEL,
        ),
        study=StudyRecipe(dataset=name, budget=budget),
        classifiers={
            "lstm": ClassifierRecipe(**common, batch_size=16, learning_rate=2e-3, steps=steps),
            "probe": ClassifierRecipe(**common),
        },
    )


def with_bert(recipe: Recipe, arm: str, size: int) -> Recipe:
    """The same with `bert` on the most promising arm."""
    budget, arms = recipe.study.budget, {"duplicate": (size,), arm: (size,)}
    bert = ClassifierRecipe(
        model=BODY, max_length=128, batch_size=16, learning_rate=2e-4, arms={"real": (budget,), **arms},
        steps={size: round(40 * (size / 100) ** 0.35) for size in (budget, size)},
        subsets=recipe.classifiers["probe"].subsets, test_rows=recipe.classifiers["probe"].test_rows,
    )  # fmt: skip
    return replace(recipe, classifiers={**recipe.classifiers, "bert": bert})


def _each_text_once(data: LabelledTexts) -> LabelledTexts:
    """Without the rows that repeat a text before them: one would be trained on, and the other be the test."""
    first: dict[str, int] = {}
    for row, text in enumerate(data.texts):
        first.setdefault(normalise(text), row)
    if len(first) < len(data):
        say(f"{data.source.id}: {len(data) - len(first)} rows repeat a text before them and are left out")
    return data.take(list(first.values()))


def _chosen_before(results: Sequence[Row], recipe: Recipe) -> tuple[str, int] | None:
    """The arm that `bert` was trained on, where this is gone on with and the arm is still among those looked at."""
    planned = recipe.classifiers["probe"].arms
    for row in results:
        generated = row["classifier"] == "bert" and statistics.is_generated(row["arm"])
        if generated and row["size"] in planned.get(row["arm"], ()):
            return row["arm"], row["size"]
    return None


def prepare(
    run: RunFolder,
    recipe: Recipe,
    data: LabelledTexts,
    folds: list[tuple[list[int], list[int]]],
    model: str,
    sources: dict[str, Source],
) -> None:
    """The folds' rows and the VAE, as a study's first stages leave them."""
    folder, source = resolve_model(model)
    names = [BODY, LANGUAGE_MODEL] if "language_model" in recipe.classifiers["probe"].arms else [BODY]
    inputs = [data.texts, data.labels, data.label_names, recipe.seed, source.to_dict(), names, sorted(sources)]
    with run.stage("sources", inputs=inputs, outputs=["rows/dataset.json", "vae/model.safetensors"]) as stage:
        if stage.done:
            return
        everything = list(range(len(data)))
        rows.write_folds(run.path, data, [*folds, (everything, [])])  # the last one is grown for the dataset
        with atomic_folder(run.path / "vae") as copy:
            for file in folder.iterdir():
                if file.is_file():
                    shutil.copy(file, copy / file.name)
        sources = {recipe.study.dataset: data.source, model: source, **sources}
        sources |= {name: resolve_model(name)[1] for name in names}
        vae, tokenizer = load_model(run.path / "vae")
        bleu, _ = familiarity(vae.to(device()), tokenizer, data.texts, choose(recipe.precision).dtype)
        if bleu < FLUENT_BLEU:
            say(
                f"warning: {data.source.id}: reconstruction BLEU {bleu:.1f}, the VAE knows no such texts; what is said "
                "of its rows is of this VAE: one trained on such texts, or adapted to others like them, may do better"
            )
        run.note_sources(sources)
        run.update(
            reconstruction_bleu=round(bleu, 2),
            study={
                "dataset": recipe.study.dataset, "label_names": data.label_names, "budget": recipe.study.budget,
                "subsets": len(folds), "test_rows": recipe.classifiers["probe"].test_rows, "role": "folds",
            },
        )  # fmt: skip


def _write_dataset(
    run: RunFolder, recipe: Recipe, data: LabelledTexts, finding: Finding, budget: int, model: str
) -> Path:
    """All rows of the file, grown as the advice says."""
    subset = recipe.classifiers["probe"].subsets
    growth, size = Growth(finding.arm, len(data), subset), len(data) * (finding.size // budget)
    dtype = run.info["precision"]["dtype"]
    tasks = {"dataset": (run.path, recipe, growth, size, dtype)}
    for _ in in_workers(grow_budget, tasks, workers=1, log=run.log):
        pass
    facts = DatasetFacts(
        title=f"{Path(data.source.id).stem}-{finding.arm}-{size}",
        label_names=data.label_names,
        source=data.source,
        generator=finding.arm,
        model=resolve_model(model)[1].sentence() if finding.arm == "vae" else finding.arm,
        model_revision=content_revision([run.path / "vae" / "model.safetensors"]) if finding.arm == "vae" else "none",
        settings=recipe.augment,
        seed=seed_of(recipe.seed, "augment", subset),
        test_texts=0,
        notes=(f"Chosen by cross-validation of the real rows: {tables.lift_text(finding.lift)} points.",),
    )
    write_dataset(run.path / "dataset", rows.read_table(rows.candidates_file(run.path, growth)), size, facts)
    return run.path / "dataset"
