"""A market whose returns lean on their predecessors, and how much of that an analyst finds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.analysts import Analyst
from alfred.data.contexts import iterate_contexts
from alfred.data.market import Market

N_FIT = 1200


def make_autoregressive_market(
    coefficient: float, *, n_dates: int = N_FIT + 300, n_symbols: int = 8, seed: int = 0
) -> tuple[Market, np.ndarray, np.ndarray]:
    """Return a market, the log return of each session and the mean of the next, both `[T, N]`.

    r[t+1] = coefficient x r[t] + e[t+1]: the attainable information coefficient is the coefficient itself.
    """
    rng = np.random.default_rng(seed)
    noise = 0.01 * rng.normal(size=(n_dates, n_symbols))
    returns = np.zeros_like(noise)
    for t in range(1, n_dates):
        returns[t] = coefficient * returns[t - 1] + noise[t]
    symbols = [*(f"S{i}" for i in range(n_symbols - 1)), "SPY"]
    dates = pd.bdate_range("2005-01-03", periods=n_dates)
    market = Market.from_arrays(dates, symbols, 100 * np.exp(returns.cumsum(axis=0)), benchmark="SPY")
    return market, returns, coefficient * returns


def forecast_rest(analyst: Analyst, market: Market, first: int) -> np.ndarray:
    """Return the mean forecasts for the shortest horizon from row `first` to the last but one, `[R, N]`."""
    rows = np.arange(first, market.n_dates - 1)
    found = np.full((len(rows), market.n_symbols), np.nan)
    for row, column, contexts in iterate_contexts(market, rows, length=analyst.context_length, fields=analyst.fields):
        found[row - first, column] = analyst.predict(contexts).mean[:, 0]
    return found
