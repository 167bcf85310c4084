"""What each signal and each feature is worth: what changes without it, and whether that is credible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from alfred.evaluation.statistics.paired import FEWEST_BLOCKS, Credible, PairedChange

Way = Literal["dropped", "permuted"]
Measure = Literal["sharpe", "loss", "balanced accuracy"]


@dataclass(frozen=True)
class Change:
    """What one measure loses without one signal, feature or analyst.

    Attributes:
        way: `dropped` is set to its missing value (of a blend: left out and fitted again), `permuted` keeps its
            distribution and loses what it says of the day.
        measure: `sharpe` a year of an agent, `loss` and `balanced accuracy` of forecasts.
        horizon: Sessions ahead of the forecasts; 0 for an agent.
        value: With it less without it for a Sharpe ratio or an accuracy, the loss without it less that with it: more is
            better. NaN where nothing is known.
        low: Lower end of its interval; all intervals of one subject hold together. NaN where it is too short to say.
        high: Upper end.
        p: P-value of no change, adjusted for all changes of the subject; NaN where it is too short to say.
        verdict: What is credible.
    """

    way: Way
    measure: Measure
    horizon: int
    value: float
    low: float
    high: float
    p: float
    verdict: Credible

    @classmethod
    def from_test(cls, way: Way, measure: Measure, horizon: int, test: PairedChange) -> Change:
        """Return a change with what was found about it."""
        return cls(way, measure, horizon, test.value, test.low, test.high, test.p, test.verdict)

    @property
    def credible(self) -> bool:
        """Whether it helps or hurts."""
        return self.verdict in ("helps", "hurts")


@dataclass(frozen=True)
class Ablated:
    """One signal, feature or analyst that was taken away.

    Attributes:
        name: What was.
        changes: What became of it without.
    """

    name: str
    changes: tuple[Change, ...]

    @property
    def verdict(self) -> Credible:
        """`helps` or `hurts` when one of the changes is credible, by the one of the smallest p-value.

        `too short to say` when nothing can be said of any of them.
        """
        credible = [item for item in self.changes if item.credible]
        if credible:
            return min(credible, key=lambda item: item.p).verdict
        short = bool(self.changes) and all(item.verdict == "too short to say" for item in self.changes)
        return "too short to say" if short else "no credible change"


@dataclass(frozen=True)
class Ablation:
    """What one subject loses without each of its parts.

    Attributes:
        subject: Name of the agent, analyst or blend.
        kind: What it is.
        parts: One entry a part.
        note: What a reader must know; empty when there is nothing.
    """

    subject: str
    kind: Literal["agent", "analyst", "blend"]
    parts: Sequence[Ablated]
    note: str = ""

    @property
    def sentence(self) -> str:
        """The findings in one sentence."""
        helpful = [item.name for item in self.parts if item.verdict == "helps"]
        harmful = [item.name for item in self.parts if item.verdict == "hurts"]
        told = []
        if helpful:
            told.append(f"{', '.join(helpful)} credibly {'helps' if len(helpful) == 1 else 'help'}")
        if harmful:
            told.append(f"{', '.join(harmful)} credibly {'hurts' if len(harmful) == 1 else 'hurt'}")
        for verdict, words in (("no credible change", "without a credible change"), ("too short to say",) * 2):
            count = sum(item.verdict == verdict for item in self.parts)
            if count:
                told.append(f"{count} of {len(self.parts)} {words}")
        return f"{self.subject}: {'; '.join(told)}.{' ' if self.note else ''}{self.note}"

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        parts = [{**_clean(asdict(item)), "verdict": item.verdict} for item in self.parts]
        return {"subject": self.subject, "kind": self.kind, "parts": parts, "sentence": self.sentence}


def note_short(parts: Sequence[Ablated]) -> str:
    """Say which horizons of a subject are too short to say anything of; empty when there are none."""
    changes = [change for part in parts for change in part.changes]
    by_horizon: dict[int, set[Credible]] = {}
    for change in changes:
        by_horizon.setdefault(change.horizon, set()).add(change.verdict)
    short = [horizon for horizon, verdicts in sorted(by_horizon.items()) if verdicts == {"too short to say"}]
    if short:
        named = f"horizon{'s' if len(short) > 1 else ''} {', '.join(map(str, short))}" if any(short) else "anything"
        return (
            f"The test is too short to say what {named} owes to the parts: it must hold {FEWEST_BLOCKS} outcomes that "
            "do not overlap, and changes on more than a few of them."
        )
    few = sum(change.verdict == "too short to say" for change in changes)
    if few:
        return f"{few} of {len(changes)} changes move on too few sessions to say anything of them."
    return ""


def _clean(value: Any) -> Any:
    """Return plain values with None for what is not a number: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
