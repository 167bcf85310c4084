"""How long the blocks of a bootstrap should be, read off the series itself.

Politis and White (2004), with the correction of Patton, Politis and White (2009): the flat-top window stops where the
correlogram has died out, and the length balances the bias of short blocks against the variance of long ones.

Axes legend: T dates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alfred.typing import FloatArray

_ROUNDING = 1e-12  # of the values: what sums of thousands of equal numbers are off by, and more


class BlockLengths(NamedTuple):
    """The best block lengths for the mean of a series, in rows; fractions are meant.

    Attributes:
        stationary: Mean length for the stationary bootstrap, whose blocks have random lengths.
        circular: Length for the circular block bootstrap.
    """

    stationary: float
    circular: float


def compute_block_lengths(series: FloatArray) -> BlockLengths:
    """Return the block lengths that minimise the error of the bootstrap's variance of the mean.

    Both lie between 1 and the smaller of 3 sqrt(T) and T / 3.

    Args:
        series: Values, `[T]`. Fewer than ten, or a series without spread, get blocks of one row.
    """
    n = len(series)
    centred = series - series.mean()
    # The mean of a constant is off by a rounding, which is no spread.
    if n < 10 or not np.abs(centred).max() > _ROUNDING * np.abs(series).max():
        return BlockLengths(1.0, 1.0)
    in_a_row = max(5, int(np.log10(n)))
    last = min(int(np.ceil(np.sqrt(n))) + in_a_row, n - 2)
    covariances = np.array([centred[lag:] @ centred[: n - lag] for lag in range(last + 1)]) / n
    window = 2 * max(_find_last_correlated_lag(centred, covariances, in_a_row), 1)
    window = min(window, last)
    lags = np.arange(1, window + 1)
    # The flat top: full weight on the first half of the window, then down to zero in a line.
    weights = np.minimum(1.0, 2 * (1 - lags / window))
    slope = 2 * float(weights * lags @ covariances[1 : window + 1])
    variance = float(covariances[0] + 2 * weights @ covariances[1 : window + 1])
    longest = float(np.ceil(min(3 * np.sqrt(n), n / 3)))
    if variance == 0:
        return BlockLengths(longest, longest)
    stationary = (slope**2 / variance**2 * n) ** (1 / 3)
    circular = (1.5 * slope**2 / variance**2 * n) ** (1 / 3)
    return BlockLengths(min(max(stationary, 1.0), longest), min(max(circular, 1.0), longest))


def _find_last_correlated_lag(centred: FloatArray, covariances: FloatArray, in_a_row: int) -> int:
    """Return the lag after which `in_a_row` autocorrelations in a row are insignificant; the last lag without one."""
    n = len(centred)
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    lags = np.arange(len(covariances))
    # Each sum of squares leaves out the row that has no partner at that lag.
    scale = np.sqrt(np.maximum((squares[n] - squares[lags + 1]) * squares[n - lags - 1], np.finfo(float).tiny))
    quiet = np.abs(covariances) * n / scale < 2 * np.sqrt(np.log10(n) / n)
    for lag in range(len(quiet) - in_a_row):
        if quiet[lag : lag + in_a_row].all():
            return lag
    return len(quiet)
