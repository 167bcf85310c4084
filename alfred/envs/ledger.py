"""The ledger: what trading and holding do to wealth. Pure functions over P portfolios at once.

Every agent, baseline, rule and benchmark is booked by these functions and by nothing else.

Axes legend: P portfolios, N symbols; arrays of width N+1 hold cash last. All values are fractions of the wealth before
the trade, so that one unit of wealth suffices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

# Newton's method on a convex piecewise-linear function ends exactly after as many steps as there are kinks between
# start and root; in practice two or three. The bound only guards against a bug.
_MAX_PASSES = 64


class Trade(NamedTuple):
    """The result of one rebalancing of P portfolios.

    Attributes:
        weights: Weights after the trade, cash last, summing to one, `[P, N+1]`.
        growth: Wealth after over wealth before, `[P]`: one less the cost.
        cost: Cost paid, as a fraction of the wealth before, `[P]`.
        turnover: Half the sum of absolute weight changes, cash included, `[P]`.
    """

    weights: Float
    growth: Float
    cost: Float
    turnover: Float


def solve_trade(drifted: Float, target: Float, rates: Float, frozen: npt.NDArray[np.bool_] | None = None) -> Trade:
    """Rebalance to target weights and pay proportional costs out of wealth, solved exactly.

    The wealth after the trade, b, solves `b + sum_i c_i |w_i b - d_i| = 1` with drifted holdings d and target weights
    w: the cost is charged on what is really traded at the prices after the cost, not on the turnover before it. The
    left side is convex, increasing and piecewise linear in b, so Newton's method from the right ends at the root.

    Args:
        drifted: Holdings before the trade as fractions of wealth, `[P, N+1]`.
        target: Target weights, not negative in cash, summing to one, `[P, N+1]`.
        rates: Cost per unit of traded value, `[N+1]`, zero for cash.
        frozen: Assets that cannot be traded, `[P, N+1]`, or None when all can. Their value stays; the targets of the
            others share what is left in proportion.
    """
    if frozen is None:
        budget = np.ones(len(drifted))
        held = np.zeros(1)
        moved = drifted
    else:
        held = np.where(frozen, drifted, 0.0)
        moved = np.where(frozen, 0.0, drifted)
        budget = 1.0 - held.sum(axis=1)
        target = np.where(frozen, 0.0, target)
        total = target.sum(axis=1, keepdims=True)
        # Everything that was asked for is frozen: the rest goes to cash, which always trades.
        target = np.divide(target, total, out=np.zeros_like(target), where=total > 0)
        target[:, -1] += total[:, 0] <= 0
    after = budget.copy()
    for _ in range(_MAX_PASSES):
        difference = target * after[:, None] - moved
        excess = after + np.abs(difference) @ rates - budget
        slope = 1.0 + (target * np.sign(difference)) @ rates
        step = excess / slope
        after -= step
        if np.all(np.abs(step) <= 1e-16):
            break
    values = target * after[:, None] + held
    growth = values.sum(axis=1)
    weights = values / growth[:, None]
    # Turnover is measured at execution, before costs shrink the base: traded value over the wealth before the trade.
    turnover = 0.5 * np.abs(values - drifted).sum(axis=1)
    return Trade(weights, growth, 1.0 - growth, turnover)


def drift(weights: Float, factors: Float) -> tuple[Float, Float]:
    """Hold through a move of prices.

    Args:
        weights: Weights before, cash last, `[P, N+1]`.
        factors: Price after over price before, `[P, N+1]`, the factor of cash last.

    Returns:
        The weights after, `[P, N+1]`, and the growth of wealth, `[P]`.
    """
    values = weights * factors
    growth = values.sum(axis=1)
    return values / growth[:, None], growth
