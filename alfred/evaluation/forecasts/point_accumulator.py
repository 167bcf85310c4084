"""The errors of point forecasts, accumulated batch by batch; see `streaming`."""

from __future__ import annotations

from typing import Self

import numpy as np

from alfred.evaluation.forecasts.errors import (
    PointScores,
    check_shapes,
    compute_percentage_errors,
    divide,
    select_pairs,
)
from alfred.typing import FloatArray

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
        if close is None:
            price_errors = np.zeros(0)
        else:
            check_shapes(forecast=forecast, close=close)
            prices = np.asarray(close, dtype=np.float64)[np.isfinite(forecast) & np.isfinite(outcome)]
            priced = np.isfinite(prices)
            price_errors = prices[priced] * compute_percentage_errors(f[priced], y[priced]) / 100
        if not len(f):
            return self
        batch, pairs = PointAccumulator(), np.stack([f, y])
        batch.n, batch._means = len(f), pairs.mean(axis=1)
        deviations = pairs - batch._means[:, None]
        batch._scatter = deviations @ deviations.T
        batch._low, batch._high = pairs.min(axis=1), pairs.max(axis=1)
        with np.errstate(over="ignore"):
            price_percentages = 100 * np.abs(np.expm1(f - y))
        parts = (
            compute_percentage_errors(f, y),
            compute_percentage_errors(np.zeros_like(y), y),
            price_percentages,
            (f - y) ** 2,
            y**2,
            ((f > 0) == (y > 0)) & (f != 0),
            f != 0,
            price_errors,
            np.ones(len(price_errors)),
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
