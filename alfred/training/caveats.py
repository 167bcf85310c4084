"""What a reader of a report must know before the numbers."""

from __future__ import annotations

import numpy as np

from alfred.data.market import Market
from alfred.envs.settings import PortfolioSettings

_SAME_PRICE = 1e-4  # one basis point
OPTIMISTIC = "Decisions trade at the very close that they are based on: this is optimistic."


def find_execution_caveat(market: Market, settings: PortfolioSettings) -> str:
    """Say when decisions trade at the price that they have seen; empty when they do not.

    That is so under `execution: close`, and under `next_open` on a market that never closes, where the next open is the
    same price a moment later.
    """
    if settings.execution == "close":
        return OPTIMISTIC
    if settings.execution == "next_close" or market.open is None:
        return ""
    share = share_of_opens_at_close(market)
    if share <= 0.5:
        return ""
    return f"{OPTIMISTIC} The next open is the same price as the close on {share:.0%} of the bars."


def share_of_opens_at_close(market: Market) -> float:
    """Return the share of bars whose open is the close before within one basis point; NaN without opens.

    Bars of all symbols count that trade now and traded on the session before.
    """
    if market.open is None or market.n_dates < 2:
        return float("nan")
    opened, closed = market.open[1:].astype(np.float64), market.close[:-1].astype(np.float64)
    known = market.tradable[1:] & market.tradable[:-1] & np.isfinite(opened) & np.isfinite(closed)
    if not known.any():
        return float("nan")
    with np.errstate(invalid="ignore"):
        same = np.abs(opened / closed - 1.0) <= _SAME_PRICE
    return float(same[known].mean())
