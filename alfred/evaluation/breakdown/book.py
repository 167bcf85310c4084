"""What a book held and earned in each part of a session, worked out from its record.

A record says what was held at each close. Together with the prices that says what was held after each trade, what every
asset added, and what was decided: the same decisions can then be booked again on other terms (`rebooking.py`).

Axes legend: T marks, N symbols, E execution bars, L parts of a session (the night before
the trade, and the day after it where trades are made at the open).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfred.data.market import Market
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.ledger import TradingCosts, compute_fee, drift, move_to_cash
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.evaluation.backtest import Backtest
from alfred.typing import BoolArray, FloatArray

_SAME = 1e-9  # of wealth a session: a book that does not close to this was traded inside a session
_TRADED = 1e-9  # of turnover


@dataclass(frozen=True, eq=False)
class Book:
    """A record, opened.

    Attributes:
        record: The record.
        before: Weights just before the trade of each bar, `[E, N+1]`.
        after: Weights just after it, `[E, N+1]`.
        decided: Whether anything was traded, `[E]`.
        amounts: What was held in each part of a session, in units of the wealth at the close before, `[L, T, N+1]`.
        returns: What each asset and cash returned in that part, `[L, T, N+1]`.
    """

    record: Backtest
    before: FloatArray
    after: FloatArray
    decided: BoolArray
    amounts: FloatArray
    returns: FloatArray

    @property
    def earned(self) -> FloatArray:
        """What each asset and cash added in a session before costs and fees, `[T, N+1]`."""
        return np.asarray((self.amounts * self.returns).sum(axis=0))

    @property
    def gap(self) -> float:
        """The largest difference of a session between what was added, less costs and fees, and the net return."""
        rest = self.earned.sum(axis=1) - self.record.costs - self.record.net
        return float(np.abs(rest).max()) if len(rest) else 0.0

    @property
    def closes(self) -> bool:
        """Whether the parts add up to the net returns of the record."""
        return self.gap < _SAME


def lay_out(market: Market, record: Backtest, settings: PortfolioSettings) -> Tape:
    """Return the tape of the bars of a record."""
    row = int(market.dates.get_indexer(record.dates[:1])[0])
    # With execution at the close, the close of the decision is the first mark.
    return prepare_tape(
        market,
        None,
        settings,
        start=market.dates[row if settings.execution == "close" else max(row - 1, 0)],
        end=record.dates[-1],
        holdable=market.symbols,
    )


def open_book(record: Backtest, tape: Tape, settings: PortfolioSettings) -> Book:
    """Work out what a record held and earned.

    Args:
        record: The record.
        tape: Of the same bars; see `lay_out`.
        settings: The terms of the market.
    """
    n_bars, width = tape.n_bars, len(tape.symbols) + 1
    n_marks = len(record.dates)
    held = record.weights[:n_bars]
    empty = np.eye(1, width, width - 1)
    prior = np.vstack([empty, record.weights])[:n_marks]
    night = np.vstack([np.ones((1, width)), tape.overnight])[:n_marks]
    costs = TradingCosts.from_settings(settings, width - 1, tape.periods_per_year)
    fees = compute_fee(prior, costs.short_rate, costs.loan_rate)
    fees[0] = 0.0
    before, _ = drift(prior, night, fees)
    before = move_to_cash(before[:n_bars], tape.delisted)
    n_parts = 1 if tape.intraday is None else 2
    amounts, returns = np.zeros((n_parts, n_marks, width)), np.zeros((n_parts, n_marks, width))
    amounts[0], returns[0] = prior, night - 1.0
    after = held
    if tape.intraday is not None:
        values = held / tape.intraday
        total = values.sum(axis=1, keepdims=True)
        after = np.divide(values, total, out=np.zeros_like(values), where=total > 0.0)
        # Wealth after the trade, from the wealth at the close: no cost has to be solved for.
        wealth = (1.0 + record.net[:n_bars])[:, None] * total
        amounts[1, :n_bars], returns[1, :n_bars] = after * wealth, tape.intraday - 1.0
    turnover = 0.5 * np.abs(after - before).sum(axis=1)
    return Book(record, before, after, turnover > _TRADED, amounts, returns)


def find_trades(book: Book, n_sessions: int) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """Return the bar and the weight changes `[N+1]` of the last sessions with a trade, newest first."""
    bars = np.flatnonzero(book.decided)[::-1][:n_sessions]
    return [(int(bar), np.asarray(book.after[bar] - book.before[bar])) for bar in bars]
