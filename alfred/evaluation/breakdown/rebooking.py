"""The same decisions on other terms: other costs, and an execution one session later.

Nothing is approximated: the weights that each trade led to are handed to the simulator again, and it books them at the
other costs. The decisions are held fixed. A policy that looks at costs or at its own weights might have decided
otherwise.

Axes legend: P books, E execution bars, N symbols, T marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.evaluation.breakdown.book import Book
from alfred.evaluation.portfolio_metrics import compute_cagr, compute_sharpe
from alfred.typing import FloatArray

COSTS_BPS = (0.0, 5.0, 10.0, 20.0, 50.0)
"""What the decisions are booked at, for each unit of traded value, commission and spread together."""


@dataclass(frozen=True)
class Terms:
    """Decisions booked on other terms.

    Attributes:
        cost_bps: Cost of each unit of traded value, in basis points.
        lag: Sessions by which every trade came later.
        own: Whether these are the terms of the run.
        sharpe: Annual Sharpe ratio in excess of cash, by the order of the books; NaN without spread.
        cagr: Growth a year, likewise.
    """

    cost_bps: float
    lag: int
    own: bool
    sharpe: tuple[float, ...]
    cagr: tuple[float, ...]


def rebook_all(books: Sequence[Book], tape: Tape, settings: PortfolioSettings) -> list[Terms]:
    """Book the decisions of some books at other costs, and one session later at their own.

    Args:
        books: Of the same bars; the strategy first.
        tape: Of these bars.
        settings: The terms of the run.
    """
    own = settings.cost_bps + settings.slippage_bps
    records = [book.record for book in books]
    found = []
    for cost, lag in [*((cost, 0) for cost in sorted({*COSTS_BPS, own})), (own, 1)]:
        if lag == 0 and cost == own:
            net = np.column_stack([record.net for record in records])
        else:
            net = rebook(books, tape, settings, cost, lag)
        excess = net - np.column_stack([record.cash_return for record in records])
        periods = records[0].periods_per_year
        found.append(
            Terms(
                cost_bps=cost,
                lag=lag,
                own=lag == 0 and cost == own,
                sharpe=tuple(compute_sharpe(series, periods) for series in excess.T),
                cagr=tuple(compute_cagr(series, periods) for series in net.T),
            )
        )
    return found


def rebook(books: Sequence[Book], tape: Tape, settings: PortfolioSettings, cost_bps: float, lag: int = 0) -> FloatArray:
    """Return the net returns of decisions on other terms, `[T, P]`.

    Args:
        books: Of the same bars.
        tape: Of these bars.
        settings: The terms of the run.
        cost_bps: Commission and spread together, for each unit of traded value.
        lag: Sessions by which every trade comes later.
    """
    long_only = all(bool((book.after >= 0.0).all()) for book in books)
    action = settings.action.model_copy(update={"mode": "simplex"}) if long_only else settings.action
    terms = settings.lift_mandate().model_copy(
        update={"cost_bps": cost_bps, "slippage_bps": 0.0, "action": action, "rebalance_every": 1}
        | {"observation": "dict", "episode_length": None}
    )
    simulator = PortfolioSimulator(tape, terms, len(books), record=True)
    n_books = len(books)
    simulator.reset(np.zeros(n_books, dtype=np.int64), np.full(n_books, tape.n_bars))
    targets = np.stack([book.after for book in books], axis=1)
    decided = np.stack([book.decided for book in books], axis=1)
    anybody, everybody = np.asarray(decided.any(axis=1)), np.asarray(decided.all(axis=1))
    for bar in range(tape.n_bars):
        row = bar - lag
        if row < 0 or not anybody[row]:
            simulator.step(None)
        elif everybody[row]:
            simulator.step(targets[row])
        else:
            simulator.step(np.where(decided[row][:, None], targets[row], simulator.drifted))
    wealth = np.stack([mark.wealth for mark in simulator.marks])
    if len(wealth) < len(books[0].record.dates):
        wealth = np.vstack([wealth, simulator.wealth[None]])  # the last close has no trade of its own
    before = np.vstack([np.ones((1, n_books)), wealth[:-1]])
    return np.divide(wealth, before, out=np.ones_like(wealth), where=before > 0.0) - 1.0
