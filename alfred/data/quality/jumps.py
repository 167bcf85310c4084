"""Prices that are off by a factor: found before anything is learnt from them, not after a backtest made a fortune."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.quality.anomalies import Series, find_split_jumps
from alfred.errors import DataError

LARGEST_FACTOR = 4.0
"""Factor from one close to the next that no share is believed to have moved by; news moves one by three at most."""

_SHOWN = 3


def find_price_jumps(
    market: Market, symbols: Sequence[str] | None = None
) -> list[tuple[str, pd.Timestamp, float, float]]:
    """Return the moves that look like another unit of the price: symbol, date, close before and close.

    They are those by a factor of four or more either way, whatever the trading, and those by a split ratio in ordinary
    trading (`find_split_jumps`).

    Args:
        market: The market.
        symbols: Which to look at; all when left out.
    """
    found = []
    for symbol in symbols or market.symbols:
        column = market.index_of(symbol)
        rows = np.flatnonzero(market.tradable[:, column])
        if len(rows) < 2:
            continue
        panels = {"close": market.close, "open": market.open, "volume": market.volume}
        values = {name: panel[rows, column].astype(np.float64) for name, panel in panels.items() if panel is not None}
        close, dates = values["close"], market.dates[rows]
        moves = np.abs(np.diff(np.log(close), prepend=np.log(close[0])))
        splits = find_split_jumps(Series(symbol, dates, values, close))
        places = np.union1d(np.flatnonzero(moves >= np.log(LARGEST_FACTOR)), splits)
        found += [(symbol, dates[place], float(close[place - 1]), float(close[place])) for place in places]
    return found


def require_no_jumps(market: Market, symbols: Sequence[str] | None = None) -> None:
    """Refuse a market with a price that is off by a factor; see `find_price_jumps`.

    Raises:
        DataError: There is one; symbol, date, both closes and the factor are named.
    """
    if found := find_price_jumps(market, symbols):
        raise DataError(f"{describe_jumps(found)}; correct the prices, or leave the symbol out")


def describe_jumps(found: Sequence[tuple[str, pd.Timestamp, float, float]]) -> str:
    """Return what `find_price_jumps` found on one line."""
    told = [
        f"'{symbol}' goes from {before:.6g} to {after:.6g} (times {after / before:.4g}) on {date.date()}"
        for symbol, date, before, after in found[:_SHOWN]
    ]
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"the close of {'; '.join(told)}{more}: that looks like another unit, such as a split that was not adjusted for"
    )
