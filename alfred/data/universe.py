"""Choosing a universe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.data.market import Market
from alfred.data.point_in_time.members import find_members
from alfred.errors import DataError
from alfred.typing import FloatArray

_PIECE = 256  # symbols at once


@dataclass(frozen=True)
class Pick:
    """One symbol of an uncorrelated universe.

    Attributes:
        symbol: The symbol.
        mean_correlation: Mean absolute correlation with the symbols picked before it; NaN for the first.
        max_correlation: Largest absolute correlation with them; NaN for the first.
        n_returns: Daily returns that it has.
    """

    symbol: str
    mean_correlation: float
    max_correlation: float
    n_returns: int

    def to_dict(self) -> dict[str, object]:
        """Return the pick as plain values for JSON; null where there is nothing to correlate with."""
        known = np.isfinite(self.mean_correlation)
        return {
            "symbol": self.symbol,
            "mean_correlation": self.mean_correlation if known else None,
            "max_correlation": self.max_correlation if known else None,
            "n_returns": self.n_returns,
        }


def pick_uncorrelated(market: Market, start: str, count: int, min_history_days: int = 756) -> tuple[Pick, ...]:
    """Pick greedily the symbols least correlated with those already picked.

    Each step takes the symbol whose absolute correlation of daily log returns with the picked ones is smallest in the
    mean. A correlation is taken over the sessions that both symbols have; one over fewer than `min_history_days`
    rules the candidate out. The benchmark is not a candidate, and neither is what is no member of the universe on the
    last session. The choice reads the whole market: cut it with `market.until(date)` at the start of a backtest, or the
    universe is chosen with hindsight.

    Args:
        market: What may be known.
        start: The first pick.
        count: Symbols to pick, the first included.
        min_history_days: Returns that a pair must share.

    Raises:
        DataError: The start is unknown or too short, or there are not enough symbols with enough history.
    """
    first = market.index_of(start)
    if count < 1:
        raise DataError(f"{count} symbols cannot be picked; ask for at least 1")
    returns = market.log_returns()
    known = np.isfinite(returns)
    history = known.sum(axis=0)
    if history[first] < min_history_days:
        raise DataError(
            f"'{start}' has {history[first]} returns, fewer than min_history_days {min_history_days}; start elsewhere"
        )
    candidate = history >= min_history_days
    candidate &= find_members(market)[-1]
    candidate[[first, market.index_of(market.benchmark)]] = False
    picks = [Pick(start, float("nan"), float("nan"), int(history[first]))]
    total, largest, last = np.zeros(market.n_symbols), np.zeros(market.n_symbols), first
    for step in range(1, count):
        correlation, shared = _correlate_with(returns, known, last)
        candidate &= shared >= min_history_days
        total += correlation
        largest = np.maximum(largest, correlation)
        if not candidate.any():
            raise DataError(
                f"only {step} of {count} symbols can be picked: no other shares {min_history_days} returns with all of "
                f"{', '.join(pick.symbol for pick in picks)}; lower min_history_days or -n"
            )
        last = int(np.argmin(np.where(candidate, total, np.inf)))
        candidate[last] = False
        picks.append(Pick(market.symbols[last], float(total[last] / step), float(largest[last]), int(history[last])))
    return tuple(picks)


def _correlate_with(
    returns: FloatArray, known: npt.NDArray[np.bool_], column: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the absolute correlation of each symbol with one, and the returns that they share, both `[N]`."""
    rows = np.flatnonzero(known[:, column])
    own = returns[rows, column].astype(np.float64)[:, None]
    parts = []
    # A piece at a time: the memory of a scan is that of the returns, whatever the number of symbols.
    for start in range(0, returns.shape[1], _PIECE):
        piece = slice(start, start + _PIECE)
        both = known[rows, piece]
        other = np.where(both, returns[rows, piece], 0.0).astype(np.float64)
        shared = both.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            own_mean, other_mean = (own * both).sum(axis=0) / shared, other.sum(axis=0) / shared
            covariance = (own * other).sum(axis=0) / shared - own_mean * other_mean
            own_variance = (own**2 * both).sum(axis=0) / shared - own_mean**2
            other_variance = (other**2).sum(axis=0) / shared - other_mean**2
            correlation = np.abs(covariance) / np.sqrt(own_variance * other_variance)
        # A constant series is correlated with nothing, and useless: it must not win.
        parts.append((np.where(np.isfinite(correlation), correlation, 1.0), shared))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
