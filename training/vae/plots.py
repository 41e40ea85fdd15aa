"""The plots of a VAE's training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from ..common.drawing import INK, STYLE, axes, svg


@matplotlib.rc_context(STYLE)
def training_curve(name: str, label: str, steps: Sequence[float], values: Sequence[float]) -> str:
    """One quantity of the VAE's training by optimiser step."""
    figure, plot = axes(2.6)
    plot.plot(steps, values, color=INK["vae"], linewidth=1.6)
    plot.set_xlabel("optimiser step")
    plot.set_ylabel(label)
    plot.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    told = f"It begins at {values[0]:.4g} and ends at {values[-1]:.4g}."
    return svg(figure, f"vae-{name}", f"{label} in the VAE's training", told)


@matplotlib.rc_context(STYLE)
def neighbour_curve(points: Sequence[dict[str, float]]) -> str:
    """BLEU and cosine to the source by the noise, in standard deviations of the posterior."""
    figure, plot = axes(3.0)
    noise = [point["temperature"] for point in points]
    plot.plot(noise, [point["bleu"] for point in points], "-o", color=INK["vae"], label="BLEU")
    plot.plot(noise, [100 * point["cosine"] for point in points], "--s", color=INK["oracle"], label="cosine × 100")
    plot.set_xlabel("noise, standard deviations of the posterior")
    plot.set_ylim(0, 100)
    plot.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=2)
    told = "; ".join(f"{p['temperature']:g}: {p['bleu']:.1f} and {p['cosine']:.2f}" for p in points)
    return svg(figure, "neighbours", "Neighbours and their sources", f"Noise: BLEU and cosine. {told}.")


@matplotlib.rc_context(STYLE)
def rate_distortion(points: Sequence[dict[str, float]], lm_nll: float) -> str:
    """nll by KL of posteriors refined under several β; the lines of equal −ELBO, and the language model at rate 0."""
    figure, plot = axes(3.4)
    rates, distortions = [point["kl"] for point in points], [point["nll"] for point in points]
    plot.plot([0, lm_nll], [lm_nll, 0], color=INK["duplicate"], linewidth=1, label="a lossless code")
    plot.plot(rates, distortions, "-o", color=INK["vae"], label="VAE")
    plot.plot(0, lm_nll, "D", color=INK["oracle"], label="language model", clip_on=False, zorder=4)
    for point in points:
        plot.annotate(
            f"β {point['beta']:g}", (point["kl"], point["nll"]), (5, 4), textcoords="offset points", fontsize=8
        )
    plot.set_xlim(0, max([*rates, lm_nll]) * 1.05)
    plot.set_ylim(0, max([*distortions, lm_nll]) * 1.05)
    plot.set_xlabel("rate: KL, nats a text")
    plot.set_ylabel("distortion: nll, nats a text")
    plot.legend(loc="upper right")
    told = "; ".join(f"β {p['beta']:g}: KL {p['kl']:.0f}, nll {p['nll']:.0f}" for p in points)
    return svg(figure, "rate-distortion", "Rate and distortion", f"{told}; language model {lm_nll:.0f} at rate 0.")


@matplotlib.rc_context(STYLE)
def latent_map(places: np.ndarray, labels: Sequence[int], names: Sequence[str]) -> str:
    """Posterior means (N, 2), projected, by class."""
    figure, plot = axes(4.2)
    shades, marks = ("vae", "oracle", "duplicate", "real"), "os^D"
    for label, name in enumerate(names):
        rows = np.asarray(labels) == label
        colour = INK[shades[label % len(shades)]]
        plot.plot(*places[rows].T, marks[label % 4], color=colour, markersize=3, alpha=0.5, label=name)
    plot.set_xlabel("first principal component")
    plot.set_ylabel("second")
    plot.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=len(names))
    return svg(figure, "latent-map", "Map of the latents", f"{len(places)} posterior means by class.")
