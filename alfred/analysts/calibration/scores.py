"""What scores are made of: the distribution of past scores, and the trailing volatility that scales them."""

from __future__ import annotations

import numpy as np

from alfred.typing import BoolArray, Float, FloatArray

# Bins of equal width in arcsinh(score / _FINE): linear near zero, two per cent wide above it, up to a score of 16,000.
_FINE, _WIDTH, _N_BINS = 0.01, 0.02, 750
_EDGES = _FINE * np.sinh(_WIDTH * np.arange(_N_BINS + 1))
_MIN_MOVES = 10


class ScoreDistribution:
    """The distribution of nonnegative scores, in which older ones count less and less.

    It is kept as a histogram, so that its size depends neither on the number of symbols nor on the length of the past.

    Axes legend: B scores, S scales, Q quantile levels.

    Attributes:
        counts: Decayed number of scores in each bin, `[S, 750]`.
    """

    def __init__(self, n_scales: int) -> None:
        """Start without scores."""
        self.counts = np.zeros((n_scales, _N_BINS))

    def decay(self, factor: float) -> None:
        """Let all scores so far count `factor` times as much."""
        self.counts *= factor

    def add(self, scores: FloatArray) -> None:
        """Count scores, `[B, S]`."""
        bins = np.minimum(np.arcsinh(scores / _FINE) / _WIDTH, _N_BINS - 1).astype(np.int64)
        for place, column in enumerate(bins.T):
            self.counts[place] += np.bincount(column, minlength=_N_BINS)

    def quantile(self, levels: FloatArray) -> Float:
        """Return the quantiles at levels in [0, 1) `[Q]`, one row a scale, `[S, Q]`; within a bin scores are even."""
        below = np.concatenate([np.zeros((len(self.counts), 1)), np.cumsum(self.counts, axis=1)], axis=1)
        found = [np.interp(levels, row / row[-1], _EDGES) for row in below]
        # Empty bins below the smallest score would all be a quantile of level zero.
        return np.where(levels > 0, np.stack(found), 0.0)


class TrailingVolatility:
    """Root mean square of past daily log returns with exponential weights, for each symbol at two speeds.

    The weights are those of RiskMetrics (J. P. Morgan, 1996): 0.94 from day to day for a daily horizon, and a slower
    0.985 beside it, which forecasts a month better. They are divided by their sum, so that a short past is not a small
    one.

    Axes legend: N symbols.
    """

    _DECAYS = np.array([0.94, 0.985])

    def __init__(self, n_symbols: int) -> None:
        """Start without prices."""
        self._last = np.full(n_symbols, np.nan)
        self._squares = np.zeros((n_symbols, len(self._DECAYS)))
        self._weights = np.zeros_like(self._squares)
        self._moves = np.zeros(n_symbols, dtype=np.int64)

    def observe(self, log_close: FloatArray) -> None:
        """Read the log closes of the next session, `[N]`; NaN where a symbol did not trade."""
        move = log_close - self._last
        known = np.isfinite(move)
        kept = np.where(known[:, None], self._DECAYS, 1.0)
        self._squares = kept * self._squares + (1 - kept) * np.where(known, move, 0.0)[:, None] ** 2
        self._weights = kept * self._weights + (1 - kept)
        self._moves += known
        self._last = np.where(np.isfinite(log_close), log_close, self._last)

    def read(self) -> Float:
        """Return the daily volatility, fast and slow, `[N, 2]`; NaN before ten returns are known."""
        known: BoolArray = (self._moves >= _MIN_MOVES)[:, None]
        return np.sqrt(np.where(known, self._squares / np.where(known, self._weights, 1.0), np.nan))
