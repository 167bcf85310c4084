"""What a training ended with: a network that it trained, or the start that it never did better than."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """Which network a training kept, and why.

    Utilities are those of `alfred.training.curves.compute_utility`, in per cent a year, on sessions that the network
    was not trained on.

    Attributes:
        step: Environment steps after which the network stood as it was kept; 0 is the untrained start.
        utility: Its validation utility.
        gain: Validation utility of the best trained network less that of the start, whether it was kept or not.
        gain_error: Standard error of `gain`.
    """

    step: int
    utility: float
    gain: float
    gain_error: float

    @property
    def untrained(self) -> bool:
        """Whether the untrained start was kept: equal weights, whatever the agent is called."""
        return self.step == 0
