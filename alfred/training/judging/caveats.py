"""What a reader of a report must know before the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.payouts import find_delistings
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings

_SAME_PRICE = 1e-4  # one basis point
_SHOWN = 5  # payouts that are named
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


def find_knowledge_caveat(signals: Signals, start: pd.Timestamp, end: pd.Timestamp) -> str:
    """Name the analysts that were trained elsewhere on dates of these signals; empty when there are none.

    Args:
        signals: What the agents saw, with the knowledge cutoffs.
        start: First date of the test.
        end: Last date of it.
    """
    known = {name: cutoff for name, cutoff in signals.knowledge_cutoffs.items() if cutoff >= signals.dates[0]}
    if not known:
        return ""
    told = ", ".join(f"{name} until {cutoff.date()}" for name, cutoff in known.items())
    last = max(known.values())
    if last < start:
        return (
            f"Analysts that were trained elsewhere ({told}) may have known what the agents were trained on: what the "
            "agents learnt to trust there may be memory."
        )
    part = "the whole" if last >= end else "a part of the"
    return (
        f"Analysts that were trained elsewhere ({told}) may have seen {part} test, and what the agents were trained "
        "on: a gain up to that date may be memory, and no verdict here is out of sample before it."
    )


def find_payout_caveat(market: Market, settings: PortfolioSettings, start: pd.Timestamp, end: pd.Timestamp) -> str:
    """Name the payouts between two dates that nobody stated; empty when there are none.

    Args:
        market: The market.
        settings: Says when a symbol counts as delisted, and what is paid then.
        start: First date of the test.
        end: Last date of it.
    """
    payout = settings.delisting_payout_pct / 100.0
    found = find_delistings(market, settings.delisting_after, payout)
    inside = np.asarray((market.dates >= start) & (market.dates <= end))
    rows, columns = np.nonzero(found.assumed & inside[:, None])
    if not len(rows):
        return ""
    told = []
    for row, column in zip(rows[:_SHOWN], columns[:_SHOWN], strict=True):
        back = bool(market.tradable[row:, column].any())
        told.append(
            f"{market.symbols[column]} on {market.dates[row].date()}{' (it trades again later)' if back else ''}"
        )
    more = f", and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return (
        f"Payouts of {payout:.0%} of the last price are assumed for symbols that stopped trading and whose delisting "
        f"return is not stated: {', '.join(told)}{more}. State `delisted` and `delisting_return` in symbols.csv, or "
        "fill the missing rows."
    )


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
