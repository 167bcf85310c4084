"""Risk: rules that sell without asking the agent. Pure functions over P portfolios.

A stop-loss is an order that rests in the market: it fires inside a bar when the low reaches a given loss below the
average entry price of the position (for a short position: when the high reaches it above), and is filled at that level,
or at the open when the open lies beyond it already. One that looks at closes alone is decided at a close like anything
else, and sold at the next execution. A stopped asset stays in cash until the next decision. The breaker
sells everything once the wealth at a close lies too far below its peak, and lets the agent back in after a cool-down.
Neither is held back by the turnover limit, and neither can sell what does not trade.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alfred.typing import Float

Bool = npt.NDArray[np.bool_]


class Bars(NamedTuple):
    """How far prices went inside a bar, relative to the execution price before it, cash last, `[P, N+1]` each.

    Attributes:
        open: Open of the bar, 1 when the execution was at that open.
        low: Low; infinite where the asset does not trade, so that nothing fires.
        high: High; minus infinite where the asset does not trade.
    """

    open: Float
    low: Float
    high: Float


def update_gain(gain: Float, before: Float, after: Float) -> Float:
    """Return price over average entry price after a trade, `[P, N+1]`.

    Buying more averages the entry price, selling a part leaves it, and a position that is new or changes its side
    starts at one.

    Args:
        gain: Price over average entry price before the trade, one where nothing is held.
        before: Value held before the trade.
        after: Value held after it, in the same unit.
    """
    same_side = before * after > 0
    grown = same_side & (np.abs(after) > np.abs(before))
    # Cost basis of what was held, plus what was bought at the price of now.
    averaged = np.divide(after, before / gain + after - before, out=np.ones_like(gain), where=grown)
    return np.where(grown, averaged, np.where(same_side, gain, 1.0))


def find_stopped(weights: Float, gain: Float, stop: float) -> Bool:
    """Return where the present price alone fires a stop, as after a gap, `[P, N+1]`.

    Args:
        weights: Holdings; the sign is the side.
        gain: Price over average entry price.
        stop: Loss that fires, as a fraction.
    """
    return ((weights > 0) & (gain <= 1.0 - stop)) | ((weights < 0) & (gain >= 1.0 + stop))


def fire_stops(weights: Float, gain: Float, bars: Bars, stop: float) -> tuple[Bool, Float]:
    """Fire the stops of one bar.

    Args:
        weights: Holdings at the execution; the sign is the side, `[P, N+1]`.
        gain: Price over average entry price at the execution, `[P, N+1]`.
        bars: Where prices went.
        stop: Loss that fires, as a fraction.

    Returns:
        Where a stop fired, and the price at which it was filled over the execution price, both `[P, N+1]`.
    """
    long = (weights > 0) & (gain * bars.low <= 1.0 - stop)
    short = (weights < 0) & (gain * bars.high >= 1.0 + stop)
    fill = np.where(long, np.minimum(bars.open, (1.0 - stop) / gain), np.maximum(bars.open, (1.0 + stop) / gain))
    return long | short, fill


class Breaker:
    """The drawdown breaker of P portfolios.

    Attributes:
        peak: Highest wealth at a close since the start or the last cool-down, `[P]`.
        cooling: Sessions for which the book is still kept in cash, `[P]`.

    Args:
        depth: Drawdown that trips it, as a fraction.
        cooldown: Sessions in cash.
        n_portfolios: P.
    """

    def __init__(self, depth: float, cooldown: int, n_portfolios: int) -> None:
        """Allocate the state."""
        self.depth = depth
        self.cooldown = cooldown
        self.peak = np.ones(n_portfolios)
        self.cooling = np.zeros(n_portfolios, dtype=np.int64)

    def update(self, wealth: Float) -> None:
        """Take note of a session's wealth as it is known when the next trade is decided, `[P]`."""
        closed = self.cooling > 0
        self.cooling -= closed
        self.peak = np.where(closed, wealth, np.maximum(self.peak, wealth))
        tripped = wealth <= self.peak * (1.0 - self.depth)
        self.cooling = np.where(tripped, self.cooldown, self.cooling)
