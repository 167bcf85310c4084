"""The same past with another future: what every look-ahead test compares with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from alfred.data.market import FloatArray, Market

_HALT_SHARE = 0.1


def scramble_after(market: Market, date: pd.Timestamp | str, seed: int) -> Market:
    """Return a valid market that equals `market` up to the close of `date` and is random after it.

    Prices, volume, extra fields, halts and cash rates after the date are drawn anew, unlike the true ones in level and
    in variation, and one symbol never trades again, so that anything computed for `date` or earlier that comes out
    different has looked ahead. What would still be delisted later is not known.

    Args:
        market: The market; left as it is.
        date: Last date that stays true.
        seed: Seed of the future.
    """
    rng = np.random.default_rng(seed)
    first = int(market.dates.searchsorted(pd.Timestamp(date), side="right"))
    shape = (market.n_dates - first, market.n_symbols)
    tradable = market.tradable.copy()
    tradable[first:] = rng.random(shape) >= _HALT_SHARE
    tradable[first:, rng.integers(market.n_symbols)] = False
    tradable[first:, market.index_of(market.benchmark)] = True
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
    cash_rate = None if market.cash_rate is None else market.cash_rate.copy()
    if cash_rate is not None:
        cash_rate[first:] = rng.uniform(0.0, 0.2, len(cash_rate) - first)
    known = market.until(date).delistings
    scrambled = replace(
        market,
        tradable=tradable,
        extras=extras,
        cash_rate=cash_rate,
        delistings=known,
        **panels,  # type: ignore[arg-type]
    )
    scrambled.validate()
    return scrambled
