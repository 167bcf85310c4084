"""A market whose headlines foretell the next return by their words, or do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.headlines import Headlines

GOOD = ("posts a great profit", "wins a superb contract", "is upgraded by analysts")
BAD = ("warns of a terrible loss", "is accused of fraud", "misses estimates badly")


def make_news_market(
    strength: float, *, n_dates: int = 900, n_symbols: int = 6, share: float = 0.4, seed: int = 0
) -> tuple[Market, np.ndarray]:
    """Return a market and the tone of the news, `[T, N]`: 1, -1, or 0 where there is none.

    r[t+1] = strength x 0.01 x tone[t] + 0.01 e[t+1]; a tone of 1 is one headline of good words at t.
    """
    rng = np.random.default_rng(seed)
    tone = np.where(rng.random((n_dates, n_symbols)) < share, rng.choice([-1, 1], (n_dates, n_symbols)), 0)
    returns = 0.01 * rng.normal(size=tone.shape)
    returns[1:] += strength * 0.01 * tone[:-1]
    symbols = [*(f"S{i}" for i in range(n_symbols - 1)), "SPY"]
    dates = pd.bdate_range("2010-01-04", periods=n_dates)
    rows, columns = np.nonzero(tone)
    texts = [
        f"{symbols[column]} {rng.choice(GOOD if tone[row, column] > 0 else BAD)} in number {row}"
        for row, column in zip(rows, columns, strict=True)
    ]
    news = Headlines(dates[rows], np.asarray(symbols, dtype=object)[columns], np.asarray(texts, dtype=object))
    market = Market.from_arrays(dates, symbols, 100 * np.exp(returns.cumsum(axis=0)), benchmark="SPY")
    return replace(market, headlines=news), tone
