"""The headline: what may be said about a strategy in one line, and in which colour.

A tick is for a strategy that beats its benchmark *and* equal weight of the same universe. A gain that equal weight
shares is the universe's; a strategy whose trainings kept their untrained start is equal weight under another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from alfred.evaluation.behaviour import Behaviour
from alfred.evaluation.formatting import write_verdict
from alfred.evaluation.statistics.significance import Verdict

_EQUAL = 0.02  # of the weights: what drift and a thousandth of cash make of equal weight

Tone = Literal["green", "amber", "red", "grey"]


@dataclass(frozen=True)
class Training:
    """What one training behind a strategy ended with.

    Attributes:
        fold: Index of the fold.
        seed: Seed of the training.
        step: Environment steps after which the kept network stood; 0 is the untrained start.
        utility: Its utility on held-out sessions, in per cent a year.
        gain: What the best trained network earned there beyond its exposure to the start, in per cent a year.
        gain_error: Standard error of `gain`.
        p_value: Chance of as much skill before costs without any.
    """

    fold: int
    seed: int
    step: int
    utility: float
    gain: float
    gain_error: float
    p_value: float

    @property
    def untrained(self) -> bool:
        """Whether the untrained start was kept."""
        return self.step == 0


@dataclass(frozen=True)
class Headline:
    """One line and its colour.

    Attributes:
        text: The line.
        tone: `green` for a strategy that beats both, `amber` for a gain that is not its own and for one that learnt
            nothing, `red` for one that loses or is too good to be true, `grey` where nothing can be told.
        implausible: Whether it is too good to be true.
    """

    text: str
    tone: Tone
    implausible: bool = False


class Judged(Protocol):
    """What a headline is written from."""

    @property
    def name(self) -> str:
        """Name of the strategy."""

    @property
    def versus_benchmark(self) -> Verdict:
        """Against the benchmark."""

    @property
    def versus_equal_weight(self) -> Verdict | None:
        """Against equal weight of the same universe."""

    @property
    def behaviour(self) -> Behaviour | None:
        """What it did, where that is known."""

    @property
    def warnings(self) -> Sequence[str]:
        """What makes the numbers too good to be true."""


def count_untrained(trainings: Sequence[Training]) -> int:
    """Return how many trainings kept their untrained start."""
    return sum(item.untrained for item in trainings)


def describe_trainings(trainings: Sequence[Training], distance: float | None = None) -> str:
    """Say in one sentence how many trainings kept what; empty without trainings.

    Args:
        trainings: Behind one strategy.
        distance: Its active share against equal weight, when that is known: limits of the mandate may keep a start
            away from equal weight.
    """
    if not trainings:
        return ""
    untrained, count = count_untrained(trainings), len(trainings)
    if not untrained:
        return f"All {count} trainings kept a trained network." if count > 1 else "The training kept a trained network."
    verb = "trainings kept" if count > 1 else "training kept"
    meaning = "this is equal weight" if untrained == count else "there it is equal weight"
    if distance is not None and untrained == count and distance > _EQUAL:
        meaning = f"nothing was learnt, and its mandate keeps it {distance:.0%} of its weights away from equal weight"
    return f"{untrained} of {count} {verb} the untrained start: {meaning}."


def write_headline(row: Judged, equal_weight: Judged | None) -> Headline:
    """Return the headline of a strategy.

    Args:
        row: The strategy.
        equal_weight: Equal weight of the same universe, judged against the same benchmark; None without it.
    """
    verdict, versus_equal = row.versus_benchmark, row.versus_equal_weight
    text, tone = _write(row.name, verdict, versus_equal, equal_weight)
    close = row.behaviour is not None and row.behaviour.active_share < _EQUAL
    if tone == "green" and close and versus_equal is not None:
        # What is left is the pace of trading, and no choice of weights.
        text = f"{write_verdict(verdict, row.name)}, holding {versus_equal.baseline} to within {_EQUAL:.0%}"
        tone = "amber"
    if row.warnings:
        return Headline(f"{text}: too good to be true", "red", implausible=True)
    return Headline(text, tone)


def find_tone(verdict: Verdict, headline: Headline) -> Tone:
    """Return the colour of one comparison; what the headline does not allow to be green is not."""
    if headline.implausible and verdict.outcome == "beats":
        return "red"
    if verdict.outcome == "beats":
        return "green" if headline.tone == "green" else "amber"
    if verdict.outcome == "did not learn":
        return "amber"
    return "red" if verdict.outcome == "does not beat" else "grey"


def _write(name: str, verdict: Verdict, versus_equal: Verdict | None, equal_weight: Judged | None) -> tuple[str, Tone]:
    if verdict.outcome == "did not learn":
        return f"{name} did not learn", "amber"
    text = write_verdict(verdict, name)
    if verdict.outcome != "beats":
        return text, "red" if verdict.outcome == "does not beat" else "grey"
    if versus_equal is None or equal_weight is None:
        return f"{text}; equal weight was not judged", "amber"
    if versus_equal.outcome == "beats":
        return f"{name} beats {verdict.baseline} and {versus_equal.baseline}", "green"
    if equal_weight.versus_benchmark.outcome == "beats":
        return f"{text}, as {versus_equal.baseline} does", "amber"
    if versus_equal.outcome == "does not beat":
        return f"{text}, but not {versus_equal.baseline}", "amber"
    return f"{text}; whether it beats {versus_equal.baseline} cannot be told", "amber"
