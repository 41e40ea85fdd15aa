"""`textvae augment`: grow somebody's labelled file into a dataset folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from textvae.modeling_textvae.augmentation import Progress

from ..common.errors import UserError
from ..common.files import check_replaceable
from ..common.precision import autocast, choose, device
from ..common.progress import bar, say
from ..common.recipe import AugmentRecipe
from ..common.shards import is_main
from ..common.sources import content_revision, resolve_model
from ..common.tables import check_classes, read_table, read_texts
from ..vae import adapt as adapting
from ..vae.reconstruction import FLUENT_BLEU, familiarity
from ..vae.train import load_model
from .dataset import MARK, DatasetFacts, grow, take, write_dataset
from .generators.vae import Vae
from .judging import Judges, teacher_body


def augment_file(args: argparse.Namespace) -> None:
    """Grow `args.input` to `args.target_size` rows in the folder `args.output`; print a summary as JSON.

    Raises:
        UserError: the input, the model or the output cannot be used; said before anything is generated.
    """
    output = Path(args.output)
    adapted = output.with_name(f"{output.name}-vae")
    check_replaceable(output, MARK)
    if args.adapt:
        check_replaceable(adapted, adapting.MARK)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError(
                f"--adapt {args.adapt}: fine-tunes in one process; run this once without a launcher, "
                f"then launch it without --adapt, with --model {adapted}"
            )
    budget = read_table(args.input, args.text_column, args.label_column)
    check_classes(budget)
    if args.target_size <= len(budget):
        raise UserError(f"--target-size {args.target_size}: {args.input} has {len(budget)} rows already; ask for more")
    tests = read_texts(args.test_input, args.text_column, "test") if args.test_input else []
    folder, source = resolve_model(args.model)
    if args.adapt and folder.resolve() == adapted.resolve():
        raise UserError(f"{adapted}: is the model itself; with another --output its copy gets a place of its own")
    model, tokenizer = load_model(folder)
    model = model.to(device())
    dtype = choose("auto", device()).dtype

    bleu, sentences = familiarity(model, tokenizer, budget.texts, dtype)
    revision = source.revision
    notes = [f"Reconstruction BLEU of the generator on these rows' sentences: {bleu:.1f}."]
    remedy = "--adapt 300 first fine-tunes a copy of it on them"
    if args.adapt:
        model, tokenizer, steps = adapting.adapt(folder, sentences, args.adapt, adapted, args.seed)
        model, revision = model.to(device()).eval(), content_revision(sorted(adapted.glob("*.safetensors")))
        before, (bleu, _) = bleu, familiarity(model, tokenizer, budget.texts, dtype)
        say(f"adapt: {steps} steps, reconstruction BLEU {before:.1f} → {bleu:.1f} on these rows → {adapted}")
        notes = [
            f"Generator fine-tuned for {steps} steps on these rows' sentences, labels unseen; its "
            f"reconstruction BLEU on them went from {before:.1f} to {bleu:.1f}."
        ]
        ended_early = steps < args.adapt  # for want of rows: more steps would change nothing
        remedy = "give more such rows, or a VAE trained on such texts" if ended_early else "give --adapt more steps"
    if bleu < FLUENT_BLEU:
        say(f"warning: {args.input}: reconstruction BLEU {bleu:.1f}, the model knows no such texts; {remedy}")

    settings = dataclasses.replace(
        AugmentRecipe(), sizes=(args.target_size,), temperature=args.temperature, perplexity_model=None
    )
    judges = Judges(teacher_body(settings, model, tokenizer), asked=settings.filters)
    with _bars() as progress, autocast(dtype, model.device):
        rows, _ = grow(
            Vae(model, tokenizer, settings), judges, budget, tests, settings, args.seed, progress,
            target=args.target_size, oversample=settings.oversample,
        )  # fmt: skip
    if not is_main():
        return
    facts = DatasetFacts(
        title=output.name,
        label_names=budget.label_names,
        source=budget.source,
        model=source.sentence(),
        model_revision=revision,
        settings=settings,
        seed=args.seed,
        test_texts=len(tests),
        notes=tuple(notes),
    )
    write_dataset(output, rows, args.target_size, facts)
    candidates = rows[rows["method"] != "original"]
    kept = len(take(rows, args.target_size))
    if kept < args.target_size:
        say(f"warning: {kept} rows, not {args.target_size}: too few candidates passed the checks")
    summary = {
        "output": str(output),
        "rows": kept,
        "real": len(budget),
        "generated": kept - len(budget),
        "candidates": len(candidates),
        "rejected": candidates["reject_reason"].value_counts().to_dict(),
        "reconstruction_bleu": round(bleu, 2),
    }
    print(json.dumps(summary, indent=2))


@contextmanager
def _bars() -> Iterator[Progress]:
    """One bar a stage, opened when the stage begins."""
    bars: dict[str, tqdm] = {}

    def progress(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage] = bar(total=total, label=stage, unit="row")
        bars[stage].update(done)

    try:
        yield progress
    finally:
        for one in bars.values():
            one.close()
