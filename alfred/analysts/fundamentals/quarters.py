"""Windows as sequences of quarterly reports, each with what was known on the session that learnt of it.

Axes legend: B windows, C context length, Q quarters, F columns, R reports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.analysts.fundamentals.settings import LOOKBACK_DAYS, QUARTER_DAYS, FundamentalsAnalystSettings, count_span
from alfred.data.contexts import Contexts
from alfred.data.features.rollup import AVERAGES_DAYS, MACRO_FIELDS
from alfred.data.market import Market
from alfred.data.point_in_time.fundamentals import EPS_FIELDS, MARGIN_FIELDS, REPORT_AGE
from alfred.data.point_in_time.members import find_members
from alfred.errors import DataError, suggest
from alfred.typing import BoolArray, Float, IntArray

_LEVEL = "market_level"
_PRICES = tuple(f"price_distance_{days}" for days in AVERAGES_DAYS)
_VOLUMES = tuple(f"volume_distance_{days}" for days in AVERAGES_DAYS)
COMPUTED = (*_PRICES, *_VOLUMES, "quarter_return", "market_return")
"""Computed at each report: price and volume over their averages less 1, and the returns of the symbol and of the mean
of all symbols over the quarter before."""

# Figures in dollars a share do not compare across companies, nor across sources of different share bases.
_REPORTED = (EPS_FIELDS[-1], *MARGIN_FIELDS)
_INSIDERS = "insider"

FEWEST_RETURNS = 20
"""Returns before a report without which it has no forecast: its volatility would not be known."""

VOLATILITY_DAYS = 126


@dataclass(frozen=True, eq=False)
class Quarters:
    """Reports of windows, the latest last.

    Attributes:
        values: What was known at each, `[B, Q, F]`; NaN where it is not known.
        present: Whether there was a report, `[B, Q]`.
        standing: Whether a forecast stands on the date of the window, `[B]`: there is a latest report that has not
            lapsed, with enough returns before it.
        volatility: Root mean square of the daily log returns in half a year before the latest report, or before the
            date of the window where none stands, `[B]`; at least one basis point.
    """

    values: Float
    present: BoolArray
    standing: BoolArray
    volatility: Float


def choose_columns(market: Market, settings: FundamentalsAnalystSettings) -> tuple[str, ...]:
    """Return the columns that are read at each report.

    Raises:
        DataError: The market has no reports, or not a column that was named.
    """
    if REPORT_AGE not in market.extras:
        raise DataError(
            f"analyst '{settings.label}' reads quarterly reports, and this market has none; name a table of them with "
            "data.fundamentals.path"
        )
    reported = [name for figure in _REPORTED for name in (figure, f"{figure}_delta")]
    insiders = [name for name in market.extras if name.startswith(_INSIDERS)]
    offered = [name for name in (*reported, *insiders, *MACRO_FIELDS) if name in market.extras]
    offered += [name for name in COMPUTED if name not in _VOLUMES or market.volume is not None]
    if settings.columns is None:
        return tuple(offered)
    known = (*offered, *(name for name in market.extras if name not in offered))
    for name in settings.columns:
        if name not in known:
            raise DataError(
                f"analyst '{settings.label}' reads the column '{name}', which this market does not have; it has "
                f"{', '.join(known)}.{suggest(name, known)}"
            )
    return settings.columns


def list_fields(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields of a window from which the columns can be read."""
    fields = ["close", REPORT_AGE]
    fields += ["volume"] if set(columns) & set(_VOLUMES) else []
    fields += [_LEVEL] if "market_return" in columns else []
    return (*fields, *(name for name in columns if name not in COMPUTED and name not in fields))


def find_reports(market: Market) -> tuple[IntArray, IntArray]:
    """Return row and column of every session that learnt of a report of a symbol that trades and is a member, `[R]`."""
    fresh = (market.field(REPORT_AGE) == 0) & market.tradable & find_members(market)
    rows, columns = np.nonzero(fresh)
    return rows, columns


def read_quarters(contexts: Contexts, columns: tuple[str, ...], settings: FundamentalsAnalystSettings) -> Quarters:
    """Read the reports of each window, and nothing of what came after the latest one.

    What is read does not depend on the date of the window but on the date of its latest report, to the last digit.

    Args:
        contexts: Windows with the fields of `list_fields`.
        columns: What is read at each report.
        settings: How many quarters, and when a report lapses.
    """
    n_bars = contexts.context_length
    fresh = contexts.field(REPORT_AGE) == 0
    found = fresh.any(axis=1)
    last = np.where(found, n_bars - 1 - np.argmax(fresh[:, ::-1], axis=1), n_bars - 1)
    bars = np.arange(n_bars)
    # What is older may have left the window by the time that the forecast lapses, and so it is never read.
    fresh = fresh & (bars >= (last - count_span(settings.quarters))[:, None]) & (bars >= LOOKBACK_DAYS - 1)
    places = np.sort(np.where(fresh, bars, -1), axis=1)[:, -settings.quarters :]
    present = places >= 0
    at = np.where(present, places, LOOKBACK_DAYS - 1)
    close = _carry(contexts.field("close").astype(np.float64))
    values = np.stack([_read(name, contexts, close, at) for name in columns], axis=2)
    values = np.where(np.isfinite(values) & present[:, :, None], values, np.nan)
    standing = present[:, -1] & (n_bars - 1 - last < settings.stale_after_days)
    volatility, n_returns = _measure_volatility(close, np.where(standing, last, n_bars - 1))
    standing &= n_returns >= FEWEST_RETURNS
    return Quarters(values, present, standing, volatility)


def _read(name: str, contexts: Contexts, close: Float, at: IntArray) -> Float:
    """Return one column at some bars of each window, `[B, Q]`."""
    rows = np.arange(len(at))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        if name in _PRICES:
            return _compute_distance(close, at, int(name.rpartition("_")[2]))
        if name in _VOLUMES:
            volume = contexts.field("volume").astype(np.float64)
            return _compute_distance(volume, at, int(name.rpartition("_")[2]))
        if name in COMPUTED:
            level = close if name == "quarter_return" else contexts.field(_LEVEL).astype(np.float64)
            return np.asarray(level[rows, at] / level[rows, at - QUARTER_DAYS] - 1)
        return contexts.field(name)[rows, at].astype(np.float64)


def _compute_distance(series: Float, at: IntArray, days: int) -> Float:
    """Return a series over its mean of some bars less 1, at least half of which must be known, `[B, Q]`."""
    windows = np.lib.stride_tricks.sliding_window_view(series, days, axis=1)
    window = windows[np.arange(len(at))[:, None], at - days + 1]
    known = np.isfinite(window)
    count = known.sum(axis=2)
    mean = np.where(known, window, 0.0).sum(axis=2) / count
    return np.where(count >= (days + 1) // 2, window[:, :, -1] / mean - 1, np.nan)


def _carry(close: Float) -> Float:
    """Return closes carried over halts, `[B, C]`."""
    last = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(close.shape[1]), -1), axis=1)
    return np.where(last >= 0, np.take_along_axis(close, np.maximum(last, 0), axis=1), np.nan)


def _measure_volatility(close: Float, last: IntArray) -> tuple[Float, npt.NDArray[np.int64]]:
    """Return the root mean square of the returns up to some bar of each window, and their number, each `[B]`."""
    padded = np.concatenate([np.full((len(close), VOLATILITY_DAYS), np.nan), close], axis=1)
    window = padded[np.arange(len(close))[:, None], last[:, None] + np.arange(VOLATILITY_DAYS + 1)]
    returns = np.diff(np.log(window), axis=1)
    known = np.isfinite(returns)
    count = known.sum(axis=1)
    square = np.where(known, returns, 0.0) ** 2
    return np.maximum(np.sqrt(square.sum(axis=1) / np.maximum(count, 1)), 1e-4), count
