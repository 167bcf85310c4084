"""The ledger: what trading and holding do to wealth. Pure functions over P portfolios at once.

Every agent, baseline, rule and benchmark is booked by these functions and by nothing else. They keep no state, so that
the differentiable ledger can mirror them one to one.

Axes legend: P portfolios, N symbols; arrays of width N+1 hold cash last. All values are fractions of the wealth before
the trade, so that one unit of wealth suffices. A short position has a negative weight; its proceeds lie in cash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.envs.settings import MarketTerms
from alfred.jit import jit
from alfred.typing import Float

# Newton's method on a convex function ends exactly after as many passes as there are kinks between start and root; in
# practice two or three. The bound is reached only by a book that cannot pay for its trade.
_MAX_PASSES = 64
# Unpaid cost at which the solve has ended, as a fraction of wealth: a few roundings of the sum behind it.
_TOLERANCE = 4e-15
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class TradingCosts:
    """The terms of the market as fractions.

    Attributes:
        rates: Commission and half the spread for each unit traded, by asset with cash last (free), `[N+1]`.
        commission_share: Share of `rates` that is commission; the rest is spread.
        short_rate: Fee a session on the value of short positions.
        loan_rate: Fee a session on borrowed cash, on top of what cash earns.
    """

    rates: Float
    commission_share: float
    short_rate: float
    loan_rate: float

    @classmethod
    def from_settings(cls, settings: MarketTerms, n_symbols: int, periods_per_year: int) -> TradingCosts:
        """Turn basis points and per cent a year into fractions a trade and a session, for numpy and torch alike."""
        rate_bps = settings.cost_bps + settings.slippage_bps
        rates = np.full(n_symbols + 1, rate_bps / 1e4)
        rates[-1] = 0.0
        return cls(
            rates=rates,
            commission_share=settings.cost_bps / rate_bps if rate_bps else 0.0,
            short_rate=settings.borrow_rate_pct / 100.0 / periods_per_year,
            loan_rate=settings.margin_rate_pct / 100.0 / periods_per_year,
        )


class Impact(NamedTuple):
    """Market impact of one execution: trading a value x moves the price against the trader and costs `scale x^power`.

    Attributes:
        scale: For x as a fraction of wealth, zero for cash, `[P, N+1]`.
        power: 1.5 for impact with the square root of the traded value, 2 for impact linear in it.
    """

    scale: Float
    power: float


_NO_IMPACT = Impact(np.empty((0, 0)), 1.0)


class Trade(NamedTuple):
    """The result of one rebalancing of P portfolios.

    Attributes:
        weights: Weights after the trade, cash last, summing to one, `[P, N+1]`.
        growth: Wealth after over wealth before, `[P]`: one less the cost.
        proportional: Commission and spread paid, as a fraction of the wealth before, `[P]`.
        impact: Market impact paid, likewise, `[P]`.
        turnover: Half the sum of absolute weight changes, cash included, `[P]`.
    """

    weights: Float
    growth: Float
    proportional: Float
    impact: Float
    turnover: Float

    @property
    def cost(self) -> Float:
        """Everything paid for the trade, as a fraction of the wealth before, `[P]`."""
        return self.proportional + self.impact


def solve_trade(
    drifted: Float,
    target: Float,
    rates: Float,
    *,
    free: Float | None = None,
    impact: Impact | None = None,
    long_only: bool = True,
) -> Trade:
    """Rebalance to target weights and pay the costs out of wealth, solved exactly.

    The wealth after the trade, b, solves `b + sum_i c_i |x_i| + k_i |x_i|^p = 1` with trades `x = w b - d`, drifted
    holdings d and target weights w: the cost is charged on what is really traded at the prices after the cost, not on
    the turnover before it. The left side is convex in b, so Newton's method from the right ends at the largest root.
    Where no wealth is left that could pay for the trade, all of it is lost.

    Args:
        drifted: Holdings before the trade as fractions of wealth, `[P, N+1]`.
        target: Target weights, summing to one, `[P, N+1]`.
        rates: Cost per unit of traded value, `[N+1]`, zero for cash.
        free: One where a holding can be traded and zero where it is frozen, one for cash, `[P, N+1]`; None when all
            can. A frozen value stays; see `split_frozen`.
        impact: Market impact, or None without.
        long_only: Whether no weight, that of cash included, may become negative.
    """
    _check_shapes(drifted, target)
    if free is None:
        wanted, moved, total_held = target, drifted, np.zeros(len(drifted))
    else:
        wanted, held = split_frozen(drifted, target, free, long_only=long_only)
        moved, total_held = drifted - held, held.sum(axis=1)
    scale, power = _NO_IMPACT if impact is None else impact
    after, proportional, charge, turnover = solve_rows(moved, wanted, rates, total_held, scale, power)
    if free is None:
        return Trade(wanted, after, proportional, charge, turnover)
    growth = after + total_held
    values = wanted * after[:, None] + held
    return Trade(values / np.maximum(growth, _TINY)[:, None], growth, proportional, charge, turnover)


@jit
def solve_rows(
    moved: Float, wanted: Float, rates: Float, held: Float, scale: Float, power: float
) -> tuple[Float, Float, Float, Float]:
    """Solve the trade of each portfolio; `solve_trade` without its checks, for callers that are compiled.

    Args:
        moved: Holdings that can be traded, before the trade, `[P, N+1]`.
        wanted: Their target weights, summing to one, `[P, N+1]`.
        rates: Cost per unit of traded value, `[N+1]`.
        held: Value of what cannot be traded, `[P]`.
        scale: As in `Impact`; an empty one is no impact.
        power: As in `Impact`.

    Returns:
        Value of the free part after the trade, proportional cost, impact and turnover, each `[P]`.
    """
    n_portfolios, width = moved.shape
    solved, proportional = np.zeros(n_portfolios), np.zeros(n_portfolios)
    charge, turnover = np.zeros(n_portfolios), np.zeros(n_portfolios)
    for p in range(n_portfolios):
        budget = max(1.0 - held[p], 0.0)
        after = budget
        for _ in range(_MAX_PASSES):
            paid, pushed, traded, slope = 0.0, 0.0, 0.0, 1.0
            for i in range(width):
                change = wanted[p, i] * after - moved[p, i]
                size = abs(change)
                marginal = rates[i]
                paid += marginal * size
                traded += size
                if scale.size and size > 0.0:
                    pressure = scale[p, i] * size ** (power - 1.0)
                    pushed += pressure * size
                    marginal += power * pressure
                slope += math.copysign(marginal, change) * wanted[p, i]
            excess = after + paid + pushed - budget
            if excess <= _TOLERANCE:
                break
            # A slope that is not positive means that no smaller book could pay either: it then ends at nothing.
            after = max(after - excess / max(slope, _TINY), 0.0)
        if excess > _TOLERANCE:
            share = budget / max(paid + pushed, _TINY)
            paid, pushed, after = paid * share, pushed * share, 0.0
        solved[p], proportional[p], charge[p], turnover[p] = after, paid, pushed, 0.5 * traded
    return solved, proportional, charge, turnover


def split_frozen(drifted: Float, target: Float, free: Float, *, long_only: bool = True) -> tuple[Float, Float]:
    """Part a trade into what can be traded and what stays.

    In a long-only book the free part is a portfolio of its own: the targets of its members share in proportion what
    the frozen ones leave, and everything is cash when nothing free is wanted. Otherwise the targets of the free assets
    stand as they are and cash finances both them and the frozen ones.

    Args:
        drifted: Holdings before the trade, `[P, N+1]`.
        target: Target weights, `[P, N+1]`.
        free: One where a holding can be traded, zero where it is frozen, one for cash, `[P, N+1]`.
        long_only: Which of the two.

    Returns:
        Weights of the free part that sum to one, and the holdings that stay, both `[P, N+1]`.
    """
    _check_shapes(drifted, target)
    _check_shapes(drifted, free)
    return _split_rows(drifted, target, free, long_only)


@jit
def _split_rows(drifted: Float, target: Float, free: Float, long_only: bool) -> tuple[Float, Float]:
    n_portfolios, width = drifted.shape
    wanted, held = np.empty((n_portfolios, width)), np.empty((n_portfolios, width))
    cash = width - 1
    for p in range(n_portfolios):
        for i in range(width):
            held[p, i] = drifted[p, i] * (1.0 - free[p, i])
            wanted[p, i] = target[p, i] * free[p, i]
        if long_only:
            total = wanted[p].sum()
            if total > 0.0:
                wanted[p] /= total
            else:
                wanted[p, cash] = 1.0
        else:
            held[p, cash] = -held[p, :cash].sum()
            wanted[p, cash] = 1.0 - wanted[p, :cash].sum()
    return wanted, held


def drift(weights: Float, factors: Float, fee: Float | None = None) -> tuple[Float, Float]:
    """Hold through a move of prices.

    Args:
        weights: Weights before, cash last, `[P, N+1]`.
        factors: Price after over price before, `[P, N+1]`, the factor of cash last.
        fee: Paid from cash meanwhile, as a fraction of the wealth before, `[P]`, or None.

    Returns:
        The weights after, `[P, N+1]`, and the growth of wealth, `[P]`. A book that lost more than its wealth is left
        with no wealth, in cash.
    """
    _check_shapes(weights, factors)
    return drift_rows(weights, factors, np.zeros(len(weights)) if fee is None else fee)


@jit
def drift_rows(weights: Float, factors: Float, fee: Float) -> tuple[Float, Float]:
    """Return weights `[P, N+1]` and growth `[P]`; `drift` without its checks, for callers that are compiled."""
    n_portfolios, width = weights.shape
    values, growths = np.zeros((n_portfolios, width)), np.zeros(n_portfolios)
    for p in range(n_portfolios):
        growth = -fee[p]
        for i in range(width):
            values[p, i] = weights[p, i] * factors[p, i]
            growth += values[p, i]
        values[p, width - 1] -= fee[p]
        if growth > 0.0:
            growths[p] = growth
            for i in range(width):
                values[p, i] /= growth
        else:
            values[p] = 0.0
            values[p, width - 1] = 1.0
    return values, growths


def _check_shapes(first: Float, second: Float) -> None:
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"shapes {first.shape} and {second.shape} must be the same [P, N+1]")


def compute_fee(weights: Float, short_rate: float, loan_rate: float) -> Float:
    """Return the fee on what is borrowed, as a fraction of wealth, `[P]`.

    Args:
        weights: Weights, cash last, `[P, N+1]`.
        short_rate: Fee on the value of short positions, per session.
        loan_rate: Fee on borrowed cash, per session, on top of the rate that cash earns.
    """
    borrowed = np.maximum(-weights, 0.0)
    return np.asarray(borrowed[:, :-1].sum(axis=1) * short_rate + borrowed[:, -1] * loan_rate)


def liquidate(weights: Float, sold: npt.NDArray[np.bool_], rates: Float, impact: Impact | None = None) -> Trade:
    """Sell whole positions and pay the costs out of the proceeds, with everything else left as it is.

    Args:
        weights: Weights before, cash last, `[P, N+1]`.
        sold: What is sold, `[P, N+1]`.
        rates: Cost per unit of traded value, `[N+1]`, zero for cash.
        impact: Market impact, or None without.
    """
    size = np.abs(np.where(sold, weights, 0.0))
    proportional = size @ rates
    charge = np.zeros_like(proportional) if impact is None else (impact.scale * size**impact.power).sum(axis=1)
    after = move_to_cash(weights, sold)
    after[:, -1] -= proportional + charge
    growth = np.maximum(after.sum(axis=1), 0.0)
    turnover = 0.5 * np.abs(after - weights).sum(axis=1)
    return Trade(after / np.maximum(growth, _TINY)[:, None], growth, proportional, charge, turnover)


def move_to_cash(weights: Float, moved: npt.NDArray[np.bool_]) -> Float:
    """Return weights `[P, N+1]` after some of them were turned into cash, free of cost."""
    paid = np.where(moved, weights, 0.0)
    kept = weights - paid
    kept[:, -1] += paid.sum(axis=1)
    return kept
