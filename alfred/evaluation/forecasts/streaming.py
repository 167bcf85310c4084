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

import numpy as np

from alfred.errors import ConfigError
from alfred.evaluation.forecasts.classification import CALL, ClassificationScores, compute_binned_auc, select_calls
from alfred.evaluation.forecasts.distributions import (
    CENTRAL,
    N_BINS,
    DistributionScores,
    compute_pinball_losses,
    compute_pit,
    count_pit,
    find_interval,
    make_crps_weights,
    select_windows,
)
from alfred.evaluation.forecasts.errors import PointScores, divide
from alfred.evaluation.forecasts.point_accumulator import PointAccumulator
from alfred.typing import Float, FloatArray

__all__ = ["ClassificationAccumulator", "DistributionAccumulator", "ForecastAccumulator", "PointAccumulator"]

N_AUC_BINS = 10_000


class ClassificationAccumulator:
    """Accumulates what `compute_classification_scores` returns, the AUC from a histogram of the probability.

    Attributes:
        n_bins: Equal bins of [0, 1]; probabilities in one bin count as equal in the AUC and nowhere else.
    """

    def __init__(self, n_bins: int = N_AUC_BINS) -> None:
        """Start with no pair.

        Raises:
            ConfigError: There is no bin.
        """
        if n_bins < 1:
            raise ConfigError(f"n_bins is {n_bins}; the histogram of probabilities needs 1 bin at least")
        self.n_bins = n_bins
        # By outcome (fall, rise): by bin, and by call (fall, rise).
        self._bins, self._calls, self._squares = np.zeros((2, n_bins)), np.zeros((2, 2)), 0.0

    def update(self, probability: FloatArray, outcome: FloatArray) -> Self:
        """Add a batch of probabilities of a rise and of log returns, `[B]`.

        Raises:
            DataError: The shapes differ, or a probability is outside [0, 1].
        """
        chances, rises = select_calls(probability, outcome)
        position = np.minimum((chances * self.n_bins).astype(np.int64), self.n_bins - 1)
        np.add.at(self._bins, (rises.astype(np.int64), position), 1)
        np.add.at(self._calls, (rises.astype(np.int64), (chances > CALL).astype(np.int64)), 1)
        self._squares += float(((chances - rises) ** 2).sum())
        return self

    def merge(self, other: ClassificationAccumulator) -> Self:
        """Add everything that another accumulator has seen; it is left as it is.

        Raises:
            ConfigError: The bins differ.
        """
        if other.n_bins != self.n_bins:
            raise ConfigError(
                f"n_bins is {self.n_bins} in one accumulator and {other.n_bins} in the other; make them equal"
            )
        self._bins, self._calls = self._bins + other._bins, self._calls + other._calls
        self._squares += other._squares
        return self

    @property
    def auc_error(self) -> float:
        """By how much the AUC may be off at most; see `compute_binned_auc`."""
        return compute_binned_auc(self._bins[0], self._bins[1])[1]

    def compute(self) -> ClassificationScores:
        """Return the measures of everything so far."""
        (right_falls, false_rises), (missed, right_rises) = self._calls.tolist()
        n = right_falls + false_rises + missed + right_rises
        return ClassificationScores(
            n=int(n),
            base_rate=divide(missed + right_rises, n),
            accuracy=divide(right_falls + right_rises, n),
            precision=divide(right_rises, right_rises + false_rises),
            recall=divide(right_rises, right_rises + missed),
            f1=divide(2 * right_rises, 2 * right_rises + false_rises + missed),
            auc=compute_binned_auc(self._bins[0], self._bins[1])[0],
            brier=divide(self._squares, n),
        )


class DistributionAccumulator:
    """Accumulates what `compute_distribution_scores` returns.

    Attributes:
        levels: Quantile levels, `[Q]`.
        share: What the central interval should hold.
        n_bins: Bins of the PIT histogram.
    """

    def __init__(self, levels: Sequence[float], *, share: float = CENTRAL, n_bins: int = N_BINS) -> None:
        """Start with no pair."""
        self.levels, self.share, self.n_bins = tuple(levels), share, n_bins
        self._interval = find_interval(levels, share)
        # Pinball losses by level; pairs inside the interval, and its width; pairs by bin.
        self._losses, self._inside, self._widths = np.zeros(len(self.levels)), 0, 0.0
        self._bins, self.n = np.zeros(n_bins), 0

    def update(self, quantiles: FloatArray, outcome: FloatArray) -> Self:
        """Add a batch of quantiles, `[B, Q]`, and of log returns, `[B]`.

        Raises:
            DataError: There are fewer than two levels, or the shapes disagree.
        """
        values, came = select_windows(quantiles, outcome, self.levels)
        self._losses = self._losses + compute_pinball_losses(values, came, self.levels).sum(axis=0)
        self._bins = self._bins + count_pit(compute_pit(values, came, self.levels), self.n_bins)
        if self._interval is not None:
            low, high = (values[:, place] for place in self._interval)
            self._inside += int(((low <= came) & (came <= high)).sum())
            self._widths += float((high - low).sum())
        self.n += len(came)
        return self

    def merge(self, other: DistributionAccumulator) -> Self:
        """Add everything that another accumulator has seen; it is left as it is.

        Raises:
            ConfigError: The levels, the interval or the bins differ.
        """
        mine, theirs = ((one.levels, one.share, one.n_bins) for one in (self, other))
        if mine != theirs:
            raise ConfigError(
                f"levels, share and n_bins are {mine} in one accumulator and {theirs} in the other; make them equal"
            )
        self._losses, self._bins = self._losses + other._losses, self._bins + other._bins
        self._inside, self._widths, self.n = (
            self._inside + other._inside,
            self._widths + other._widths,
            self.n + other.n,
        )
        return self

    def compute(self) -> DistributionScores:
        """Return the measures of everything so far."""
        by_level: Float = self._losses / self.n if self.n else np.full(len(self.levels), np.nan)
        given = self.n if self._interval is not None else 0
        return DistributionScores(
            n=self.n,
            pinball=float(by_level.mean()),
            pinball_by_level=by_level,
            crps=float(by_level @ make_crps_weights(self.levels)),
            coverage=divide(self._inside, given),
            width=divide(self._widths, given),
            pit_histogram=self._bins / self.n if self.n else np.full(self.n_bins, np.nan),
        )


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
