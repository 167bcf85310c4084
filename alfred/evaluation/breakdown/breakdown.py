"""Everything that is said of one strategy's book: gains, other terms, holdings, trades and the policy behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.breakdown.book import Book, find_trades, lay_out, open_book
from alfred.evaluation.breakdown.gain import Gain, split_gain
from alfred.evaluation.breakdown.policy_map import PolicyMap, map_policy
from alfred.evaluation.breakdown.rebooking import Terms, rebook_all

_SESSIONS = 5  # with trades that are listed
_SMALL = 5e-5  # of weight: what rounds to nothing


@dataclass(frozen=True)
class Trade:
    """What was traded on one session: weight changes by symbol, the largest first, cash left out."""

    date: str
    turnover: float
    changes: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Breakdown:
    """What the book of one strategy was made of.

    Attributes:
        name: The strategy.
        references: What it is compared with.
        gains: Its gain beyond each reference, split; empty where the record does not close.
        terms: Its decisions and those of the references on other terms; empty likewise.
        trades: The last sessions with a trade, the newest first.
        policy: What its weights followed, where that is known.
        missing: Why something is left out, a sentence each.
    """

    name: str
    references: tuple[str, ...]
    gains: tuple[Gain, ...] = ()
    terms: tuple[Terms, ...] = ()
    trades: tuple[Trade, ...] = ()
    policy: PolicyMap | None = None
    missing: tuple[str, ...] = ()


def break_down(
    record: Backtest,
    references: Sequence[Backtest],
    market: Market,
    settings: PortfolioSettings,
    signals: Signals | None = None,
) -> Breakdown:
    """Break down the record of a strategy.

    Args:
        record: The strategy.
        references: Records on the same bars.
        market: What they were walked through.
        settings: At whose terms.
        signals: What the strategy saw, or None.
    """
    names = tuple(item.name for item in references)
    tape = lay_out(market, record, settings)
    if tape.symbols != record.symbols or not tape.dates.equals(record.dates[: tape.n_bars]):
        return Breakdown(record.name, names, missing=("The record does not fit the market: its book was not opened.",))
    with np.errstate(invalid="ignore", divide="ignore"):
        books = [open_book(item, tape, settings) for item in (record, *references)]
    open_ones = [book.record.name for book in books if not book.closes]
    if open_ones:
        reason = (
            f"The book of {', '.join(open_ones)} was traded inside a session (a stop) or was ruined: its gain is not "
            "split, and its decisions are not booked again at other costs."
        )
        return Breakdown(record.name, names, missing=(reason,))
    return Breakdown(
        name=record.name,
        references=names,
        gains=tuple(split_gain(books[0], book) for book in books[1:]),
        terms=tuple(rebook_all(books, tape, settings)),
        trades=_list_trades(books[0]),
        policy=None if signals is None else _map(books[0], signals, market, tape.lag),
    )


def _list_trades(book: Book) -> tuple[Trade, ...]:
    record = book.record
    found = []
    for bar, change in find_trades(book, _SESSIONS):
        order = [i for i in np.argsort(-np.abs(change[:-1]), kind="stable") if abs(change[i]) > _SMALL]
        found.append(
            Trade(
                date=str(record.dates[bar].date()),
                turnover=0.5 * float(np.abs(change).sum()),
                changes=tuple((record.symbols[i], float(change[i])) for i in order),
            )
        )
    return tuple(found)


def _map(book: Book, signals: Signals, market: Market, lag: int) -> PolicyMap | None:
    rows = market.dates.get_indexer(book.record.dates[: len(book.decided)])
    return map_policy(book, signals, market.dates[np.maximum(rows - lag, 0)])
