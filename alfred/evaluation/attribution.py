"""How a forecast is shared out among its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Method = Literal["integrated gradients", "SHAP"]

COMPLETE = 0.01
"""Parts that miss the whole by more than this share of its size do not add up."""


@dataclass(frozen=True)
class InputShare:
    """What one input adds to forecasts.

    Attributes:
        name: The input.
        size: Mean absolute part, in units of the window's volatility over the horizon.
        mean: Mean part.
    """

    name: str
    size: float
    mean: float


@dataclass(frozen=True)
class Attribution:
    """The forecasts of one model at one horizon, shared out.

    Attributes:
        analyst: Who forecasts.
        method: How.
        horizon: Sessions ahead.
        n_windows: Forecasts that were shared out.
        inputs: One entry an input.
        gap: Largest distance of the sum of the parts from the forecast less that of the reference, over the root mean
            square of those differences: zero when parts are complete.
    """

    analyst: str
    method: Method
    horizon: int
    n_windows: int
    inputs: Sequence[InputShare]
    gap: float

    @property
    def adds_up(self) -> bool:
        """Whether the parts are complete."""
        return self.gap <= COMPLETE

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {**asdict(self), "adds_up": self.adds_up}
