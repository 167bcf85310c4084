"""Delistings: when a holding that no longer trades is paid out, and at what, from nothing but the past.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.data.market import Market
from alfred.typing import Float

DEFAULT_PAYOUT = 0.7


class Delistings(NamedTuple):
    """When holdings are paid out.

    Attributes:
        event: Whether a symbol is paid out at a session, `[T, N]`.
        payout: What is paid, as a fraction of its last price; one elsewhere, `[T, N]`.
        assumed: Whether that fraction is an assumption, since nobody stated it, `[T, N]`.
    """

    event: npt.NDArray[np.bool_]
    payout: Float
    assumed: npt.NDArray[np.bool_]


def find_delistings(market: Market, after: int | None, payout: float) -> Delistings:
    """Return when holdings are paid out, and at what.

    A delisting that the market knows of is paid at the first session after its date. Any other symbol counts as
    delisted once it has gone `after` sessions without a trade: whether a halt is for good is known to nobody before.
    A symbol that trades again later is a new listing to those who buy it then.

    Args:
        market: The market.
        after: Sessions without a trade; half a year of them, and two at least, when None: a few rows that are missing
            are a halt, not an end.
        payout: Paid where the market does not know, as a fraction of the last price.
    """
    patience = after if after is not None else max(2, round(market.periods_per_year / 2))
    rows = np.arange(market.n_dates)[:, None]
    last = np.maximum.accumulate(np.where(market.tradable, rows, -1), axis=0)
    event = (last >= 0) & (rows - last == patience)
    paid = np.where(event, payout, 1.0)
    assumed = event.copy()
    for symbol, delisting in market.delistings.items():
        column = market.index_of(symbol)
        row = int(market.dates.searchsorted(delisting.date, side="right"))
        if row == market.n_dates or market.tradable[row, column] or last[row, column] < 0:
            continue
        # A payout before that day stands: nobody knew yet. None follows after it, until the symbol trades again.
        upcoming = market.tradable[row:, column]
        until = row + int(np.argmax(upcoming)) if upcoming.any() else market.n_dates
        event[row:until, column] = assumed[row:until, column] = False
        paid[row:until, column] = 1.0
        event[row, column] = True
        assumed[row, column] = delisting.payout is None
        paid[row, column] = payout if delisting.payout is None else delisting.payout
    return Delistings(event, paid, assumed)
