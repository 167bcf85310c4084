"""A whole bar in one compiled call, where no setting and no market can interrupt it.

One portfolio alone spends its time between the calls of the ledger, not in them. `run_bar` calls the very functions
that `alfred.envs.simulator` calls one by one; a test holds both to the same bits.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from alfred.envs.attribution import PnLAttribution, book_holding, book_trade, read_rows
from alfred.envs.ledger import TradingCosts, drift_rows, solve_rows
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.jit import jit
from alfred.typing import BoolArray, Float

RUIN = 1e-6
"""Wealth at or below which a portfolio is ruined."""

BarResult: TypeAlias = tuple[npt.NDArray[np.int64], Float, Float, Float, Float, BoolArray, BoolArray, int]


class PlainBar(NamedTuple):
    """What every plain bar of a tape has in common, E bars.

    Attributes:
        rates: Cost per unit of traded value, `[N+1]`.
        intraday: Factors of prices from execution to close, `[E, N+1]`; empty where a bar executes at its close.
        overnight: Factors from close to the next execution, `[E, N+1]`.
        reference: Growth of the reference in each bar, `[E]`.
        commission_share: Part of the proportional cost that is commission.
    """

    rates: Float
    intraday: Float
    overnight: Float
    reference: Float
    commission_share: float

    @classmethod
    def make(cls, tape: Tape, settings: PortfolioSettings, costs: TradingCosts) -> PlainBar | None:
        """Return the plain bars of a tape; None where the settings have shorts, limits, stops, impact or long steps."""
        risk = settings.risk
        special = (
            not settings.action.long_only
            or settings.constraints.bind
            or risk.stop_loss_pct is not None
            or risk.breaker_drawdown_pct is not None
            or tape.impact_scale is not None
            or settings.rebalance_every > 1
        )
        if special:
            return None
        return cls(
            rates=costs.rates,
            intraday=np.empty((0, len(tape.symbols) + 1)) if tape.intraday is None else tape.intraday,
            overnight=tape.overnight,
            reference=tape.get_growth(settings.reward.reference),
            commission_share=costs.commission_share,
        )

    def run(
        self,
        bar: npt.NDArray[np.int64],
        stop: npt.NDArray[np.int64],
        wealth: Float,
        drifted: Float,
        target: Float,
        booked: Float,
    ) -> BarResult:
        """Trade, hold to the next execution and book it; see `run_bar`."""
        return run_bar(bar, stop, wealth, drifted, target, booked, *self)

    def read(self, numbers: Float) -> tuple[PnLAttribution, list[Float]]:
        """Split what `run` returns into the attribution, cost, turnover, wealth and growth of the reference, `[P]`."""
        rows = list(numbers)
        return PnLAttribution(*rows[:6]), rows[6:]


@jit
def run_bar(
    bar: npt.NDArray[np.int64],
    stop: npt.NDArray[np.int64],
    wealth: Float,
    drifted: Float,
    target: Float,
    booked: Float,
    rates: Float,
    intraday: Float,
    overnight: Float,
    reference: Float,
    commission_share: float,
) -> BarResult:
    """Trade, hold to the next execution and book it. Nobody is at the end of a window, nothing is halted or delisted.

    Args:
        bar: Bar of each portfolio, `[P]`.
        stop: Bar after the last of its window, `[P]`.
        wealth: Just before the trade, `[P]`.
        drifted: Weights just before the trade, `[P, N+1]`.
        target: Target weights, `[P, N+1]`.
        booked: Everything booked so far, added to in place, `[6, P]`.
        rates: The rest is described in `PlainBar`.
        intraday: See there.
        overnight: See there.
        reference: See there.
        commission_share: See there.

    Returns:
        The next bar `[P]`, the weights before the next trade and those at the close `[P, N+1]`, the numbers that
        `PlainBar.read` splits `[10, P]`, what was booked by the close with the wealth there below it `[7, P]`, who is
        ruined and who is at the end of the window `[P]`, and how many are either.
    """
    n_portfolios, width = drifted.shape
    nothing, since = np.zeros(n_portfolios), booked.copy()
    after, proportional, charge, turnover = solve_rows(drifted, target, rates, nothing, np.empty((0, 0)), 1.0)
    now = book_trade(booked, wealth, after, proportional, charge, turnover)
    known, factors = target, np.empty((n_portfolios, width))
    if len(intraday):
        for p in range(n_portfolios):
            factors[p] = intraday[bar[p]]
        known, growth = drift_rows(target, factors, nothing)
        now = book_holding(booked, now, growth, nothing, nothing)
    closing = np.empty((7, n_portfolios))
    closing[:6], closing[6] = booked, now
    interest, grown = np.empty(n_portfolios), np.empty(n_portfolios)
    for p in range(n_portfolios):
        factors[p] = overnight[bar[p]]
        interest[p] = known[p, width - 1] * (factors[p, width - 1] - 1.0)
        grown[p] = reference[bar[p]]
    following, growth = drift_rows(known, factors, nothing)
    now = book_holding(booked, now, growth, nothing, interest)
    numbers = np.empty((10, n_portfolios))
    numbers[:8] = read_rows(booked, since, wealth, commission_share)
    numbers[8], numbers[9] = now, grown
    ruined, ended, n_done = np.empty(n_portfolios, dtype=np.bool_), np.empty(n_portfolios, dtype=np.bool_), 0
    for p in range(n_portfolios):
        ruined[p] = now[p] <= RUIN
        ended[p] = bar[p] + 1 >= stop[p] and not ruined[p]
        n_done += int(ruined[p] or ended[p])
    return bar + 1, following, known, numbers, closing, ruined, ended, n_done
