"""The measures of forecasts, accumulated batch by batch.

Axes legend: B batch (any shape), Q quantile levels. An accumulator takes batches in any number and order, two of them
can be merged (of two processes, or of two symbols), and what is read at the end is what the functions on whole arrays
return, up to rounding. Variances are merged with the deviations from each mean (Chan, Golub and LeVeque, 1979), which
does not cancel as sums of squares do. Only the AUC needs all scores at once: it is read off histograms, with a bound of
the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from alfred.errors import ConfigError
from alfred.evaluation.forecasts.accumulators import (
    ClassificationAccumulator,
    DistributionAccumulator,
    PointAccumulator,
)
from alfred.evaluation.forecasts.classification import ClassificationScores
from alfred.evaluation.forecasts.distributions import DistributionScores
from alfred.evaluation.forecasts.errors import PointScores
from alfred.typing import FloatArray

__all__ = [
    "ClassificationAccumulator",
    "DistributionAccumulator",
    "ForecastAccumulator",
    "ForecastScores",
    "PointAccumulator",
]


class ForecastScores(NamedTuple):
    """Everything that a `ForecastAccumulator` measured; None for what it was not given.

    Attributes:
        point: Of the size of the return.
        direction: Of rises and falls.
        distribution: Of the quantiles.
    """

    point: PointScores
    direction: ClassificationScores | None
    distribution: DistributionScores | None


class ForecastAccumulator:
    """Accumulates all measures of one forecaster at one horizon.

    Attributes:
        point: Errors of the forecast.
        direction: Calls of rises and falls.
        distribution: Of the quantiles, None without levels.
    """

    def __init__(self, levels: Sequence[float] = ()) -> None:
        """Start with no pair; `levels` are those of the quantiles, `[Q]`, empty where there are none."""
        self.point, self.direction = PointAccumulator(), ClassificationAccumulator()
        self.distribution = DistributionAccumulator(levels) if len(levels) else None

    def update(
        self,
        forecast: FloatArray,
        outcome: FloatArray,
        *,
        close: FloatArray | None = None,
        probability: FloatArray | None = None,
        quantiles: FloatArray | None = None,
    ) -> Self:
        """Add a batch.

        Args:
            forecast: Log returns, `[B]`; NaN where unknown, as in all of them.
            outcome: Log returns, `[B]`.
            close: Closes at the dates of the forecasts, `[B]`, for the error in the unit of prices.
            probability: Probability of a rise, `[B]`.
            quantiles: `[B, Q]`.

        Raises:
            ConfigError: There are quantiles, but no levels were named.
            DataError: The shapes disagree, or a probability is outside [0, 1].
        """
        if quantiles is not None and self.distribution is None:
            raise ConfigError("there are quantiles, but no levels were named; give them to ForecastAccumulator(levels)")
        self.point.update(forecast, outcome, close)
        if probability is not None:
            self.direction.update(probability, outcome)
        if quantiles is not None and self.distribution is not None:
            self.distribution.update(quantiles, outcome)
        return self

    def merge(self, other: ForecastAccumulator) -> Self:
        """Add everything that another accumulator has seen; it is left as it is.

        Raises:
            ConfigError: The levels differ.
        """
        mine, theirs = (one.distribution.levels if one.distribution else () for one in (self, other))
        if mine != theirs:
            raise ConfigError(f"levels are {mine} in one accumulator and {theirs} in the other; make them equal")
        self.point.merge(other.point)
        self.direction.merge(other.direction)
        if self.distribution is not None and other.distribution is not None:
            self.distribution.merge(other.distribution)
        return self

    def compute(self) -> ForecastScores:
        """Return the measures of everything so far."""
        direction = self.direction.compute()
        distribution = None if self.distribution is None else self.distribution.compute()
        return ForecastScores(
            point=self.point.compute(),
            direction=direction if direction.n else None,
            distribution=distribution if distribution is not None and distribution.n else None,
        )
