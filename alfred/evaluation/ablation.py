"""What each signal and each feature is worth: what changes without it, and whether that is credible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from alfred.evaluation.statistics.paired import Credible, PairedChange

Way = Literal["dropped", "permuted"]
Measure = Literal["sharpe", "loss", "f1"]


@dataclass(frozen=True)
class Change:
    """What one measure loses without one signal, feature or analyst.

    Attributes:
        way: `dropped` is set to its missing value (of a blend: left out and fitted again), `permuted` keeps its
            distribution and loses what it says of the day.
        measure: `sharpe` a year of an agent, `loss` and `f1` of forecasts.
        horizon: Sessions ahead of the forecasts; 0 for an agent.
        value: With it less without it for a Sharpe ratio or F1, the loss without it less that with it: more is better.
        low: Lower end of its interval; all intervals of one subject hold together.
        high: Upper end.
        p: P-value of no change, adjusted for all changes of the subject.
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
        """`helps` or `hurts` when one of the changes is credible, by the one of the smallest p-value."""
        credible = [item for item in self.changes if item.verdict != "no credible change"]
        return min(credible, key=lambda item: item.p).verdict if credible else "no credible change"


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
        rest = len(self.parts) - len(helpful) - len(harmful)
        if rest:
            told.append(f"{rest} of {len(self.parts)} without a credible change")
        return f"{self.subject}: {'; '.join(told)}.{' ' if self.note else ''}{self.note}"

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        parts = [{**asdict(item), "verdict": item.verdict} for item in self.parts]
        return {"subject": self.subject, "kind": self.kind, "parts": parts, "sentence": self.sentence}
