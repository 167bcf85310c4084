"""Which signals move the weights of an agent, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Effect = Literal["helps", "hurts", "cannot tell", "no effect"]


@dataclass(frozen=True)
class SignalEffect:
    """What one signal does to an agent.

    Attributes:
        name: Of the signal.
        weight_change: Mean half sum of absolute differences between the weights with and without what it says.
        sharpe_change: Annual Sharpe ratio less that without.
        ci: Interval of `sharpe_change`, corrected for the number of signals; None where the weights do not move.
        verdict: `helps` or `hurts` when the interval does not hold zero, `cannot tell` when it does, `no effect` when
            the weights do not move.
        dropped_weight_change: `weight_change` with the signal set to zero, as if it were missing; None unless asked.
        dropped_sharpe_change: `sharpe_change` likewise.
    """

    name: str
    weight_change: float
    sharpe_change: float
    ci: tuple[float, float] | None
    verdict: Effect
    dropped_weight_change: float | None = None
    dropped_sharpe_change: float | None = None


@dataclass(frozen=True)
class Explanation:
    """What moves the weights of an agent.

    Attributes:
        agent: Its name.
        signals: One entry a signal, in the order of the signals.
        untrained: Whether every training behind it kept the untrained start.
    """

    agent: str
    signals: Sequence[SignalEffect]
    untrained: bool

    @property
    def sentence(self) -> str:
        """The findings in one sentence."""
        if self.untrained:
            return f"{self.agent} did not learn: no signal moves its weights."
        helpful = [item.name for item in self.signals if item.verdict == "helps"]
        harmful = [item.name for item in self.signals if item.verdict == "hurts"]
        moving = [item for item in self.signals if item.verdict != "no effect"]
        told = f"{len(moving)} of {len(self.signals)} signals move the weights of {self.agent}"
        parts = []
        if helpful:
            parts.append(f"{', '.join(helpful)} credibly raised its Sharpe ratio")
        if harmful:
            parts.append(f"{', '.join(harmful)} credibly lowered it")
        effect = " and ".join(parts) if parts else "none of them credibly changed its Sharpe ratio"
        return f"{told}; {effect}. What a signal says on all dates alike is not seen: shifts in time leave it in place."

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {**asdict(self), "signals": [asdict(item) for item in self.signals], "sentence": self.sentence}
