"""`textvae augment`: grow somebody's labelled file into a dataset folder."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from textvae.modeling_textvae.augmentation import Progress

from ..common.errors import UserError
from ..common.files import check_replaceable, fingerprint
from ..common.precision import autocast, choose, device, settle
from ..common.progress import bar, say
from ..common.recipe import AugmentRecipe
from ..common.shards import Keep, is_main, main_first
from ..common.sources import LabelledTexts, content_revision, resolve_model
from ..common.tables import check_classes, read_table, read_texts
from ..vae import adapt as adapting
from ..vae.parts import Parts
from ..vae.reconstruction import FLUENT_BLEU, familiarity
from ..vae.train import load_model
from .dataset import MARK, DatasetFacts, grow, none_left, take, write_dataset
from .generators import Generator
from .generators.rules import wordnet
from .generators.vae import Vae
from .judging import Embed, Judges, encoder, teacher_body
from .making import make_generator

TEACHER = "sentence-transformers/all-MiniLM-L6-v2"  # where no VAE's encoder is at hand


@dataclass(frozen=True)
class _Tool:
    """What makes and judges the rows of a file."""

    generator: Generator
    embed: Embed  # of the teacher
    settings: AugmentRecipe
    model: str  # what generates, in words
    revision: str
    dtype: torch.dtype
    bleu: float | None = None  # of the VAE's reconstructions of the rows
    notes: tuple[str, ...] = ()


def augment_file(args: argparse.Namespace) -> None:
    """Grow `args.input` to `args.target_size` rows in the folder `args.output`; print a summary as JSON.

    What a model has written by then is kept, block by block, beside the output: one that was stopped goes on.

    Raises:
        UserError: the input, the model or the output cannot be used; said before anything is generated.
    """
    output = Path(args.output)
    check_replaceable(output, MARK)
    _check_options(args)
    budget = read_table(args.input, args.text_column, args.label_column)
    check_classes(budget)
    if args.target_size <= len(budget):
        raise UserError(f"--target-size {args.target_size}: {args.input} has {len(budget)} rows already; ask for more")
    tests = read_texts(args.test_input, args.text_column, "test") if args.test_input else []
    tool = _vae(args, budget) if args.generator == "vae" else _other(args, budget)
    judges = Judges(tool.embed, asked=tool.settings.filters)
    with _bars() as progress, autocast(tool.dtype, device()):
        rows, _ = grow(
            tool.generator, judges, budget, tests, tool.settings, args.seed, progress,
            target=args.target_size, oversample=tool.settings.oversample,
        )  # fmt: skip
    if not is_main():
        return
    candidates = rows[rows["method"] != "original"]
    if not candidates["kept"].any():
        raise UserError(
            f"{args.input}: {none_left(candidates)}; give another --seed, --generator or --model, or another "
            "--test-input where it took them"
        )
    facts = DatasetFacts(
        title=output.name,
        label_names=budget.label_names,
        source=budget.source,
        generator=args.generator,
        model=tool.model,
        model_revision=tool.revision,
        settings=tool.settings,
        seed=args.seed,
        test_texts=len(tests),
        notes=tool.notes,
    )
    write_dataset(output, rows, args.target_size, facts)
    shutil.rmtree(_parts(output), ignore_errors=True)
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
    }
    print(json.dumps(summary | ({} if tool.bleu is None else {"reconstruction_bleu": round(tool.bleu, 2)}), indent=2))


def _check_options(args: argparse.Namespace) -> None:
    if args.generator != "vae":
        for name in ("adapt", "temperature"):
            if (given := getattr(args, name)) is not None:
                raise UserError(f"--{name} {given}: is of a VAE; leave it out with --generator {args.generator}")
        if args.generator == "rules" and args.model:
            raise UserError(f"--model {args.model}: rules need no model; leave it out with --generator rules")
    elif args.adapt:
        adapted = _adapted(args)
        check_replaceable(adapted, adapting.MARK)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError(
                f"--adapt {args.adapt}: fine-tunes in one process; run this once without a launcher, "
                f"then launch it without --adapt, with --model {adapted}"
            )


def _adapted(args: argparse.Namespace) -> Path:
    output = Path(args.output)
    return output.with_name(f"{output.name}-vae")


def _parts(output: Path) -> Path:
    return output.with_name(f".{output.name}-parts")


def _kept(
    args: argparse.Namespace, budget: LabelledTexts, settings: AugmentRecipe, made_by: str
) -> tuple[Keep, torch.dtype]:
    """The blocks that have been written for these very rows, by these weights, and the precision that they are in."""
    made_from = fingerprint(
        args.generator, args.seed, settings, made_by, budget.texts, budget.labels, budget.label_names
    )
    choose("auto")  # by all processes together
    with main_first():
        parts = Parts(_parts(Path(args.output)), made_from)
        precision = parts.data("precision", lambda: settle("auto", None))
    return parts.data, getattr(torch, precision["dtype"])


def _vae(args: argparse.Namespace, budget: LabelledTexts) -> _Tool:
    """The VAE, fine-tuned on the rows where that is asked for; its encoder is the teacher's body."""
    folder, source = resolve_model(args.model)
    adapted = _adapted(args)
    if args.adapt and folder.resolve() == adapted.resolve():
        raise UserError(f"{adapted}: is the model itself; with another --output its copy gets a place of its own")
    model, tokenizer = load_model(folder)
    model, dtype = model.to(device()), choose("auto").dtype
    bleu, sentences = familiarity(model, tokenizer, budget.texts, dtype)
    revision = source.revision
    note = f"Reconstruction BLEU of the generator on these rows' sentences: {bleu:.1f}."
    remedy = "--adapt 300 first fine-tunes a copy of it on them"
    if args.adapt:
        model, tokenizer, steps = adapting.adapt(folder, sentences, args.adapt, adapted, args.seed)
        model, revision = model.to(device()).eval(), content_revision(sorted(adapted.glob("*.safetensors")))
        before, (bleu, _) = bleu, familiarity(model, tokenizer, budget.texts, dtype)
        say(f"adapt: {steps} steps, reconstruction BLEU {before:.1f} → {bleu:.1f} on these rows → {adapted}")
        note = (
            f"Generator fine-tuned for {steps} steps on these rows' sentences, labels unseen; its "
            f"reconstruction BLEU on them went from {before:.1f} to {bleu:.1f}."
        )
        ended_early = steps < args.adapt  # for want of rows: more steps would change nothing
        remedy = "give more such rows, or a VAE trained on such texts" if ended_early else "give --adapt more steps"
    if bleu < FLUENT_BLEU:
        say(f"warning: {args.input}: reconstruction BLEU {bleu:.1f}, the model knows no such texts; {remedy}")
    temperature = AugmentRecipe.temperature if args.temperature is None else args.temperature
    settings = AugmentRecipe(sizes=(args.target_size,), temperature=temperature, perplexity_model=None)
    embed = teacher_body(settings, model, tokenizer)
    keep, dtype = _kept(args, budget, settings, revision)
    generator = Vae(model, tokenizer, settings, keep)
    return _Tool(generator, embed, settings, source.sentence(), revision, dtype, bleu, (note,))


def _other(args: argparse.Namespace, budget: LabelledTexts) -> _Tool:
    """Rules, or another model; the teacher's body is a sentence encoder."""
    models = {args.generator: args.model} if args.model else {}
    settings = AugmentRecipe(sizes=(args.target_size,), perplexity_model=None, teacher_model=TEACHER, **models)
    source = wordnet()[1] if args.generator == "rules" else resolve_model(getattr(settings, args.generator))[1]
    resolve_model(TEACHER)  # it is loaded when there is something to judge: too late to say that it is not to be had
    if args.generator == "rules":
        keep, dtype = None, choose("auto").dtype
    else:
        keep, dtype = _kept(args, budget, settings, source.revision)
    embed = encoder(TEACHER, settings.teacher_tokens, dtype)
    generator = make_generator(args.generator, settings, dtype, keep)
    return _Tool(generator, embed, settings, source.sentence(), source.revision, dtype)


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
