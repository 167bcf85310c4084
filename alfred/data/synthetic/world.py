"""What a synthetic market comes with: signals, and the best that could have been done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.typing import FloatArray

BENCHMARK = "EW"
SESSIONS_A_YEAR = 252
_FIRST_DATE = "2000-01-03"
_FIRST_PRICE = 100.0


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best policy of an oracle: it knows the model, though not the draws.

    Axes legend: T dates, N symbols of the market, the benchmark included (its weight is 0).

    Attributes:
        weights: Target weights decided at each close before costs hold them back, `[T, N]`; the rest is cash.
        sharpe: Sharpe ratio a year that the policy attains, net of `cost_bps`.
        sharpe_error: Standard error of `sharpe`; 0 where it is a closed form.
        no_skill_sharpe: The same without signals: the best fixed weights.
        utility: Expected mean - `risk_aversion` / 2 x variance a session, net of costs.
        risk_aversion: Price of variance in the utility; 1 is log growth.
        cost_bps: Cost of trading one unit of wealth, in basis points, as in the ledger.
        adjustment: Share of the way to the target weights that the policy trades a session; 1 without costs.
    """

    weights: FloatArray
    sharpe: float
    sharpe_error: float
    no_skill_sharpe: float
    utility: float
    risk_aversion: float
    cost_bps: float = 0.0
    adjustment: float = 1.0


class SyntheticMarket(NamedTuple):
    """A market, its signals and its optimum; unpacks in this order.

    Attributes:
        market: `n_assets` symbols A0, A1, ... and their daily rebalanced equal weight, EW, as benchmark.
        signals: One row a session, for every symbol.
        optimum: The best that could be done.
    """

    market: Market
    signals: Signals
    optimum: Optimum


def assemble(
    returns: FloatArray,
    values: FloatArray,
    names: tuple[str, ...],
    optimum: Optimum,
    *,
    horizon: int,
    note: str,
    bars: Mapping[str, FloatArray] | None = None,
    volume: FloatArray | None = None,
) -> SyntheticMarket:
    """Return the market of simple returns, with the equal weight of all assets as its benchmark.

    Args:
        returns: Simple returns of the assets, `[T, N-1]`.
        values: Signals of the assets, `[T, N-1, K]`; the benchmark's are their mean.
        names: Names of the signals, `[K]`.
        optimum: The optimum, its weights without the benchmark, `[T, N-1]`.
        horizon: Sessions from a signal to the end of the return that it foretells.
        note: What the market is.
        bars: Open, high and low over the close, by field, each `[T, N]`, or None for closes only.
        volume: Shares traded, `[T, N]`, or None.
    """
    every = np.column_stack([returns, returns.mean(axis=1)])
    close = _FIRST_PRICE * np.exp(np.cumsum(np.log1p(every), axis=0))
    panels = {name: close * ratio for name, ratio in (bars or {}).items()}
    market = Market.from_arrays(
        make_dates(len(returns)),
        [*(f"A{n}" for n in range(returns.shape[1])), BENCHMARK],
        close,
        benchmark=BENCHMARK,
        open=panels.get("open"),
        high=panels.get("high"),
        low=panels.get("low"),
        volume=volume,
        notes=(note,),
    )
    signals = Signals(
        dates=market.dates,
        symbols=market.symbols,
        names=names,
        values=np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1).astype(np.float32),
        # Nothing was trained: a signal is as old as its row.
        trained_until=market.dates.to_numpy(),
        horizons=(horizon,) * len(names),
    )
    padded = np.column_stack([optimum.weights, np.zeros(len(returns))])
    return SyntheticMarket(market, signals, replace(optimum, weights=padded))


def make_dates(n_days: int) -> pd.DatetimeIndex:
    """Return that many weekdays; in seconds, so that a thousand years fit."""
    first = np.array([_FIRST_DATE], dtype="datetime64[D]")
    return pd.DatetimeIndex(np.busday_offset(first, np.arange(n_days)).astype("datetime64[s]"))


def draw_autoregressive(
    rng: np.random.Generator, shape: tuple[int, ...], autocorrelation: float
) -> npt.NDArray[np.float64]:
    """Return stationary AR(1) series of unit variance along the first axis."""
    # scipy.signal takes half a second to import, and only synthetic markets filter.
    from scipy.signal import lfilter

    shocks = rng.standard_normal(shape)
    shocks[1:] *= np.sqrt(1 - autocorrelation**2)
    series: npt.NDArray[np.float64] = lfilter([1.0], [1.0, -autocorrelation], shocks, axis=0)
    return series


def annualise(mean: float, variance: float) -> float:
    """Return the Sharpe ratio a year from the mean and variance a session; 0 for a riskless nothing."""
    return float(mean / np.sqrt(variance) * np.sqrt(SESSIONS_A_YEAR)) if variance > 0 else 0.0
