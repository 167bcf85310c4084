"""The same past with another future: what every look-ahead test compares with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.headlines import scramble_headlines
from alfred.data.sessions import to_day
from alfred.typing import FloatArray

_HALT_SHARE = 0.1
_END_SHARE = 0.3


def scramble_after(market: Market, date: pd.Timestamp | str, seed: int) -> Market:
    """Return a valid market that equals `market` up to the close of `date` and is random after it.

    Prices, volume, extra fields, headlines, cash rates, halts and the ends of listings after the date are drawn anew,
    unlike the true ones in level and in variation, so that anything computed for `date` or earlier that comes out
    different has looked ahead. About a third of the symbols never trade again from some session on; delistings to come
    are gone.

    Args:
        market: The market; left as it is.
        date: Last date that stays true.
        seed: Seed of the future.
    """
    rng = np.random.default_rng(seed)
    first = int(market.dates.searchsorted(to_day(date), side="right"))
    shape = (market.n_dates - first, market.n_symbols)
    tradable = market.tradable.copy()
    tradable[first:] = rng.random(shape) >= _HALT_SHARE
    further = rng.spawn(1)[0]
    ended = further.random(shape[1]) < _END_SHARE
    ends = np.where(ended, further.integers(0, max(shape[0], 1), shape[1]), shape[0])
    tradable[first:] &= np.arange(shape[0])[:, None] < ends
    tradable[first:, market.index_of(market.benchmark)] = True
    delistings = {symbol: item for symbol, item in market.delistings.items() if item.date <= to_day(date)}
    for symbol in delistings:
        tradable[first:, market.index_of(symbol)] &= market.tradable[first:, market.index_of(symbol)]
    middle = rng.uniform(1.0, 1000.0, shape)
    futures = {
        "open": middle * rng.uniform(0.95, 1.05, shape),
        "high": middle * rng.uniform(1.1, 1.3, shape),
        "low": middle * rng.uniform(0.7, 0.9, shape),
        "close": middle,
        "volume": rng.uniform(1.0, 1e9, shape),
    }

    def change(panel: FloatArray | None, future: FloatArray) -> FloatArray | None:
        if panel is None:
            return None
        changed = np.array(panel)
        changed[first:] = np.where(tradable[first:], future, np.nan)
        return changed

    panels = {name: change(getattr(market, name), future) for name, future in futures.items()}
    extras = {}
    for name, panel in market.extras.items():
        extras[name] = np.array(panel)
        extras[name][first:] = rng.normal(0.0, 100.0, shape)
    rate = market.cash_rate
    if rate is not None:
        rate = np.concatenate([rate[:first], further.uniform(0.1, 0.2, shape[0]).astype(rate.dtype)])
    news = market.headlines
    if news is not None:
        known = int(news.known.searchsorted(to_day(date), side="right"))
        news = scramble_headlines(news, known, market.symbols, rng.spawn(1)[0])
    scrambled = replace(
        market,
        headlines=news,
        tradable=tradable,
        extras=extras,
        cash_rate=rate,
        delistings=delistings,
        **panels,  # type: ignore[arg-type]
    )
    scrambled.validate()
    return scrambled
