"""The score of every symbol at every close, and whether it may be picked: what a weekly decision reads.

Axes legend: T dates, N symbols, H horizons.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from alfred.data.features.catalogue import compute_features
from alfred.data.market import Market
from alfred.data.point_in_time.members import find_members
from alfred.data.settings import FeatureSettings
from alfred.data.signals import Signals
from alfred.errors import DataError, SignalError
from alfred.training.experiments.settings import StrategySettings
from alfred.typing import BoolArray, FloatArray

SCORE, ELIGIBLE, DECIDES = range(3)
"""Columns of `make_score`."""
NAMES = ("experiment.score", "experiment.eligible", "experiment.decides")

_HALF_YEAR = 126
# Forecasts are stored in single precision: what differs by less than this share of the largest is rounding.
_ROUNDING = 2e-6


def make_score(market: Market, strategy: StrategySettings, forecasts: Signals | None) -> Signals:
    """Return what decisions read, as signals of the dates that have forecasts.

    The score is the rank among the symbols of the universe that can be scored at that close, from -1 to 1, equal
    forecasts sharing the mean of their ranks. With trees it is the rank of z = sum_h w_h z_h, where z_h is the
    forecast over horizon h in units of the symbol's own volatility, less its mean over the symbols of the day and
    divided by its standard deviation there. A horizon whose forecast is the same for all symbols adds nothing.

    Args:
        market: The market; a row reads closes up to its own date only.
        strategy: What is scored.
        forecasts: Of the strategy's trees; None when the score is momentum.

    Returns:
        Signals `[T, N, 3]`: the score, one where a symbol may be picked else zero, and one for all symbols on the last
        session of a week, where a decision is taken.

    Raises:
        SignalError: The forecasts of a horizon are missing.
        DataError: The market has no daily bars.
    """
    check_daily(market)
    dates = market.dates if forecasts is None else forecasts.dates
    rows = market.dates.get_indexer(dates)
    allowed = np.isin(market.symbols, market.universe) & market.tradable[rows] & find_members(market)[rows]
    if strategy.score == "momentum":
        raw = compute_momentum(market, strategy.momentum)[rows]
    else:
        raw = _combine(forecasts, strategy.horizon_weights, allowed)
    raw = np.where(allowed, -raw if strategy.invert else raw, np.nan)
    eligible = np.isfinite(raw)
    if strategy.momentum_filter != "none":
        with np.errstate(invalid="ignore"):
            eligible &= compute_momentum(market, strategy.momentum_filter)[rows] > 0.0
    values = np.zeros((len(dates), market.n_symbols, len(NAMES)), dtype=np.float32)
    values[:, :, SCORE] = _rank(raw)
    values[:, :, ELIGIBLE] = eligible
    values[:, :, DECIDES] = find_week_ends(market.dates)[rows][:, None]
    stamps = dates.to_numpy() if forecasts is None else forecasts.trained_until.max(axis=1)
    return Signals(
        dates=dates,
        symbols=market.symbols,
        names=NAMES,
        values=values,
        trained_until=stamps,
        horizons=(0,) * len(NAMES),
        notes=() if forecasts is None else forecasts.notes,
    )


def check_daily(market: Market) -> None:
    """Refuse bars that are longer than a day.

    Raises:
        DataError: There are fewer than 200 sessions a year.
    """
    if market.periods_per_year < 200:
        raise DataError(
            f"the market has {market.periods_per_year} sessions a year: weekly picks need daily bars; load daily prices"
        )


def find_week_ends(dates: pd.DatetimeIndex) -> BoolArray:
    """Return whether a session is the last one of its calendar week, Monday to Sunday, `[T]`.

    That is read off the next session, whose date a calendar tells beforehand; what is decided at this close is traded
    on the first session of the week after. The last date of the data is none.
    """
    weeks = dates.to_period("W")
    return np.append(np.asarray(weeks[1:] != weeks[:-1]), False)


def compute_momentum(market: Market, kind: str) -> FloatArray:
    """Return the past return at each close, `[T, N]`; NaN where a close is missing.

    Args:
        market: The market.
        kind: `12_1`: over twelve months without the last one (Jegadeesh and Titman, 1993), as the feature
            `momentum_12_1`; `126`: over the last 126 sessions.
    """
    if kind == "12_1":
        found = compute_features(market, FeatureSettings(names=("momentum_12_1",), normalise="none"))
        return found.values[:, :, 0].astype(np.float64)
    result = np.full(market.close.shape, np.nan)
    result[_HALF_YEAR:] = market.close[_HALF_YEAR:] / market.close[:-_HALF_YEAR] - 1.0
    return result


def _combine(forecasts: Signals | None, weights: Mapping[int, float], allowed: BoolArray) -> FloatArray:
    """Return the weighted sum of the standardised forecasts of each horizon, `[T, N]`."""
    if forecasts is None:
        raise SignalError("the score is read off forecasts, and there are none; forecast first")
    columns = {(spec.quantity, spec.horizon): place for place, spec in enumerate(forecasts.specs)}
    total = np.zeros(forecasts.values.shape[:2])
    for horizon, weight in weights.items():
        if ("expected_return", horizon) not in columns or ("dispersion", horizon) not in columns:
            raise SignalError(f"there is no forecast over {horizon} sessions among {', '.join(forecasts.names)}")
        mean, spread = (
            forecasts.values[:, :, columns[name, horizon]].astype(np.float64)
            for name in ("expected_return", "dispersion")
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            total += weight * _standardise(np.where(allowed & (spread > 0), mean / spread, np.nan))
    return total


def _standardise(values: FloatArray) -> FloatArray:
    """Return values less the mean of their date over its standard deviation, `[T, N]`; 0 where all are equal."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, values, 0.0)
    unit = _ROUNDING * np.abs(filled).max(axis=1, keepdims=True)
    # In whole units, so that forecasts which differ by rounding alone are equal to the last digit.
    steps = np.where(known & (unit > 0), (filled / np.where(unit > 0, unit, 1.0)).round(), 0.0)
    centred = np.where(known, steps - steps.sum(axis=1, keepdims=True) / count, 0.0)
    width = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    moves = width > 1.0
    return np.where(known, np.where(moves, centred / np.where(moves, width, 1.0), 0.0), np.nan)


def _rank(values: FloatArray) -> FloatArray:
    """Return the rank of each value among those of its date, from -1 to 1, `[T, N]`; 0 where there is none."""
    ranks = rankdata(values, axis=1, nan_policy="omit")
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    return np.where(np.isfinite(values), 2.0 * (ranks - 0.5) / np.maximum(count, 1) - 1.0, 0.0)
