"""A market with quarterly reports, of which some foretell what follows and others do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.asof import forward_fill
from alfred.data.point_in_time.fundamentals import REPORT_AGE

QUARTER = 63


def make_reporting_market(strength: float, *, n_symbols: int = 30, n_quarters: int = 36, seed: int = 0) -> Market:
    """Return a market in which the surprise of a report is worth `strength` spreads of the quarter that follows it.

    Surprises are standard normal, and independent of all before; beside them there is a margin that means nothing. Each
    symbol reports every 63 sessions, on a day of its own. The benchmark does not report.
    """
    rng = np.random.default_rng(seed)
    n_dates = n_quarters * QUARTER
    first = rng.integers(1, QUARTER, n_symbols)
    age = (np.arange(n_dates)[:, None] - first) % QUARTER
    known = np.arange(n_dates)[:, None] >= first
    fresh = known & (age == 0)
    surprise = forward_fill(np.where(fresh, rng.normal(size=fresh.shape), np.nan))
    margin = forward_fill(np.where(fresh, rng.uniform(0.1, 0.2, fresh.shape), np.nan))
    returns = 0.01 * rng.normal(size=fresh.shape)
    # The drift begins after the close that learns of the report.
    returns[1:] += np.nan_to_num(strength * 0.01 / np.sqrt(QUARTER) * surprise[:-1])
    index = 0.01 * rng.normal(size=(n_dates, 1))
    close = 100 * np.exp(np.cumsum(np.hstack([returns, index]), axis=0))
    silent = np.full((n_dates, 1), np.nan)
    market = Market.from_arrays(
        pd.bdate_range("2005-01-03", periods=n_dates),
        [*(f"S{i}" for i in range(n_symbols)), "SPY"],
        close,
        benchmark="SPY",
    )
    extras = {
        REPORT_AGE: np.hstack([np.where(known, age, np.nan), silent]),
        "eps_surprise_pct": np.hstack([surprise, silent]),
        "net_margin": np.hstack([margin, silent]),
    }
    return replace(market, extras=extras)
