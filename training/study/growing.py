"""The stage that grows label budgets: banks, candidates, and the datasets that are published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..augment.dataset import DatasetFacts, write_dataset
from ..common import copies
from ..common.files import fingerprint
from ..common.progress import bar, say
from ..common.recipe import Recipe
from ..common.run_folder import RunFolder
from ..common.sources import Source, content_revision
from . import rows
from .banks import make_bank
from .cells import grow_budget
from .plan import Growth, banks, filters_asked, generator_models, growths, own_settings, revision, seed_of
from .workers import in_workers

SAMPLES = 20  # of each generator, for the report


def grow_budgets(run: RunFolder, recipe: Recipe) -> None:
    """Grow the budgets that the arms of generators need; that of the VAE's subset 0 becomes dataset folders."""
    needed = growths(recipe)
    if not needed:
        return
    dtype = run.dtype(recipe.precision)
    # The configuration, too: how posteriors are refined may change without the weights.
    weights = fingerprint(run.path / "vae" / "model.safetensors", run.path / "vae" / "config.json")
    models = generator_models(recipe)
    wanted = {
        growth: fingerprint(
            growth,
            target,
            own_settings(replace(recipe.augment, filters=recipe.filters(growth.generator)), growth.generator),
            sorted(filters_asked(recipe, growth.generator)),
            recipe.seed,
            dtype,
            weights,
            rows.content(rows.budget_rows(run.path, growth.subset, growth.budget)),
            rows.unseen_file(run.path, growth.subset),
            [run.source(model) for model in models],
            *revision(growth.generator),
            copies.REVISION,
        )
        for growth, target in needed.items()
    }
    published = Growth("vae", recipe.study.budget, 0)
    datasets = {
        size: f"augmented/{run.source(recipe.study.dataset)['id'].rpartition('/')[2]}-vae-aug{size}"
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
            run.check_sources(models)
        made = {
            name: (run.path, recipe, name, dtype)
            for name in banks(recipe)
            if name in {growth.generator for growth in left}
        }
        for _ in in_workers(make_bank, made, workers=recipe.study.workers, log=run.log):
            pass
        tasks = {str(growth): (run.path, recipe, growth, needed[growth], dtype) for growth in left}
        with bar(total=len(tasks), label="augment", unit="budget") as progress:
            for _, facts in in_workers(grow_budget, tasks, workers=recipe.study.workers, log=run.log):
                growth = _growth(facts)
                _say_where_short(facts, needed[growth])
                grown[growth] = facts | {"fingerprint": wanted[growth]}
                run.update(augmentation=[grown[growth] for growth in needed if growth in grown])
                progress.update()
        if datasets:
            first = rows.read_table(rows.candidates_file(run.path, published))
            for size, folder in datasets.items():
                write_dataset(run.path / folder, first, size, _dataset_facts(run, recipe, Path(folder).name))
        run.update(synthetic=_samples(run, recipe, list(needed)))


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
    source, vae = run.source(recipe.study.dataset), run.info["vae"]
    return DatasetFacts(
        title=title,
        label_names=run.info["study"]["label_names"],
        source=Source.of(source),
        model=f"the text VAE of this run, trained on {vae['sentences']} sentences of {recipe.vae.texts}"
        + (f" and {recipe.vae.unlabelled} (labels unseen)" if recipe.vae.unlabelled else ""),
        model_revision=content_revision([run.path / "vae" / "model.safetensors"]),
        settings=recipe.augment,
        test_texts=len(rows.read_table(rows.unseen_file(run.path, 0))),
        seed=seed_of(recipe.seed, "augment", 0),
        notes=(f"Reconstruction BLEU of the generator on held-out sentences: {vae['bleu_reconstruction']:.1f}.",),
    )


def _say_where_short(facts: dict[str, Any], target: int) -> None:
    wanted = target - facts["budget"]
    if facts["kept"] < wanted:
        say(
            f"{facts['generator']}, budget {facts['budget']}, subset {facts['subset']}: {facts['kept']} of {wanted} "
            "rows, so that arms of it are smaller than their size; raise 'augment.oversample_by_generator'"
        )


def _growth(row: dict[str, Any]) -> Growth:
    return Growth(row["generator"], row["budget"], row["subset"])
