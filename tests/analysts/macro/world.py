"""A market that changes between a calm and a volatile regime, and series that foretell it, or do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.typing import Float


def make_macro_market(
    strength: float, *, n_dates: int = 1600, n_symbols: int = 4, seed: int = 0
) -> tuple[Market, Float]:
    """Return a market with four series, and whether each session was of the volatile regime, `[T]`.

    All symbols share a return whose daily spread is 0.5 % in the calm regime and 2 % in the volatile one, and each has
    0.3 % of its own. The VIX is an independent wave; r[t+1] leans on it by `strength` times 0.5 %.
    """
    rng = np.random.default_rng(seed)
    volatile = np.zeros(n_dates, dtype=bool)
    for t in range(1, n_dates):
        volatile[t] = rng.random() < (0.96 if volatile[t - 1] else 0.015)
    wave = np.zeros(n_dates)
    for t in range(1, n_dates):
        wave[t] = 0.9 * wave[t - 1] + np.sqrt(1 - 0.81) * rng.normal()
    common = np.where(volatile, 0.02, 0.005) * rng.normal(size=n_dates)
    common[1:] += strength * 0.005 * wave[:-1]
    returns = common[:, None] + 0.003 * rng.normal(size=(n_dates, n_symbols))
    dates = pd.bdate_range("2005-01-03", periods=n_dates)
    symbols = [*(f"S{i}" for i in range(n_symbols - 1)), "SPY"]
    market = Market.from_arrays(dates, symbols, 100 * np.exp(returns.cumsum(axis=0)), benchmark="SPY")
    walk = rng.normal(size=(n_dates, 3)).cumsum(axis=0)
    series = {
        "vix": 20.0 * np.exp(0.2 * wave),
        "yield_2y": 2.0 + 0.02 * walk[:, 0],
        "yield_10y": 3.0 + 0.02 * walk[:, 1],
        # Oil cost less than nothing once.
        "wti": np.where(np.arange(n_dates) == 900, -37.0, 60.0 + walk[:, 2]),
    }
    extras = {name: np.repeat(values[:, None], n_symbols, axis=1) for name, values in series.items()}
    return replace(market, extras=extras), volatile
