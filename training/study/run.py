"""A whole recipe: sources → VAE → augmented rows → classifiers → report, resumable wherever it was stopped.

A subset that has been grown and a cell that has been trained are never done again for the same inputs: each
leaves a fingerprint beside its result, and only the parent process writes results.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..augment.generators import masked_lm
from ..augment.generators.rules import wordnet
from ..common import copies
from ..common.errors import UserError
from ..common.files import append_jsonl, atomic_folder, fingerprint, read_json, read_jsonl, write_text
from ..common.machine import Memory, give_back_memory
from ..common.progress import bar, say
from ..common.recipe import Recipe
from ..common.recipe_files import load_recipe
from ..common.run_folder import RunFolder, open_run
from ..common.sources import load_texts, resolve_model
from ..common.text import normalise
from ..vae.data import load_sentences
from ..vae.train import LANGUAGE_MODEL, train_vae
from . import rows
from .analysis import analyse
from .banks import vae_home
from .cells import train_cell
from .growing import grow_budgets
from .plan import Cell, cost, draw_budgets, draw_test, generates, generator_models, plan, revision
from .report import write_report
from .statistics import thinned
from .workers import in_workers

CURVE_POINTS = 200  # rows of the VAE's metrics that run.json keeps for the report


def run_recipe(name_or_path: str | Path, output: Path | None = None, setup_seconds: float | None = None) -> Path:
    """Run a recipe, or go on with it, in `output` (default: `runs/NAME`); returns that folder.

    Args:
        setup_seconds: how long the installation took, where the caller knows, for the report.

    Raises:
        UserError: a wrong recipe, a source that cannot be had, too few rows, a worker that died …
    """
    recipe = load_recipe(name_or_path)
    with open_run(output or Path("runs") / recipe.name, recipe) as run, Memory() as memory:
        if setup_seconds is not None:
            run.update(setup_seconds=setup_seconds)
        recipe = _less_what_is_absent(run, recipe)
        for stage in (draw_rows, train_generator, grow_budgets, classify, analyse_predictions):
            stage(run, recipe)
            give_back_memory()
            run.update(peak_memory_gb=memory.peak_gb)
        write_report(run.path)
    return run.path


def _less_what_is_absent(run: RunFolder, recipe: Recipe) -> Recipe:
    """Without the arm `masked_lm` where no such model can be had: a stand-in for an encoder seldom predicts words."""
    absent = []
    if generates(recipe, "masked_lm"):
        try:
            masked_lm.load(recipe.augment.masked_lm)
        except UserError as error:
            say(f"{error}; its arms are left out")
            absent.append(str(error))
            recipe = recipe.without("masked_lm")
    run.update(absent=absent)
    return recipe


def draw_rows(run: RunFolder, recipe: Recipe) -> None:
    """Fetch everything the run reads, and fix the rows of the study."""
    study, vae = recipe.study, recipe.vae
    texts = [name for name in (vae.texts, vae.unlabelled, *vae.exclude) if name is not None]
    drawn = sorted({(cell.arm == "oracle", cell.size, cell.budget, cell.subset) for cell in plan(recipe)})
    test_rows = [(name, s.test_rows) for name, s in recipe.classifiers.items()]
    files = [str(path.relative_to(run.path)) for path in rows.files(run.path, recipe)]
    inputs = [
        study.dataset,
        study.budget,
        study.role,
        "test",  # once an option; without it, every run would begin anew
        study.class_shares,
        recipe.seed,
        drawn,
        test_rows,
        texts,
        _model_ids(recipe),
    ]
    with run.stage("sources", inputs=inputs, outputs=files) as stage:
        if stage.done:
            return
        train = load_texts(study.dataset, "train")
        test = train if study.role == "development" else load_texts(study.dataset, "test").with_names_of(train)
        sources = {study.dataset: train.source}
        sources |= {name: load_texts(name, "train").source for name in texts}
        sources |= {name: resolve_model(name)[1] for name in _model_ids(recipe)}
        if generates(recipe, "rules"):
            sources["WordNet"] = wordnet()[1]
        draws = draw_budgets(train, recipe)
        order = draw_test(test, train, recipe)
        # Rows of the development role are part of the training texts, which candidates may well be like.
        unseen = [test.texts[row] for row in order] if study.role == "development" else test.texts
        check_unread(recipe, unseen)
        rows.write_rows(run.path, train, test, draws, order, unseen)
        run.note_sources(sources)
        run.update(
            study={
                "dataset": study.dataset,
                "label_names": train.label_names,
                "budget": study.budget,
                "subsets": len(draws),
                "test_rows": len(order),
                "role": study.role,
            },
        )


def check_unread(recipe: Recipe, tests: list[str]) -> None:
    """Refuse a generator that is trained on sentences of the test.

    Raises:
        UserError: test rows stand in the VAE's training text, and the recipe does not take them out of it.
    """
    vae = recipe.vae
    if recipe.study.dataset in (vae.texts, *vae.exclude):
        return
    read = {normalise(text) for text in load_sentences(vae, recipe.seed).train}
    if read_tests := sum(normalise(text) in read for text in tests):
        raise UserError(
            f"{recipe.study.dataset}: {read_tests} of its {len(tests)} test rows stand in what the VAE is trained on "
            f"({' and '.join(filter(None, (vae.texts, vae.unlabelled)))}); add {recipe.study.dataset} to 'vae.exclude'"
        )


def train_generator(run: RunFolder, recipe: Recipe) -> None:
    """Train the VAE into `vae/`; its facts, curve and samples go into run.json for the report."""
    vae = recipe.vae
    read = [run.source(name) for name in (vae.texts, vae.unlabelled, vae.encoder) if name is not None]
    inputs = [vae, recipe.seed, recipe.num_processes, recipe.precision, read, copies.REVISION]
    with run.stage("vae", inputs=inputs, outputs=["vae/config.json", "vae/model.safetensors"]) as stage:
        if stage.done:
            return
        run.check_sources([vae.encoder])
        shared = recipe.vae_of
        facts = train_vae(recipe, run.path / "vae") if shared is None else _shared_vae(run, recipe, shared)
        curve = thinned(read_jsonl(run.path / "vae" / "metrics.jsonl"), CURVE_POINTS)
        run.update(vae=facts | {"curve": curve} | read_json(run.path / "vae" / "samples.json"))


def _shared_vae(run: RunFolder, recipe: Recipe, name: str) -> dict[str, Any]:
    """Train the VAE of another recipe, or find it trained, in that one's folder beside this, and copy it here."""
    folder = vae_home(run.path, recipe) / "vae"
    facts = train_vae(load_recipe(name), folder)
    with atomic_folder(run.path / "vae") as copy:
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("checkpoints", LANGUAGE_MODEL), dirs_exist_ok=True)
    return facts


def classify(
    run: RunFolder, recipe: Recipe, train: Callable[[Path, Recipe, Cell, str], dict[str, Any]] = train_cell
) -> None:
    """Train and score every cell without a row in results.jsonl; rows of no planned cell are removed."""
    results = run.path / "results.jsonl"
    dtype = run.dtype(recipe.precision)
    cells = plan(recipe)
    wanted = _cell_fingerprints(run, recipe, cells, dtype)
    found = read_jsonl(results)
    kept = {key: row for row in found if wanted.get(key := Cell.of(row).key) == row["fingerprint"]}
    left = [cell for cell in cells if cell.key not in kept]
    with run.stage("classify", inputs=[wanted], outputs=["results.jsonl"]) as stage:
        if not left and len(found) == len(kept) and stage.done:
            return
        _note_later_scorings(run, found, kept, left)
        _write_results(results, recipe, list(kept.values()))
        run.check_sources({recipe.classifiers[cell.classifier].model for cell in left})
        # In ten thousands of tokens read forward by a small encoder: cells differ a hundredfold in length.
        work = {cell.key: max(1, round(cost(cell, recipe.classifiers[cell.classifier]) / 1e4)) for cell in left}
        tasks = {cell.key: (run.path, recipe, cell, dtype) for cell in left}
        with bar(total=sum(work.values()), label="classify", unit="work") as progress:
            for key, row in in_workers(train, tasks, workers=recipe.study.workers, log=run.log):
                kept[key] = row | {"fingerprint": wanted[key]}
                append_jsonl(results, kept[key])
                progress.set_postfix_str(f"{len(kept)} of {len(cells)} cells", refresh=False)
                progress.update(work[key])
        _write_results(results, recipe, list(kept.values()))
        run.update(scored_cells=sorted(set(kept) | set(run.info.get("scored_cells", []))))
        stage.note = f"{len(cells)} cells" + (
            f", {len(cells) - len(left)} of them reused" if len(left) < len(cells) else ""
        )


def _note_later_scorings(run: RunFolder, found: list[dict[str, Any]], kept: dict[str, Any], left: list[Cell]) -> None:
    """Whoever changes a recipe after test rows were scored may have been led by the scores."""
    replaced = {row["fingerprint"] for row in found} - {row["fingerprint"] for row in kept.values()}
    run.update(replaced_cells=sorted(replaced | set(run.info.get("replaced_cells", []))))
    scored = run.info.get("scored_cells")
    if scored is None and "analysis" in run.info:  # of the time before these were noted
        scored = [Cell.of(row).key for row in found]
    if scored:  # a whole plan was scored before
        later = {cell.key for cell in left} - set(scored)
        run.update(later_cells=sorted(later | set(run.info.get("later_cells", []))))


def analyse_predictions(run: RunFolder, recipe: Recipe) -> None:
    """Add what classifiers said of every test row to run.json, for the report."""
    results = run.path / "results.jsonl"
    with run.stage("analyse", inputs=[results], outputs=["results.jsonl"]) as stage:
        if not stage.done:
            found = analyse(run.path, recipe, read_jsonl(results), run.dtype(recipe.precision))
            run.update(analysis=found | {"results": fingerprint(results)})


def _cell_fingerprints(run: RunFolder, recipe: Recipe, cells: list[Cell], dtype: str) -> dict[str, str]:
    """Of what each cell reads: its training and test rows themselves, so that a study may be extended.

    More candidates, sizes or subsets leave a cell valid whose own rows they leave alone.
    """
    trained: dict[tuple[Any, ...], str] = {}
    tested: dict[tuple[int, int], str] = {}
    found = {}
    for cell in cells:
        settings = recipe.classifiers[cell.classifier]
        own, test = (cell.arm, cell.size, cell.budget, cell.subset), (cell.subset, settings.test_rows)
        if own not in trained:
            data, targets = rows.training_rows(run.path, cell, recipe)
            trained[own] = fingerprint(rows.content(data), [] if targets is None else targets.tolist())
        if test not in tested:
            data, _ = rows.held_out_rows(run.path, *test)
            tested[test] = fingerprint(rows.content(data))
        # The plan of the other cells has no part in this one.
        settings = replace(
            settings, arms={}, other_budgets={}, subsets=0, fewer_subsets={}, seeds=None,
            steps={cell.size: settings.steps.get(cell.size, 0)},
        )  # fmt: skip
        found[cell.key] = fingerprint(
            cell, settings, recipe.seed, dtype, trained[own], tested[test], run.source(settings.model),
            *revision(cell.classifier), *revision(f"{cell.classifier} {cell.arm}"),
        )  # fmt: skip
    return found


def _write_results(path: Path, recipe: Recipe, found: Iterable[dict[str, Any]]) -> None:
    """In the order of the recipe, whatever order the cells ended in."""
    names, arms = list(recipe.classifiers), recipe.arms()

    def place(row: dict[str, Any]) -> tuple[int, ...]:
        numbers = (row[name] for name in ("budget", "size", "subset", "seed"))
        return names.index(row["classifier"]), arms.index(row["arm"]), *numbers

    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in sorted(found, key=place))
    write_text(path, "".join(lines))


def _model_ids(recipe: Recipe) -> list[str]:
    names = [recipe.vae.encoder, *generator_models(recipe), *(s.model for s in recipe.classifiers.values())]
    return list(dict.fromkeys(names))
