"""Windows in units of their own: what features are computed from.

Axes legend: B batch, C context length, K bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfred.data.contexts import Contexts
from alfred.typing import Float

LEAST_VOLATILITY = 1e-4
"""One basis point a session, as of the labels."""


@dataclass(frozen=True, eq=False)
class Windows:
    """What features are computed from.

    Attributes:
        close: Closes over the last one, carried over halts, `[B, C]`; NaN in a window without any.
        moves: Log returns from bar to bar, `[B, C-1]`.
        volatility: Root mean square of the moves, `[B]`, at least a basis point.
        volume: Volume over its mean in the window, `[B, C]`, NaN where unknown; None when it is not read.
    """

    close: Float
    moves: Float
    volatility: Float
    volume: Float | None

    def scale(self, bars: int) -> Float:
        """Return the volatility of a move over some bars, `[B]`."""
        return self.volatility * float(np.sqrt(bars))


def read_windows(contexts: Contexts) -> Windows:
    """Return closes, moves and volume in units of the window."""
    close = _carry(contexts.field("close").astype(np.float64))
    moves = np.diff(np.log(close), axis=1)
    volatility = np.maximum(np.sqrt(np.mean(moves**2, axis=1)), LEAST_VOLATILITY)
    volume = None
    if "volume" in contexts.fields:
        traded = contexts.field("volume").astype(np.float64)
        mean = mean_known(traded)
        volume = traded / np.where(mean > 0, mean, np.nan)[:, None]
    return Windows(close / close[:, -1:], moves, volatility, volume)


def mean_known(values: Float) -> Float:
    """Return the mean of what is known in each row, `[B, K] -> [B]`; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def smooth(rows: Float, span: int, share: float) -> Float:
    """Smooth rows exponentially from the mean of the first `span` of them, as TA-Lib does, `[L, .] -> [L-span+1, .]`.

    Args:
        rows: Values in time, L of them.
        span: Rows in the first mean.
        share: Weight of a new row.
    """
    smoothed = [rows[:span].mean(axis=0)]
    for row in rows[span:]:
        smoothed.append(smoothed[-1] + share * (row - smoothed[-1]))
    return np.stack(smoothed)


def _carry(close: Float) -> Float:
    """Return closes with gaps filled by the close before, and by the first one before the first, `[B, C]`."""
    known = np.isfinite(close)
    if known.all():
        return close
    last = np.maximum.accumulate(np.where(known, np.arange(close.shape[1]), -1), axis=1)
    source = np.where(last < 0, np.argmax(known, axis=1)[:, None], last)
    return np.take_along_axis(close, source, axis=1)
