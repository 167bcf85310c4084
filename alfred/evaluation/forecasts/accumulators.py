"""One accumulator for each kind of measure; see `streaming`, which holds them together.

Axes legend: B batch (any shape), Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

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
from alfred.evaluation.forecasts.errors import (
    PointScores,
    check_shapes,
    compute_percentage_errors,
    divide,
    select_pairs,
)
from alfred.typing import Float, FloatArray

N_AUC_BINS = 10_000
_NAN = float("nan")


class PointAccumulator:
    """Accumulates what `compute_point_scores` returns."""

    def __init__(self) -> None:
        """Start with no pair."""
        self.n = 0
        # Of forecast and outcome, in this order: means, sums of products of deviations from them, and the range.
        self._means, self._scatter = np.zeros(2), np.zeros((2, 2))
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        # Errors in per cent, the same of persistence, of the price that came; squared errors; squared outcomes; right
        # calls; calls; errors in price; pairs with a price.
        self._sums = np.zeros(9)

    def update(self, forecast: FloatArray, outcome: FloatArray, close: FloatArray | None = None) -> Self:
        """Add a batch of log returns, with the closes at the dates of the forecasts where prices are judged, `[B]`.

        Raises:
            DataError: The shapes differ.
        """
        f, y = select_pairs(forecast, outcome)
        prices = np.full(np.shape(forecast), np.nan) if close is None else np.asarray(close, dtype=np.float64)
        check_shapes(forecast=forecast, close=prices)
        prices = prices[np.isfinite(forecast) & np.isfinite(outcome)]
        priced = np.isfinite(prices)
        if not len(f):
            return self
        batch, pairs = PointAccumulator(), np.stack([f, y])
        batch.n, batch._means = len(f), pairs.mean(axis=1)
        deviations = pairs - batch._means[:, None]
        batch._scatter = deviations @ deviations.T
        batch._low, batch._high = pairs.min(axis=1), pairs.max(axis=1)
        with np.errstate(over="ignore"):
            price_percentages = 100 * np.abs(np.expm1(f - y))
        errors = compute_percentage_errors(f, y)
        parts = (
            errors,
            compute_percentage_errors(np.zeros_like(y), y),
            price_percentages,
            (f - y) ** 2,
            y**2,
            ((f > 0) == (y > 0)) & (f != 0),
            f != 0,
            prices[priced] * errors[priced] / 100,
            priced,
        )
        batch._sums = np.array([float(part.sum()) for part in parts])
        return self.merge(batch)

    def merge(self, other: PointAccumulator) -> Self:
        """Add everything that another accumulator has seen; it is left as it is."""
        if not other.n:
            return self
        n, distance = self.n + other.n, other._means - self._means
        self._scatter = self._scatter + other._scatter + np.outer(distance, distance) * (self.n / n * other.n)
        self._means = self._means + distance * (other.n / n)
        self._low, self._high = np.minimum(self._low, other._low), np.maximum(self._high, other._high)
        self._sums, self.n = self._sums + other._sums, n
        return self

    def compute(self) -> PointScores:
        """Return the measures of everything so far."""
        errors, naive, mape, squares, moves, hits, calls, price_errors, priced = map(float, self._sums)
        (spread, together), (_, own) = self._scatter.tolist()
        forecasts_differ, outcomes_differ = self._high > self._low
        return PointScores(
            n=self.n,
            percentage_mae=divide(errors, self.n),
            naive_percentage_mae=divide(naive, self.n),
            skill_pct=100 * (1 - divide(errors, naive)),
            price_mae=divide(price_errors, priced),
            mape_pct=divide(mape, self.n),
            rmse=float(np.sqrt(divide(squares, self.n))),
            r2_against_mean=1 - divide(squares, own) if outcomes_differ else _NAN,
            r2_against_zero=1 - divide(squares, moves),
            pearson=divide(together, float(np.sqrt(spread * own))) if forecasts_differ and outcomes_differ else _NAN,
            sign_accuracy=divide(hits, calls),
        )


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
