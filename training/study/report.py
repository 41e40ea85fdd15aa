"""The report of a run, in Markdown and HTML, its summary and plots: from results.jsonl and run.json alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup

from ..common import intervals
from ..common.errors import UserError
from ..common.files import fingerprint, read_json, read_jsonl, write_json, write_text
from ..common.intervals import Interval
from ..common.pages import duration, environment, markdown, write_page
from ..common.progress import say
from ..vae.plots import training_curve
from . import arm_settings, plots, provenance, rivals, statistics, tables
from .questions import answers
from .statistics import Row
from .summary import summary
from .verdict import overall, signed, verdicts

VAE_CURVES = {"nll": "nats a sentence (nll)", "kl": "KL, nats a sentence", "beta": "β (weight of the KL)"}
CURVE_TABLE_ROWS = 10
KINDS = {
    "probe": "logistic regression on the body's frozen, mean-pooled features",
    "lstm": "a bidirectional LSTM, max-pooled, over the body's frozen word embeddings",
    "bert": "the whole body fine-tuned",
    "setfit": "the body fine-tuned on pairs of texts, then a logistic regression (SetFit)",
    "gpt2_lora": "LoRA adapters on the body; a short prompt follows each text, and the head starts from a regression "
    "on the body's frozen states (LP-FT)",
}


def write_report(folder: str | Path) -> dict[str, Any]:
    """Write the report into a run folder; returns what `summary.json` holds.

    Raises:
        UserError: the folder holds no finished run.
    """
    folder = Path(folder)
    results = folder / "results.jsonl"
    rows = read_jsonl(results)
    if not rows:
        raise UserError(f"{folder}: holds no results.jsonl with rows; give a folder that `textvae run` made")
    info = read_json(folder / "run.json")
    if "analysis" in info and info["analysis"].get("results") != fingerprint(results):
        del info["analysis"]
        say(
            f"{folder}: its predictions were analysed before results.jsonl changed; what follows from them is left "
            "out, until `textvae run` of its recipe analyses them anew"
        )
    drawings = _plots(statistics.of_budget(rows, info["study"]["budget"]), info) | _study_plots(rows, info)
    facts = report_facts(rows, info)
    write_text(folder / "report.md", _as_markdown(facts, drawings))
    write_page(__package__, "report.html.j2", folder / "report.html", drawings, **facts)
    figures = summary(rows, info)
    write_json(folder / "summary.json", figures)
    say(f"report: {facts['verdict'].sentence} → {folder / 'report.html'}")
    return figures


def _as_markdown(facts: dict[str, Any], drawings: Collection[str]) -> str:
    """Whatever a template prints is escaped as Markdown, as HTML is in pages."""
    pages = environment(__package__, autoescape=True)
    pages.finalize = lambda value: value if isinstance(value, Markup) else Markup(markdown(value))
    report = pages.get_template("report.md.j2").render(facts, plots=drawings)
    return re.sub(r"\n{3,}", "\n\n", report).strip() + "\n"


def report_facts(rows: Sequence[Row], info: dict[str, Any]) -> dict[str, Any]:
    """What the report says, as its templates and the cards of trained classifiers read it."""
    of_all, rows = rows, statistics.of_budget(rows, info["study"]["budget"])
    size = statistics.headline_size(rows) or max(row["size"] for row in rows)
    stand_ins = [source for source in info["sources"] if source["stand_in"]]
    marks = {source["asked"]: number for number, source in enumerate(stand_ins, start=1)}
    notes = {asked: f"note {number}" for asked, number in marks.items()}
    models = {name: settings["model"] for name, settings in info["recipe"]["classifiers"].items()}
    grids = tables.grids(of_all)
    teachers = {
        budget: f"{fmean(found.values()):.1f}"
        for budget in dict.fromkeys(budget for grid in grids for budget in grid.budgets)
        if (found := tables.teachers(info, budget))
    }
    return {
        "title": f"{info['recipe']['name']}: did generated text help?",
        "info": info,
        "study": info["study"],
        "vae": info.get("vae"),
        "curve": statistics.thinned((info.get("vae") or {}).get("curve", []), CURVE_TABLE_ROWS),
        "settings": info["recipe"],
        "synthetic": info.get("synthetic", []),
        "generators": [
            line | {"dropped": ", ".join(f"{reason} {count}" for reason, count in line["rejected"].items())}
            for line in tables.generators(info)
        ],
        "answers": answers(of_all, info),
        "absent": info.get("absent", []),
        "grids": [
            {
                "classifier": grid.classifier,
                "arm": grid.arm,
                "columns": {f">×{ratio}": f"{{cells[{place}][text]}}" for place, ratio in enumerate(grid.ratios)},
                "lines": [line | {"teacher": teachers.get(line["budget"], "")} for line in grid.lines],
            }
            for grid in grids
        ],
        "by_budget": _by_budget(of_all, teachers),
        "teachers": teachers,
        "augment_at_all": rivals.augment_at_all(info),
        "rivals": [
            vars(one) | {"n": one.accuracy.n, "accuracy": _plain(one.accuracy), "ahead": tables.lift_text(one.ahead)}
            for one in rivals.lines(info)
        ],
        "filters": [
            vars(one)
            | {"filters": ", ".join(arm_settings.filters(info, one.arm)) or "none", "gain": tables.lift_text(one.gain)}
            for one in tables.filter_ablation(rows, info)
        ],
        "chosen": provenance.how_chosen(info),
        "slices": tables.slices(info),
        "imbalance": tables.imbalance(rows, info),
        "quality": tables.quality(info),
        "verdict": overall(rows, size, info["study"]["budget"]),
        "verdicts": verdicts(rows, info["study"]["budget"]),
        "classifiers": [
            {
                "name": name,
                "model": models[name],
                "kind": KINDS[name],
                "arms": _arms(rows, name, info),
                "test_rows": max(row["test_rows"] for row in rows if row["classifier"] == name),
                "teacher": provenance.teacher_of(info, name),
                "weights": next(row["weights"] for row in rows if row["classifier"] == name),
            }
            for name in statistics.classifiers(rows)
        ],
        "saw": provenance.who_saw_what(info),
        "chance": statistics.chance(info),
        "arms": provenance.arms(of_all, info),
        "sources": [
            source | {"licence": source["licence"] or "not stated", "note": notes.get(source["asked"], "no")}
            for source in info["sources"]
        ],
        "stand_ins": stand_ins,
        "marks": marks,
        "stages": _stages(of_all, info),
    }


def _by_budget(of_all: Sequence[Row], teachers: dict[int, str]) -> dict[str, Any]:
    """The columns of budgets, and the lines: of the teacher, where there is one, and of classifiers."""
    found = tables.by_budget(of_all)
    budgets = sorted({budget for one in found for budget in one.by_budget})
    lines = [(rivals.TEACHER, "none", teachers)] if teachers and found else []
    for one in found:
        accuracies = {budget: _plain(accuracy) for budget, accuracy in one.by_budget.items()}
        lines.append((one.classifier, f"{one.arm} ×{one.ratio}" if one.ratio else "none", accuracies))
    return {
        "columns": {f">{budget}": f"{{accuracies[{budget}]}}" for budget in budgets},
        "lines": [
            {"classifier": name, "generated": made, "accuracies": dict.fromkeys(budgets, "") | known}
            for name, made, known in lines
        ],
    }


def _stages(of_all: Sequence[Row], info: dict[str, Any]) -> list[dict[str, str]]:
    seconds = statistics.stage_seconds(of_all, info)
    notes = {name: stage["note"] or "" for name, stage in info["stages"].items()}
    lines = [(name, took, notes.get(name, "installation")) for name, took in seconds.items()]
    for name, cells in Counter(row["classifier"] for row in of_all).items():
        took = statistics.training_seconds(of_all, name)
        lines.append((name, took, f"{cells} cells added up, within classify"))
    lines.append(("Total of the stages", sum(seconds.values()), ""))
    return [{"stage": name, "time": duration(took), "note": note} for name, took, note in lines]


def _arms(rows: Sequence[Row], name: str, info: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    budget = info["study"]["budget"]
    drawn_anew = {
        (one["classifier"], one["arm"], one["size"]): f"{signed(one['low'])} to {signed(one['high'])}"
        for one in info.get("analysis", {}).get("bootstrap", [])
        if one["budget"] == budget
    }
    p_values = statistics.corrected_p_values(rows)
    for arm, size in statistics.arms(rows, name):
        gain = statistics.lift(rows, name, arm, size)
        compared = arm != "duplicate" and gain.n > 0
        fraction = statistics.oracle_fraction(rows, name, arm, size) if statistics.is_generated(arm) else None
        accuracy = intervals.paired_interval(list(statistics.by_subset(rows, name, arm, size).values()))
        had = [r["rows"] for r in rows if (r["classifier"], r["arm"], r["size"]) == (name, arm, size)]
        f1 = statistics.by_subset(rows, name, arm, size, "f1").values()
        entropy = statistics.by_subset(rows, name, arm, size, "cross_entropy", scale=1.0).values()
        lines.append(
            {
                "arm": arm,
                "size": size,
                "rows": f"{size} ({fewest})" if (fewest := min(had)) < size else str(size),
                "steps": next(r["steps"] for r in rows if (r["classifier"], r["arm"], r["size"]) == (name, arm, size)),
                "accuracy": _plain(accuracy),
                "f1": f"{fmean(f1):.1f}",
                "cross_entropy": f"{fmean(entropy):.3f}",
                "n": accuracy.n,
                "lift": f"{signed(gain.mean)}" if compared and gain.mean is not None else "",
                "interval": _range(gain) if compared else "",
                "bootstrap": drawn_anew.get((name, arm, size), "") if gain.n >= intervals.FEWEST_DRAWN else "",
                "p": _p_text(p_values.get((name, arm, size))),
                "oracle_fraction": "" if fraction is None else f"{100 * fraction:.0f} %".replace("-", "−"),
            }
        )
    return lines


def _study_plots(rows: Sequence[Row], info: dict[str, Any]) -> dict[str, str]:
    """Name → SVG, of what only larger studies have."""
    drawings = {f"heat-{grid.classifier}-{grid.arm}": plots.heat_map(grid) for grid in tables.grids(rows)}
    by_classifier: dict[str, list[dict[str, Any]]] = {}
    for one in tables.slices(info):
        by_classifier.setdefault(one["classifier"], []).append(one)
    drawings |= {f"slices-{name}": plots.slices(name, found) for name, found in by_classifier.items()}
    costs = _costs(statistics.of_budget(rows, info["study"]["budget"]), info)
    return drawings | {f"costs-{name}": plots.costs(name, points) for name, points in costs.items()}


def _costs(rows: Sequence[Row], info: dict[str, Any]) -> dict[str, list[tuple[str, float, Interval]]]:
    """Of each classifier's generated arms the CPU seconds that their rows took, and the lift.

    Not of arms with filters of their own: how many candidates a row of theirs took is not counted.
    """
    budget = info["study"]["budget"]
    a_row = {
        line["generator"]: line["cpu_seconds_a_kept_row"]
        for line in tables.generators(info)
        if line["budget"] == budget
    }
    found = {}
    for name in statistics.classifiers(rows):
        points = []
        for arm, size in statistics.arms(rows, name):
            generators = arm_settings.made_of(info, arm)
            costs = [a_row[one] for one in generators if a_row.get(one) is not None]
            chosen_alike = all(arm_settings.filters(info, one) == arm_settings.filters(info, arm) for one in generators)
            gain = statistics.lift(rows, name, arm, size)
            if len(costs) == len(generators) and chosen_alike and gain.low is not None:
                points.append((f"{arm} {size}", (size - budget) * fmean(costs), gain))
        if len(points) > 1:
            found[name] = points
    return found


def _p_text(value: float | None) -> str:
    return "" if value is None else "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _range(gain: Interval) -> str:
    if gain.low is None or gain.high is None:
        return f"too few subsets (n = {gain.n})"
    return f"{signed(gain.low)} to {signed(gain.high)} (n = {gain.n})"


def _plain(value: Interval) -> str:
    if value.low is None or value.high is None:
        return f"{value.mean:.1f}"
    return f"{value.mean:.1f} ({value.low:.1f} to {value.high:.1f})"


def _plots(rows: Sequence[Row], info: dict[str, Any]) -> dict[str, str]:
    """Name → SVG."""
    drawings = {}
    budget = info["study"]["budget"]
    for name in statistics.classifiers(rows):
        lifts = []
        curves: dict[str, dict[int, list[float]]] = {}
        for arm, size in statistics.arms(rows, name):
            curves.setdefault(arm, {})[size] = list(statistics.by_subset(rows, name, arm, size).values())
            values = list(statistics.lift_by_subset(rows, name, arm, size).values())
            if statistics.is_generated(arm) and values:
                lifts.append((f"{arm} {size}", arm, statistics.lift(rows, name, arm, size), values))
        if len(set().union(*curves.values())) > 1 or any(map(statistics.is_generated, curves)):
            drawings[f"learning-curve-{name}"] = plots.learning_curve(name, curves, budget, statistics.chance(info))
        if lifts:
            drawings[f"lifts-{name}"] = plots.lifts(name, lifts)
    curve = (info.get("vae") or {}).get("curve", [])
    for column, label in VAE_CURVES.items() if curve else ():
        steps, values = [row["step"] for row in curve], [row[column] for row in curve]
        drawings[f"vae-{column}"] = training_curve(column, label, steps, values)
    return drawings
