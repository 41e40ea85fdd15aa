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

from ..augment.dataset import DatasetFacts, write_dataset
from ..augment.generators import masked_lm
from ..augment.generators.rules import wordnet
from ..common import precision
from ..common.errors import UserError
from ..common.files import append_jsonl, atomic_folder, fingerprint, read_json, read_jsonl, write_text
from ..common.progress import bar, say
from ..common.recipe import Recipe, load_recipe
from ..common.run_folder import Memory, RunFolder, give_back_memory
from ..common.sources import LabelledTexts, Source, content_revision, load_texts, resolve_model
from ..vae.train import LANGUAGE_MODEL, train_vae
from . import rows
from .analysis import analyse
from .banks import make_bank
from .cells import grow_budget, train_cell
from .plan import Cell, Growth, cost, draw_budgets, draw_test, filters_asked, growths, own_settings, plan, seed_of
from .report import write_report
from .statistics import thinned
from .workers import in_workers

CURVE_POINTS = 200  # rows of the VAE's metrics that run.json keeps for the report
SAMPLES = 20  # of each generator


def run_recipe(name_or_path: str | Path, output: Path | None = None, setup_seconds: float | None = None) -> Path:
    """Run a recipe, or go on with it, in `output` (default: `runs/NAME`); returns that folder.

    Args:
        setup_seconds: how long the installation took, where the caller knows, for the report.

    Raises:
        UserError: a wrong recipe, a source that cannot be had, too few rows, a worker that died …
    """
    recipe = load_recipe(name_or_path)
    run = RunFolder(output or Path("runs") / recipe.name, recipe)
    with run.lock(), Memory() as memory:
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
    if _generates(recipe, "masked_lm"):
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
        study.test_split,
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
        test = train if study.role == "development" else load_texts(study.dataset, study.test_split)
        sources = {study.dataset: train.source}
        sources |= {name: load_texts(name, "train").source for name in texts}
        sources |= {name: resolve_model(name)[1] for name in _model_ids(recipe)}
        if _generates(recipe, "rules"):
            sources["WordNet"] = wordnet()[1]
        draws = draw_budgets(train, recipe)
        order = draw_test(test, train, recipe)
        rows.write_rows(run.path, train, test, draws, order)
        run.update(
            sources=[{"asked": name, **source.to_dict()} for name, source in sources.items()],
            study={
                "dataset": study.dataset,
                "label_names": train.label_names,
                "budget": study.budget,
                "subsets": len(draws),
                "test_rows": len(order),
                "role": study.role,
            },
        )


def train_generator(run: RunFolder, recipe: Recipe) -> None:
    """Train the VAE into `vae/`; its facts, curve and samples go into run.json for the report."""
    vae = recipe.vae
    read = [_source(run, name) for name in (vae.texts, vae.unlabelled, vae.encoder) if name is not None]
    inputs = [vae, recipe.seed, recipe.num_processes, recipe.precision, read]
    with run.stage("vae", inputs=inputs, outputs=["vae/config.json", "vae/model.safetensors"]) as stage:
        if stage.done:
            return
        _check_sources(run, [vae.encoder])
        facts = train_vae(recipe, run.path / "vae") if recipe.vae_of is None else _shared_vae(run, recipe.vae_of)
        curve = thinned(read_jsonl(run.path / "vae" / "metrics.jsonl"), CURVE_POINTS)
        run.update(vae=facts | {"curve": curve} | read_json(run.path / "vae" / "samples.json"))


def _shared_vae(run: RunFolder, name: str) -> dict[str, Any]:
    """Train the VAE of another recipe, or find it trained, in that one's folder beside this, and copy it here."""
    origin = load_recipe(name)
    folder = run.path.parent / origin.name / "vae"
    facts = train_vae(origin, folder)
    with atomic_folder(run.path / "vae") as copy:
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("checkpoints", LANGUAGE_MODEL), dirs_exist_ok=True)
    return facts


def grow_budgets(run: RunFolder, recipe: Recipe, grow: Callable[..., dict[str, Any]] = grow_budget) -> None:
    """Grow the budgets that the arms of generators need; that of the VAE's subset 0 becomes dataset folders."""
    needed = growths(recipe)
    if not needed:
        return
    dtype = _dtype(run, recipe)
    # The configuration, too: how posteriors are refined may change without the weights.
    weights = fingerprint(run.path / "vae" / "model.safetensors", run.path / "vae" / "config.json")
    augment = recipe.augment
    models = [name for name in (augment.perplexity_model, augment.teacher_model) if name is not None]
    models += [augment.language_model] if _generates(recipe, "language_model") else []
    models += [augment.masked_lm] if _generates(recipe, "masked_lm") else []
    wanted = {
        growth: fingerprint(
            growth,
            target,
            own_settings(recipe.augment, growth.generator),
            sorted(filters_asked(recipe, growth.generator)),
            recipe.seed,
            dtype,
            weights,
            _plain(rows.budget_rows(run.path, growth.subset, growth.budget)),
            rows.held_out_file(run.path, growth.subset),
            [_source(run, model) for model in models],
        )
        for growth, target in needed.items()
    }
    published = Growth("vae", recipe.study.budget, 0)
    datasets = {
        size: f"augmented/{_source(run, recipe.study.dataset)['id'].rpartition('/')[2]}-vae-aug{size}"
        for size in recipe.augment.sizes
        if published in wanted
    }
    files = [str(rows.candidates_file(run.path, growth).relative_to(run.path)) for growth in needed]
    with run.stage("augment", inputs=[list(wanted.values())], outputs=[*files, *datasets.values()]) as stage:
        if stage.done:
            return
        grown = {
            growth: row
            for row in run.info.get("augmentation", [])
            if wanted.get(growth := _growth(row)) == row["fingerprint"]
            and rows.candidates_file(run.path, growth).exists()
        }
        left = [growth for growth in needed if growth not in grown]
        if left:
            _check_sources(run, models)
        banks = {name: (run.path, recipe, name, dtype) for name in _banks(recipe, left)}
        for _ in in_workers(make_bank, banks, workers=recipe.study.workers, log=_log(run)):
            pass
        tasks = {str(growth): (run.path, recipe, growth, needed[growth], dtype) for growth in left}
        with bar(total=len(tasks), label="augment", unit="budget") as progress:
            for _, facts in in_workers(grow, tasks, workers=recipe.study.workers, log=_log(run)):
                growth = _growth(facts)
                grown[growth] = facts | {"fingerprint": wanted[growth]}
                run.update(augmentation=[grown[growth] for growth in needed if growth in grown])
                progress.update()
        if datasets:
            first = rows.read_table(rows.candidates_file(run.path, published))
            for size, folder in datasets.items():
                write_dataset(run.path / folder, first, size, _dataset_facts(run, recipe, Path(folder).name))
        run.update(synthetic=_samples(run, recipe, list(needed)))


def classify(
    run: RunFolder, recipe: Recipe, train: Callable[[Path, Recipe, Cell, str], dict[str, Any]] = train_cell
) -> None:
    """Train and score every cell without a row in results.jsonl; rows of no planned cell are removed."""
    results = run.path / "results.jsonl"
    dtype = _dtype(run, recipe)
    cells = plan(recipe)
    wanted = _cell_fingerprints(run, recipe, cells, dtype)
    found = read_jsonl(results)
    kept = {key: row for row in found if wanted.get(key := _key(row)) == row["fingerprint"]}
    left = [cell for cell in cells if cell.key not in kept]
    with run.stage("classify", inputs=[wanted], outputs=["results.jsonl"]) as stage:
        if not left and len(found) == len(kept) and stage.done:
            return
        _write_results(results, recipe, list(kept.values()))
        _check_sources(run, {recipe.classifiers[cell.classifier].model for cell in left})
        # In ten thousands of tokens read forward by a small encoder: cells differ a hundredfold in length.
        work = {cell.key: max(1, round(cost(cell, recipe.classifiers[cell.classifier]) / 1e4)) for cell in left}
        tasks = {cell.key: (run.path, recipe, cell, dtype) for cell in left}
        with bar(total=sum(work.values()), label="classify", unit="work") as progress:
            for key, row in in_workers(train, tasks, workers=recipe.study.workers, log=_log(run)):
                kept[key] = row | {"fingerprint": wanted[key]}
                append_jsonl(results, kept[key])
                progress.set_postfix_str(f"{len(kept)} of {len(cells)} cells", refresh=False)
                progress.update(work[key])
        _write_results(results, recipe, list(kept.values()))
        stage.note = f"{len(cells)} cells" + (
            f", {len(cells) - len(left)} of them reused" if len(left) < len(cells) else ""
        )


def analyse_predictions(run: RunFolder, recipe: Recipe) -> None:
    """Add what classifiers said of every test row to run.json, for the report."""
    results = run.path / "results.jsonl"
    with run.stage("analyse", inputs=[results], outputs=["results.jsonl"]) as stage:
        if not stage.done:
            run.update(analysis=analyse(run.path, recipe, read_jsonl(results), _dtype(run, recipe)))


def _growth(row: dict[str, Any]) -> Growth:
    return Growth(row["generator"], row["budget"], row["subset"])


def _banks(recipe: Recipe, left: Iterable[Growth]) -> list[str]:
    """Arms whose rows come from a bank of sentences."""
    kinds = {"self_training"} | ({"vae"} if recipe.augment.vae_latents == "prior" else set())
    return sorted(kinds & {growth.generator for growth in left})


def _key(row: dict[str, Any]) -> str:
    return Cell(*(row[name] for name in ("classifier", "arm", "size", "budget", "subset", "seed"))).key


def _plain(data: LabelledTexts) -> list[Any]:
    """What of some rows reaches a result."""
    return [data.texts, data.labels, data.label_names]


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
            mass = [] if targets is None else targets.mass(data.labels or [], len(data.label_names)).tolist()
            trained[own] = fingerprint(_plain(data), mass)
        if test not in tested:
            data, _ = rows.held_out_rows(run.path, *test)
            tested[test] = fingerprint(_plain(data))
        # The plan of the other cells has no part in this one.
        settings = replace(
            settings, arms={}, other_budgets={}, subsets=0, fewer_subsets={}, seeds=None,
            steps={cell.size: settings.steps.get(cell.size, 0)},
        )  # fmt: skip
        found[cell.key] = fingerprint(
            cell, settings, recipe.seed, dtype, trained[own], tested[test], _source(run, settings.model)
        )
    return found


def _write_results(path: Path, recipe: Recipe, found: Iterable[dict[str, Any]]) -> None:
    """In the order of the recipe, whatever order the cells ended in."""
    names, arms = list(recipe.classifiers), recipe.arms()

    def place(row: dict[str, Any]) -> tuple[int, ...]:
        numbers = (row[name] for name in ("budget", "size", "subset", "seed"))
        return names.index(row["classifier"]), arms.index(row["arm"]), *numbers

    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in sorted(found, key=place))
    write_text(path, "".join(lines))


def _samples(run: RunFolder, recipe: Recipe, grown: list[Growth]) -> list[dict[str, Any]]:
    """Generated rows of the first subset for the report, drawn blindly, each with the real row that it is like."""
    found = []
    for growth in grown:
        if (growth.budget, growth.subset) != (recipe.study.budget, 0):
            continue
        table = rows.read_table(rows.candidates_file(run.path, growth))
        sources = table.loc[table["method"] == "original"].set_index("source_row")["text"]
        generated = table[table["kept"] & (table["method"] != "original")]
        drawn = generated.sample(min(SAMPLES, len(generated)), random_state=recipe.seed)
        names = ["text", "label", "method", "teacher_confidence"]
        found += [
            {"generator": growth.generator, **{name: row[name] for name in names}, "source": sources[row["source_row"]]}
            for row in json.loads(drawn.to_json(orient="records"))
        ]
    return found


def _dataset_facts(run: RunFolder, recipe: Recipe, title: str) -> DatasetFacts:
    source, vae = _source(run, recipe.study.dataset), run.info["vae"]
    return DatasetFacts(
        title=title,
        label_names=run.info["study"]["label_names"],
        source=Source(**{key: value for key, value in source.items() if key != "asked"}),
        model=f"the text VAE of this run, trained on {vae['sentences']} sentences of {recipe.vae.texts}"
        + (f" and {recipe.vae.unlabelled} (labels unseen)" if recipe.vae.unlabelled else ""),
        model_revision=content_revision([run.path / "vae" / "model.safetensors"]),
        settings=recipe.augment,
        test_texts=run.info["study"]["test_rows"],
        seed=seed_of(recipe.seed, "augment", 0),
        notes=(f"Reconstruction BLEU of the generator on held-out sentences: {vae['bleu_reconstruction']:.1f}.",),
    )


def _model_ids(recipe: Recipe) -> list[str]:
    names = [
        recipe.vae.encoder,
        recipe.augment.perplexity_model,
        recipe.augment.teacher_model,
        recipe.augment.language_model if _generates(recipe, "language_model") else None,
        recipe.augment.masked_lm if _generates(recipe, "masked_lm") else None,
        *(s.model for s in recipe.classifiers.values()),
    ]
    return list(dict.fromkeys(name for name in names if name is not None))


def _generates(recipe: Recipe, generator: str) -> bool:
    return any(growth.generator == generator for growth in growths(recipe))


def _source(run: RunFolder, name: str) -> dict[str, Any]:
    """What run.json says of a dataset or model, by the name that the recipe gives it."""
    return next(source for source in run.info["sources"] if source["asked"] == name)


def _check_sources(run: RunFolder, names: Iterable[str]) -> None:
    """Refuse to go on with other weights than the run began with: its cells would not be comparable.

    Raises:
        UserError: a model comes from elsewhere now, as when the Hub has come within reach.
    """
    for name in names:
        now, then = resolve_model(name)[1], _source(run, name)
        if (now.revision, now.stand_in) != (then["revision"], then["stand_in"]):
            raise UserError(
                f"{name}: this run began with {then['location']}, now it comes from {now.location}; "
                f"restore that source, or run anew with another --output than {run.path}"
            )


def _dtype(run: RunFolder, recipe: Recipe) -> str:
    """The precision chosen when the run began."""
    chosen = run.info.get("precision", {})
    if chosen.get("asked") != recipe.precision:
        choice = precision.choose(recipe.precision, precision.device())
        dtype = str(choice.dtype).removeprefix("torch.")
        chosen = {
            "asked": recipe.precision,
            "dtype": dtype,
            "reason": choice.reason,
            "speedup": choice.speedup,
        }
        run.update(precision=chosen)
    return chosen["dtype"]


def _log(run: RunFolder) -> Path:
    return run.path / "logs" / "workers.log"
