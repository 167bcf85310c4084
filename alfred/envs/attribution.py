"""What a step books: where a change of wealth came from, and the records that steps and backtests read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.jit import jit
from alfred.typing import Float

# Rows of what is booked: gross, commission and spread together, impact, borrow, interest, turnover.
N_ROWS = 6


class PnLAttribution(NamedTuple):
    """Where a change of wealth came from, in units of the wealth at the start of the episode, each `[P]`.

    `change of wealth = gross + interest - commission - spread - impact - borrow`.

    Attributes:
        gross: Gains and losses on the assets held.
        commission: Paid at `cost_bps`.
        spread: Paid at `slippage_bps`.
        impact: Paid to market impact.
        borrow: Fees on short positions and on borrowed cash.
        interest: Earned on cash, negative on borrowed cash.
    """

    gross: Float
    commission: Float
    spread: Float
    impact: Float
    borrow: Float
    interest: Float

    @property
    def costs(self) -> Float:
        """Everything paid: commission, spread, impact and borrow, `[P]`."""
        return self.commission + self.spread + self.impact + self.borrow


class StepResult(NamedTuple):
    """What one decision led to, for each of P portfolios.

    Attributes:
        reward: `[P]`.
        terminated: Ruined, `[P]`.
        truncated: At the end of the window, `[P]`.
        cost: Everything paid, as a fraction of the wealth before the trade, `[P]`.
        turnover: Half the sum of absolute weight changes, over all trades of the step, `[P]`.
        attribution: Where the change of wealth came from.
        any_done: Whether any portfolio was ruined or is at its end.
    """

    reward: Float
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    cost: Float
    turnover: Float
    attribution: PnLAttribution
    any_done: bool


class Mark(NamedTuple):
    """One marked close of every portfolio, for backtests.

    Attributes:
        bar: Bar index, `[P]`.
        wealth: At the close, `[P]`.
        weights: At the close, `[P, N+1]`.
        cost: Everything paid since the mark before, as a fraction of `opening`, `[P]`.
        turnover: Since the mark before, `[P]`.
        opening: Wealth just before the trade of this bar, `[P]`.
        attribution: Where the change of wealth since the start of the episode came from.
    """

    bar: npt.NDArray[np.int64]
    wealth: Float
    weights: Float
    cost: Float
    turnover: Float
    opening: Float
    attribution: PnLAttribution


class TradeMark(NamedTuple):
    """One trade of every portfolio, for backtests.

    Attributes:
        bar: Bar index, `[P]`.
        before: Weights just before the trade, `[P, N+1]`.
        after: Weights just after it, costs paid, `[P, N+1]`.
    """

    bar: npt.NDArray[np.int64]
    before: Float
    after: Float


def read_attribution(
    booked: Float, since: Float, wealth: Float, commission_share: float
) -> tuple[PnLAttribution, Float, Float]:
    """Read what was booked since an earlier moment.

    Args:
        booked: What `book_trade` and `book_holding` have added up so far, `[6, P]`.
        since: The same at the earlier moment, `[6, P]`.
        wealth: What costs are stated as a fraction of, `[P]`.
        commission_share: Part of the proportional cost that is commission.

    Returns:
        The attribution, the sum of their costs as a fraction of `wealth`, and the turnover, `[P]`.
    """
    rows = read_rows(booked, since, wealth, commission_share)
    return PnLAttribution(rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]), rows[6], rows[7]


@jit
def read_rows(booked: Float, since: Float, wealth: Float, commission_share: float) -> Float:
    """Return the attribution with cost and turnover below it, `[8, P]`; see `read_attribution`."""
    n_portfolios = booked.shape[1]
    rows = np.empty((8, n_portfolios))
    for p in range(n_portfolios):
        proportional = booked[1, p] - since[1, p]
        rows[0, p] = booked[0, p] - since[0, p]
        rows[1, p] = proportional * commission_share
        rows[2, p] = proportional - rows[1, p]
        for row in range(3, 6):
            rows[row, p] = booked[row - 1, p] - since[row - 1, p]
        # A book that was ruined earlier in the step has nothing left to pay from.
        rows[6, p] = (proportional + rows[3, p] + rows[4, p]) / wealth[p] if wealth[p] > 0.0 else 0.0
        rows[7, p] = booked[5, p] - since[5, p]
    return rows


@jit
def book_trade(
    booked: Float, wealth: Float, growth: Float, proportional: Float, impact: Float, turnover: Float
) -> Float:
    """Book a trade, in place, and return the wealth after it.

    Args:
        booked: What is added to, `[6, P]`.
        wealth: Before the trade, `[P]`.
        growth: Wealth after over wealth before, `[P]`.
        proportional: Commission and spread as a fraction of `wealth`, `[P]`.
        impact: Market impact, likewise, `[P]`.
        turnover: Turnover, `[P]`.
    """
    after = np.empty(len(wealth))
    for p in range(len(wealth)):
        booked[1, p] += wealth[p] * proportional[p]
        booked[2, p] += wealth[p] * impact[p]
        booked[5, p] += turnover[p]
        after[p] = wealth[p] * growth[p]
    return after


@jit
def book_holding(booked: Float, wealth: Float, growth: Float, fee: Float, interest: Float) -> Float:
    """Book what holding earned, in place, and return the wealth after it.

    Args:
        booked: What is added to, `[6, P]`.
        wealth: Before, `[P]`.
        growth: Wealth after over wealth before, net of the fee, `[P]`.
        fee: Paid on what is borrowed, as a fraction of `wealth`, `[P]`.
        interest: Earned on cash, likewise, `[P]`.
    """
    after = np.empty(len(wealth))
    for p in range(len(wealth)):
        after[p] = wealth[p] * growth[p]
        booked[0, p] += after[p] - wealth[p] + wealth[p] * (fee[p] - interest[p])
        booked[3, p] += wealth[p] * fee[p]
        booked[4, p] += wealth[p] * interest[p]
    return after
