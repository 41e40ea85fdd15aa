"""The page of an evaluation: its figures, plots and texts, from its two JSON files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..common.files import read_json
from ..common.pages import write_page
from . import plots

KINDS = {"vae": "VAE", "language_model": "language model", "baseline": "Sentence-VAE"}


def write_report(folder: Path, settings: dict[str, Any]) -> Path:
    """Write `evaluation.html` and its plots beside `evaluation.json` and `page.json`; `settings` is the recipe."""
    figures, page = read_json(folder / "evaluation.json"), read_json(folder / "page.json")
    curve = page["rate_distortion"]
    drawings = {
        "rate-distortion": plots.rate_distortion(curve["points"], curve["lm_nll"]),
        "latent-map": plots.latent_map(np.array(page["latent_map"]), page["labels"], page["label_names"]),
        "neighbours": plots.neighbour_curve(page["neighbour_curve"]),
    }
    write_page(
        __package__,
        "evaluation.html.j2",
        folder / "evaluation.html",
        drawings,
        figures=figures,
        page=page,
        settings=settings,
        kinds=list(KINDS.values()),
        likelihood=_likelihood(figures),
        samples=_samples(figures),
    )
    return folder / "evaluation.html"


def _likelihood(figures: dict[str, Any]) -> list[tuple[str, str]]:
    def with_error(name: str, digits: int) -> str:
        return f"{figures[name]:.{digits}f} ± {figures[f'{name}_standard_error']:.{digits}f}"

    return [
        ("nll of a sampled latent", f"{figures['nll']:.1f}"),
        ("KL from the prior", with_error("kl", 1)),
        ("−ELBO", with_error("neg_elbo", 1)),
        ("by the encoder alone: nll, KL", f"{figures['encoder_alone_nll']:.1f}, {figures['encoder_alone_kl']:.1f}"),
        ("the language model's nll", f"{figures['lm_nll']:.1f}"),
        ("−ELBO ÷ the language model's nll", with_error("elbo_ratio", 3)),
        ("importance-weighted perplexity a token", f"{figures['iw_ppl']:.1f}"),
        ("the language model's perplexity", f"{figures['lm_ppl']:.1f}"),
        ("ratio of the two", with_error("ppl_ratio", 3)),
        (
            "mutual information, its cap",
            f"{figures['mutual_information']:.2f}, {figures['mutual_information_cap']:.2f}",
        ),
        ("active units, variance over 0.01", f"{100 * figures['active_units_share_0.01']:.0f} %"),
        ("active units, variance over 0.2", f"{100 * figures['active_units_share_0.2']:.0f} %"),
    ]


def _samples(figures: dict[str, Any]) -> list[tuple[str, list[str]]]:
    def row(label: str, name: str, digits: int, scale: float = 1.0) -> tuple[str, list[str]]:
        values = [figures[name if kind == "vae" else f"{kind}_{name}"] for kind in KINDS]
        return label, ["–" if value is None else f"{scale * value:.{digits}f}" for value in values]

    return [
        row("median perplexity ÷ real sentences'", "sample_perplexity_ratio", 2),
        row("distinct-2 ÷ real text of equal length", "distinct_2_ratio", 2),
        row("self-BLEU", "self_bleu", 1),
        row("unique, %", "unique_share", 1, 100),
        row("4-grams of the training text, points over real text", "memorisation_excess", 1, 100),
        row("unseen words, points over real text", "unseen_word_excess", 2),
        row("reverse perplexity", "reverse_ppl", 0),
        row("MAUVE", "mauve", 3),
    ]
