"""What a broker says was traded, against the prices that an account booked and the orders that it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.errors import DataError, suggest
from alfred.training.live.brokers import Fill, Order
from alfred.training.live.desk import Desk
from alfred.training.live.opened import LiveRun

# Whole shares are what many brokers trade, and prices move between the close of an order and its execution.
_SHARES, _SHARE_OF_ORDER = 1.0, 0.02
# A fill that far from the booked price of its session has another unit, or another share basis.
_FARTHEST = 1.5


@dataclass(frozen=True)
class FillFigures:
    """What fills cost against the prices that the account booked.

    Attributes:
        count: Fills.
        value: Traded, in the currency of the prices.
        shortfall: Paid above the booked prices, fees included, in the same currency.
        problems: What does not fit the orders or the prices, one text each.
    """

    count: int
    value: float
    shortfall: float
    problems: tuple[str, ...] = ()

    @property
    def bps(self) -> float:
        """Shortfall in basis points of the traded value."""
        return 1e4 * self.shortfall / self.value if self.value else float("nan")


def weigh_fills(fills: Sequence[Fill], orders: Sequence[Order], live: LiveRun, desk: Desk) -> FillFigures:
    """Compare fills with the prices at which the account is booked, and with its orders.

    Args:
        fills: What was traded.
        orders: What was ordered, as far as it is known; fills of sessions without a known order are not compared.
        live: The run.
        desk: The account.

    Raises:
        DataError: A fill is of a symbol or a session that the run does not know.
    """
    market = live.prepared.market
    prices = market.field("close" if desk.tape.intraday is None else "open")
    value = shortfall = 0.0
    problems = []
    for fill in fills:
        if fill.symbol not in market.symbols:
            raise DataError(
                f"a fill of {fill.date} is of {fill.symbol}, which the run does not trade."
                f"{suggest(fill.symbol, market.symbols)}"
            )
        row = market.dates.get_indexer(pd.DatetimeIndex([fill.date]))[0]
        if row < 0:
            raise DataError(f"a fill of {fill.symbol} is dated {fill.date}, which is no session that the run knows")
        booked = float(prices[row, market.index_of(fill.symbol)])
        if not np.isfinite(booked):
            raise DataError(f"{fill.symbol} has no price on {fill.date}, when a fill says that it was traded")
        if not 1.0 / _FARTHEST <= fill.price / booked <= _FARTHEST:
            problems.append(f"{fill.symbol} on {fill.date} at {fill.price:.6g}, booked at {booked:.6g}")
        value += abs(fill.shares) * fill.price
        shortfall += fill.shares * (fill.price - booked) + fill.fee
    problems += compare_orders(fills, orders, market.dates)
    return FillFigures(len(fills), value, shortfall, tuple(problems))


def compare_orders(fills: Sequence[Fill], orders: Sequence[Order], dates: pd.DatetimeIndex) -> list[str]:
    """Return a text for each order that was filled otherwise: in part, more than once, the other way, or not at all.

    An order is traded on the session after its decision. A share or two per cent of the order are no difference.

    Args:
        fills: What was traded.
        orders: What was ordered.
        dates: Sessions that are known; orders whose session is not among them are open.
    """
    ordered: dict[tuple[str, str], float] = {}
    for order in orders:
        place = int(dates.searchsorted(pd.Timestamp(order.decided_on), side="right"))
        if place < len(dates):
            ordered[str(dates[place].date()), order.symbol] = order.shares
    # Whoever reports fills from some day on does not say that there were none before.
    begun = min((fill.date for fill in fills), default="")
    ordered = {key: shares for key, shares in ordered.items() if key[0] >= begun}
    sessions = {date for date, _ in ordered}
    filled: dict[tuple[str, str], float] = {}
    for fill in fills:
        if fill.date in sessions:
            filled[fill.date, fill.symbol] = filled.get((fill.date, fill.symbol), 0.0) + fill.shares
    found = []
    for key in sorted({*ordered, *filled}):
        want, got = ordered.get(key, 0.0), filled.get(key, 0.0)
        if abs(got - want) > max(_SHARES, _SHARE_OF_ORDER * abs(want)):
            found.append(f"{key[1]} on {key[0]}: {got:+.6g} shares filled of {want:+.6g} ordered")
    return found
