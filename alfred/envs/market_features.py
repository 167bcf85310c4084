"""Conditions: the trailing state of a market, as an observation and as what trading costs.

Axes legend: T dates, N symbols, M market features. Row t holds what is known at the close of t.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.envs.settings import ImpactSettings
from alfred.typing import Float

MARKET_FEATURES = ("return_5", "return_20", "volatility_20", "volatility_60", "drawdown_year", "dispersion_20")
BOUND = 10.0  # signals, features and returns are clipped to +-this, so that one bad tick cannot swamp a network
_DAYS_PER_YEAR = 252


def compute_market_features(
    simple: Float, known: npt.NDArray[np.bool_], benchmark: int, universe: list[int], periods_per_year: int
) -> npt.NDArray[np.float32]:
    """Return the trailing state of the market, each feature near unit size, `[T, M]`; see `MARKET_FEATURES`.

    Args:
        simple: Simple returns, zero where there is none, `[T, N]`.
        known: Whether there is a return, `[T, N]`; the others do not count in the dispersion.
        benchmark: Column whose return, volatility and drawdown are shown.
        universe: Columns whose dispersion is shown.
        periods_per_year: Sessions in a year; the units are those of daily stocks, scaled with the root of time.
    """
    unit = 0.01 * np.sqrt(_DAYS_PER_YEAR / periods_per_year)
    bench = pd.Series(np.log1p(simple[:, benchmark]))
    wealth = bench.cumsum()
    shown = np.where(known[:, universe], simple[:, universe], np.nan)
    spread = pd.DataFrame(shown).std(axis=1, ddof=0)
    columns = [
        bench.rolling(5, min_periods=1).sum() / (2.0 * unit),
        bench.rolling(20, min_periods=1).sum() / (4.0 * unit),
        bench.rolling(20, min_periods=2).std() / unit - 1.0,
        bench.rolling(60, min_periods=2).std() / unit - 1.0,
        np.expm1(wealth - wealth.rolling(periods_per_year, min_periods=1).max()) / 0.1,
        spread.rolling(20, min_periods=1).mean() / unit - 1.0,
    ]
    return np.asarray(np.clip(np.nan_to_num(np.stack(columns, axis=1)), -BOUND, BOUND), dtype=np.float32)


def compute_impact_scale(market: Market, simple: Float, settings: ImpactSettings) -> Float:
    """Return the impact of one unit of wealth, `coefficient * volatility * (capital / daily value)^(power - 1)`.

    An asset without volume or volatility so far is given the largest scale among the others: nothing speaks for its
    being cheaper to trade. Closes are on a total-return basis, which makes the value of a day long ago look smaller
    than it was and its impact larger.

    Args:
        market: Prices with volume.
        simple: Simple returns, zero where there is none, `[T, N]`.
        settings: Which law.

    Returns:
        Known at the close of each row, `[T, N]`; zero in rows in which nothing is known of any asset.

    Raises:
        DataError: The market has no volume.
    """
    traded = market.tradable
    value = np.where(traded, market.field("volume") * market.close, np.nan)
    rows = settings.window_days
    daily = pd.DataFrame(value).rolling(rows, min_periods=1).mean().to_numpy()
    volatility = pd.DataFrame(np.where(traded, simple, np.nan)).rolling(rows, min_periods=2).std().to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = settings.coefficient * volatility * (settings.capital / daily) ** (settings.power - 1.0)
    scale[~(np.isfinite(scale) & (scale > 0))] = np.nan
    worst = np.nan_to_num(pd.DataFrame(scale).max(axis=1).to_numpy())
    return np.asarray(np.where(np.isnan(scale), worst[:, None], scale))
