"""What looks wrong in the series of one symbol although every row is possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.prices.row_checks import Problem
from alfred.typing import FloatArray

STALE_SESSIONS = 5
"""Closes in a row that are equal to the last digit before they count as stale."""

LONGEST_HALT = 126
"""Missing sessions after which a ticker counts as used again, where the sessions have no regular spacing."""

_SPLIT_RATIOS = np.array([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100])
_LOG_RATIOS = np.log(np.concatenate([_SPLIT_RATIOS, 1 / _SPLIT_RATIOS]))
_SPLIT_TOLERANCE = 0.06
_SPLIT_TOLERANCE_CLOSES_ONLY = 0.03
_SPLIT_DEVIATIONS = 4.0
# Trading that marks an event, as a multiple of the usual. News moves a price by a factor of 2 now and then, and by one
# of 3 or more hardly ever, so that more is needed to believe in it.
_BUSY, _VERY_BUSY, _LARGE_RATIO = 3.0, 8.0, 2.5


@dataclass(frozen=True, eq=False)
class Series:
    """The rows of one symbol, sorted by date, each date once.

    Attributes:
        symbol: The symbol.
        dates: `[t]`.
        values: By field (`close`, and what else there is), each `[t]`; on a total-return basis where known.
        printed_close: The close before any adjustment for dividends, `[t]`.
    """

    symbol: str
    dates: pd.DatetimeIndex
    values: Mapping[str, FloatArray]
    printed_close: FloatArray


def find_suspicions(series: Series, sessions: pd.DatetimeIndex, longest_halt: int = LONGEST_HALT) -> Iterator[Problem]:
    """Yield what looks wrong in a series.

    Args:
        series: The rows of one symbol.
        sessions: The sessions that it should have between its first and last row.
        longest_halt: Missing sessions after which a market takes what follows for another listing.

    Yields:
        `split`: a jump by a split ratio without the trading of an event (value: close over last close);
        `stale`: closes that repeat (first session, value: how many are equal); `zero_volume`: sessions without a
        trade (first of a run, value: how many); `gap`: missing sessions (first of a run, value: how many);
        `new_listing`: so many missing sessions that the ticker looks used again (the same).
    """
    close = series.values["close"]
    for row in find_split_jumps(series):
        yield Problem(series.symbol, series.dates[row], "split", float(close[row] / close[row - 1]), "close")
    for start, length in _find_runs(np.diff(series.printed_close, prepend=np.nan) == 0):
        if length + 1 >= STALE_SESSIONS:
            yield Problem(series.symbol, series.dates[start - 1], "stale", float(length + 1), "close")
    if "volume" in series.values:
        for start, length in _find_runs(series.values["volume"] == 0):
            yield Problem(series.symbol, series.dates[start], "zero_volume", float(length), "volume")
    expected = sessions[(sessions >= series.dates[0]) & (sessions <= series.dates[-1])]
    for start, length in _find_runs(~expected.isin(series.dates)):
        kind = "gap" if length <= longest_halt else "new_listing"
        yield Problem(series.symbol, expected[start], kind, float(length))


def find_split_jumps(series: Series) -> npt.NDArray[np.int64]:
    """Return the rows whose jump looks like a split that the source did not adjust for.

    The close, and the open where known, must lie near a split ratio of the last close; the jump must exceed four
    standard deviations of the 60 rows before; and the trading must be ordinary: a company whose price halves on news
    trades many times its usual volume, one whose shares are merely counted anew does not.
    """
    close = series.values["close"]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.log(np.where(close > 0, close, np.nan))
        jump = np.diff(logs, prepend=np.nan)
        deviation = pd.Series(jump).rolling(60, min_periods=10).std().shift().fillna(0.0).to_numpy()
        seen, tolerance = jump, _SPLIT_TOLERANCE_CLOSES_ONLY
        if "open" in series.values:
            tolerance = _SPLIT_TOLERANCE
            opened = series.values["open"]
            seen = np.log(np.where(opened > 0, opened, np.nan)) - np.roll(logs, 1)
        nearest = _LOG_RATIOS[np.argmin(np.abs(np.nan_to_num(seen)[:, None] - _LOG_RATIOS), axis=1)]
        suspect = (np.abs(seen - nearest) <= tolerance) & (np.abs(jump) > _SPLIT_DEVIATIONS * deviation)
        suspect &= np.abs(jump - nearest) <= np.maximum(tolerance, 3 * deviation)
        if "volume" in series.values:
            volume = series.values["volume"]
            limit = np.where(np.abs(nearest) > np.log(_LARGE_RATIO), _VERY_BUSY, _BUSY)
            suspect &= np.minimum(_compare(volume), _compare(volume * close)) < limit
    suspect[:1] = False
    return np.flatnonzero(suspect)


def _compare(values: FloatArray) -> FloatArray:
    """Return each value over the median of the 20 before; 0 where there are none to compare with."""
    usual = pd.Series(values).rolling(20, min_periods=5).median().shift()
    ratio: FloatArray = (values / usual).fillna(0.0).to_numpy()
    return ratio


def _find_runs(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield start and length of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(start), int(stop - start)
