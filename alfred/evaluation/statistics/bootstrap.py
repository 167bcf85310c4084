"""Luck by resampling: the stationary bootstrap of returns by session, and the bootstrap over seeds.

Axes legend: T dates, S series, R replicates. Every series is resampled with the same dates, so that a difference
between two of them keeps their correlation (paired resampling).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.errors import DataError
from alfred.evaluation.portfolio_metrics import DAYS_PER_YEAR, find_rounding
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.block_length import compute_block_lengths
from alfred.jit import jit
from alfred.typing import FloatArray

# Wealth after ruin, in place of zero: its logarithm is finite, so a replicate without the ruinous day is not NaN.
_RUINED = 1e-300
# Far more than rounding moves a drawdown, far less than one differs from the next.
_ROOM = 1e-9
_ABREAST = 8  # replicates of a path that are computed at once


class Replicates(NamedTuple):
    """What each series would have shown in resampled histories.

    Attributes:
        sharpe: Annualised Sharpe ratios in excess of cash, `[R, S]`; NaN for a constant series.
        cagr: Compound annual growth rates of net returns, `[R, S]`.
        volatility: Annualised standard deviations of net returns, `[R, S]`.
    """

    sharpe: FloatArray
    cagr: FloatArray
    volatility: FloatArray


def choose_mean_block(settings: IntervalSettings, returns: FloatArray) -> float:
    """Return the mean block of the stationary bootstrap, in sessions: as it is set, or read off the returns.

    The longest that any series asks for, of its returns and of their squares: volatility comes in clusters, on which
    the intervals of volatility and drawdown depend. At most a tenth of the history.

    Args:
        settings: May name the length.
        returns: Returns by session, `[T, S]`.
    """
    if settings.mean_block_days is not None:
        return settings.mean_block_days
    asked = [compute_block_lengths(values).stationary for column in returns.T for values in (column, column**2)]
    return float(max(1.0, min(max(asked), len(returns) / 10)))


def make_stationary_indices(
    n_dates: int, n_replicates: int, mean_block: float, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the rows of stationary bootstrap replicates (Politis and Romano, 1994), `[R, T]`.

    Blocks start anywhere with equal chance, have geometric lengths and wrap around the end of the sample.

    Args:
        n_dates: Length T of the series.
        n_replicates: Replicates R.
        mean_block: Mean block length in rows; 1 is the ordinary bootstrap.
        generator: Source of randomness.
    """
    shape = (n_replicates, n_dates)
    restart = generator.random(shape) < 1.0 / mean_block
    restart[:, 0] = True
    rows = generator.integers(0, n_dates, shape)
    _run_on(rows, restart)
    return rows


@jit
def _run_on(rows: npt.NDArray[np.int64], restart: npt.NDArray[np.bool_]) -> None:
    """Let each block run on from its first row, in place, `[R, T]`; rows behind the last are those from the first."""
    n_replicates, n_dates = rows.shape
    for replicate in range(n_replicates):
        row = 0
        for step in range(n_dates):
            row = rows[replicate, step] if restart[replicate, step] else row + 1
            if row == n_dates:
                row = 0
            rows[replicate, step] = row


def count_rows(indices: npt.NDArray[np.int64]) -> FloatArray:
    """Return how often each row stands in each replicate, `[R, T]`.

    Any statistic made of sums over days needs only these counts: one matrix product resamples every series at once.
    """
    counts = np.zeros(indices.shape)
    _add_rows(indices, counts)
    return counts


@jit
def _add_rows(indices: npt.NDArray[np.int64], counts: FloatArray) -> None:
    for replicate in range(len(indices)):
        for row in indices[replicate]:
            counts[replicate, row] += 1.0


def resample_metrics(
    returns: FloatArray,
    indices: npt.NDArray[np.int64],
    periods_per_year: int = DAYS_PER_YEAR,
    cash: FloatArray | None = None,
) -> Replicates:
    """Recompute Sharpe ratio, CAGR and volatility on resampled dates, for all series at once.

    Args:
        returns: Net returns, `[T, S]`.
        indices: Rows of each replicate, `[R, T]`.
        periods_per_year: Sessions in a year.
        cash: What cash returned, `[T]` or `[T, S]`; nothing when left out. Sharpe ratios are in excess of it.
    """
    counts = count_rows(indices)
    growth = counts @ np.log(np.maximum(1.0 + returns, _RUINED))
    excess = returns if cash is None else returns - (cash[:, None] if cash.ndim == 1 else cash)
    mean, deviation = _resample_moments(excess, counts)
    volatility = deviation if cash is None else _resample_moments(returns, counts)[1]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        has_spread = deviation > find_rounding(excess)
        sharpe = np.where(has_spread, mean / np.where(has_spread, deviation, 1.0) * np.sqrt(periods_per_year), np.nan)
        cagr = np.expm1(growth * periods_per_year / len(returns))
    return Replicates(sharpe, cagr, volatility * np.sqrt(periods_per_year))


def _resample_moments(returns: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means and standard deviations of replicates, `[R, S]` each."""
    n_dates = len(returns)
    # Moments around the sample mean: the sum of squares then loses no digits.
    centre = returns.mean(axis=0)
    shift = counts @ (returns - centre) / n_dates
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (counts @ (returns - centre) ** 2 - n_dates * shift**2) / np.float64(n_dates - 1)
    return centre + shift, np.sqrt(np.maximum(variance, 0.0))


def resample_max_drawdown(returns: FloatArray, indices: npt.NDArray[np.int64]) -> FloatArray:
    """Recompute the worst drawdown of one series `[T]` on resampled dates, `[R]`."""
    return _find_worst(np.maximum(1.0 + returns, 0.0), indices)


@jit
def _find_worst(growth: FloatArray, indices: npt.NDArray[np.int64]) -> FloatArray:
    """Return the worst drawdown of resampled growth `[T]`, `[R]`; see `compute_drawdowns`.

    A few replicates run side by side: each waits for the product of the session before, and fills the others' waits.
    """
    n_replicates, n_dates = indices.shape
    worst = np.zeros(n_replicates)
    wealth, peak, least = np.empty(_ABREAST), np.empty(_ABREAST), np.empty(_ABREAST)
    for first in range(0, n_replicates, _ABREAST):
        count = min(_ABREAST, n_replicates - first)
        wealth[:], peak[:], least[:] = 1.0, 1.0, 0.0
        for step in range(n_dates):
            for place in range(count):
                now = wealth[place] * growth[indices[first + place, step]]
                wealth[place] = now
                if now > peak[place]:
                    peak[place] = now
                # A division takes longer than all the rest, and few sessions can be the worst.
                if now < peak[place] * (1.0 + least[place] + _ROOM):
                    least[place] = min(least[place], now / peak[place] - 1.0)
        worst[first : first + count] = least[:count]
    return worst


def compute_interval(replicates: FloatArray, level: float) -> tuple[float, float]:
    """Return the percentile interval of replicates `[R]`; NaN when any replicate is NaN."""
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class SeedSummary(NamedTuple):
    """A score over seeds.

    Attributes:
        mean: Interquartile mean: the mean of the middle half (of all, with fewer than four seeds).
        low: Lower end of its interval.
        high: Upper end of its interval.
    """

    mean: float
    low: float
    high: float


def summarise_seeds(scores: npt.ArrayLike, settings: IntervalSettings) -> SeedSummary:
    """Return the interquartile mean of a score over seeds with its bootstrap interval (Agarwal et al., 2021).

    The interval speaks of the luck of training, on this one history; it says nothing about another history.

    Args:
        scores: One score for each seed.
        settings: Level, replicates and seed of the bootstrap.

    Raises:
        DataError: There is not a score.
    """
    # scipy.stats takes half a second to load, and a report without seeds needs nothing of it.
    from scipy import stats

    values = np.asarray(scores, dtype=float)
    if not values.size:
        raise DataError("there is no seed to summarise; pass at least one score")
    rows = np.random.default_rng(settings.seed).integers(0, len(values), (settings.n_replicates, len(values)))
    low, high = compute_interval(stats.trim_mean(values[rows], 0.25, axis=1), settings.level)
    return SeedSummary(float(stats.trim_mean(values, 0.25)), low, high)
