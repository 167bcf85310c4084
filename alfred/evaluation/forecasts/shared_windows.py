"""The windows that several records of forecasts share, and what each says about them.

Axes legend: T dates, N symbols, Q quantile levels. A window is a date and a symbol at one horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.errors import SignalError
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.typing import BoolArray, Float, IntArray

Point = Literal["median", "mean"]

NAIVE = "naive"
"""Name of naive persistence in a table."""
ALL = "all"
"""Name of the row over all symbols."""
MEDIAN = 0.5
"""Quantile level of the median."""


class Windows(NamedTuple):
    """The windows of one horizon that all analysts share, `[T, N]` each, or those of one column.

    Attributes:
        sessions: Position of each date among the sessions of the market, `[T]`.
        outcome: Log returns; NaN where the window is not judged.
        close: Closes at the dates.
        horizon: Sessions that an outcome spans.
    """

    sessions: IntArray
    outcome: Float
    close: Float
    horizon: int


class Views(NamedTuple):
    """What one analyst says about the windows of one horizon.

    Attributes:
        point: Forecast whose absolute error counts, `[T, N]`.
        mean: Expected log return, `[T, N]`.
        quantiles: `[T, N, Q]`; Q is 0 where there is no distribution.
        levels: `[Q]`.
    """

    point: Float
    mean: Float
    quantiles: Float
    levels: tuple[float, ...]

    def cut(self, columns: slice) -> Views:
        """Return what is said about some of the symbols."""
        return Views(self.point[:, columns], self.mean[:, columns], self.quantiles[:, columns], self.levels)

    def find(self) -> BoolArray:
        """Return where there is a whole forecast, `[T, N]`."""
        return np.isfinite(self.mean) & np.isfinite(self.point) & np.isfinite(self.quantiles).all(axis=2)


def share_axes(forecasts: Mapping[str, ForecastRecord]) -> tuple[pd.DatetimeIndex, tuple[str, ...], tuple[int, ...]]:
    """Return the dates, symbols (in the order of the first record) and ascending horizons that every record has.

    Raises:
        SignalError: There is none in common.
    """
    first, *others = forecasts.values()
    dates = first.dates
    for record in others:
        dates = dates.intersection(record.dates)
    symbols = tuple(s for s in first.symbols if all(s in record.symbols for record in others))
    horizons = tuple(sorted(h for h in first.horizons if all(h in record.horizons for record in others)))
    parts: dict[str, Sequence[object] | pd.DatetimeIndex] = {"date": dates, "symbol": symbols, "horizon": horizons}
    for what, shared in parts.items():
        if not len(shared):
            raise SignalError(
                f"{', '.join(forecasts)} have no {what} in common, so that there is nothing to compare them on; "
                f"forecast again with one {what} at least that all of them have"
            )
    return dates, symbols, horizons


def measure_windows(market: Market, dates: pd.DatetimeIndex, symbols: tuple[str, ...], horizon: int) -> Windows:
    """Return what came after each date.

    Raises:
        SignalError: A date is not a session of the market.
        DataError: A symbol is not in the market.
    """
    outcome = np.asarray(compute_realised_returns(market, dates, symbols, horizon), dtype=np.float64)
    sessions = market.dates.get_indexer(dates)
    columns = [market.index_of(symbol) for symbol in symbols]
    return Windows(sessions, outcome, market.close[sessions][:, columns].astype(np.float64), horizon)


def read_views(
    record: ForecastRecord, dates: pd.DatetimeIndex, symbols: tuple[str, ...], horizon: int, point: Point
) -> Views:
    """Return what a record says on some dates of some symbols; `point` needs the level 0.5 to be the median."""
    rows, columns = record.dates.get_indexer(dates), [record.symbols.index(symbol) for symbol in symbols]
    place = record.horizons.index(horizon)
    mean = record.mean[rows][:, columns, place].astype(np.float64)
    quantiles = record.quantiles[rows][:, columns, place].astype(np.float64)
    middle = np.flatnonzero(np.isclose(record.levels, MEDIAN))
    chosen = mean if point == "mean" else quantiles[:, :, int(middle[0])]
    return Views(chosen, mean, quantiles, record.levels)


def count_offered(
    forecasts: Mapping[str, ForecastRecord], market: Market, horizon: int, point: Point
) -> dict[str, dict[str, int]]:
    """Return how many windows with an outcome each analyst forecast, and anybody did (naive), by symbol and in all."""
    counts: dict[str, dict[str, int]] = {}
    anybody: dict[str, set[int]] = {}
    for name, record in forecasts.items():
        outcome = measure_windows(market, record.dates, record.symbols, horizon)
        known = np.isfinite(outcome.outcome) & read_views(record, record.dates, record.symbols, horizon, point).find()
        counts[name] = {symbol: int(known[:, n].sum()) for n, symbol in enumerate(record.symbols)}
        for n, symbol in enumerate(record.symbols):
            anybody.setdefault(symbol, set()).update(outcome.sessions[known[:, n]].tolist())
    counts[NAIVE] = {symbol: len(sessions) for symbol, sessions in anybody.items()}
    return {name: {**found, ALL: sum(found.values())} for name, found in counts.items()}
