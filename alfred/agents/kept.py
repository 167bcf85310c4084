"""What a training ended with: a network that it trained, or the start that it never credibly did better than."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """Which network a training kept, and why; see `alfred.training.cross_fitting.choice`.

    All numbers are about sessions that the networks that were judged on them were not trained on.

    Attributes:
        step: Environment steps after which the kept network stood as it was kept; 0 is the untrained start.
        utility: Its utility, as `alfred.training.cross_fitting.utility.compute_utility` has it, in per cent a year.
        gain: What the best trained network earned beyond its exposure to the start, net of costs, in per cent a year,
            whether it was kept or not.
        gain_error: Standard error of `gain`.
        p_value: Chance that the trained networks would show as much skill before costs if they had none, the choice
            among them allowed for.
    """

    step: int
    utility: float
    gain: float
    gain_error: float
    p_value: float

    @property
    def untrained(self) -> bool:
        """Whether the untrained start was kept: equal weights, whatever the agent is called."""
        return self.step == 0
