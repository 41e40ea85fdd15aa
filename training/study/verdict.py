"""One plain sentence a classifier, and one over all: did the generated rows help?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..common.intervals import FEWEST_SUBSETS, Interval
from .statistics import Row, by_subset, classifiers, largest_size, lift, mean_lift

ARM = "vae"  # whose rows a verdict is about
Outcome = Literal["helped", "did not help", "cannot tell"]
SAID: dict[Outcome, str] = {
    "helped": "generated rows helped",
    "did not help": "generated rows did not help",
    "cannot tell": "we cannot tell whether generated rows help",
}


@dataclass(frozen=True)
class Verdict:
    about: str  # a classifier, or "overall"
    outcome: Outcome
    sentence: str


def outcome(gain: Interval) -> Outcome:
    """`helped` and `did not help` need an interval that lies wholly above or below 0."""
    if gain.low is None or gain.high is None or gain.low <= 0 <= gain.high:
        return "cannot tell"
    return "helped" if gain.low > 0 else "did not help"


def verdicts(rows: Sequence[Row], budget: int) -> list[Verdict]:
    """One a classifier that was trained on generated rows, in the order of the rows, each at its own largest size."""
    found = []
    for name in classifiers(rows):
        own = [row for row in rows if row["classifier"] == name]
        size = largest_size(own)
        if size is not None:
            found.append(_of_classifier(rows, name, size, budget))
    return found


def overall(rows: Sequence[Row], size: int, budget: int) -> Verdict:
    """About the mean of the classifiers that have an interval of their own."""
    gain, names = mean_lift(rows, ARM, size)
    if not names:
        why = f"no classifier was compared on the {FEWEST_SUBSETS} or more subsets that an interval needs"
        return Verdict("overall", "cannot tell", f"Overall, {SAID['cannot tell']}: {why}.")
    about = f"mean of {' and '.join(names)}, " if len(names) > 1 else f"{names[0]} alone, "
    return Verdict("overall", outcome(gain), _sentence("Overall", gain, size, budget, about))


def signed(points: float) -> str:
    """+1.2 or 0.0, and a real minus sign for what is below."""
    text = f"{abs(points):.1f}"
    return text if text == "0.0" else ("+" if points > 0 else "\N{MINUS SIGN}") + text


def interval_text(gain: Interval) -> str:
    """The interval and its n as a reader is told them."""
    n = f"n = {gain.n} subset{'' if gain.n == 1 else 's'}"
    if gain.low is None or gain.high is None:
        return f"{n}, too few for an interval"
    return f"95 % interval {signed(gain.low)} to {signed(gain.high)}, {n}"


def _of_classifier(rows: Sequence[Row], name: str, size: int, budget: int) -> Verdict:
    if not by_subset(rows, name, "duplicate", size):
        why = f"it was not trained on the arm 'duplicate' at {size} rows"
        return Verdict(name, "cannot tell", f"For {name}, {SAID['cannot tell']}: {why}.")
    gain = lift(rows, name, ARM, size)
    return Verdict(name, outcome(gain), _sentence(f"For {name}", gain, size, budget))


def _sentence(subject: str, gain: Interval, size: int, budget: int, about: str = "") -> str:
    said = SAID[outcome(gain)]
    if gain.mean is None:
        return f"{subject}, {said}: no subset has both arms."
    return (
        f"{subject}, {said}: {size - budget} of them beside {budget} real ones gave {signed(gain.mean)} "
        f"points of accuracy against repeating the real ones ({about}{interval_text(gain)})."
    )
