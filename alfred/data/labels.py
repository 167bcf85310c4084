"""Labels: what forecasts are judged on, with the horizon that purging needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.asof import forward_fill
from alfred.errors import DataError
from alfred.typing import FloatArray

QUARTER_DAYS = 63
"""Sessions in a quarter."""

HORIZONS = (1, 5, 20, QUARTER_DAYS)
"""The customary horizons, in sessions."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What each symbol did over the horizon after each session.

    A label of the row t is known at the close of row t + `horizon` and not before; it must never stand beside a
    decision made before that. `make_folds` takes the horizon to keep it out of the next range.

    Axes legend: T dates, N symbols.

    Attributes:
        dates: Sessions, `[T]`.
        symbols: Names, `[N]`.
        horizon: Sessions ahead.
        magnitude: Change of the close over the horizon in per cent, `[T, N]`; NaN where it is not known in the market
            or the symbol did not trade at t.
    """

    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    horizon: int
    magnitude: FloatArray

    @property
    def direction(self) -> FloatArray:
        """1 where the close rose, 0 where it did not, NaN where unknown, `[T, N]`."""
        return np.where(np.isnan(self.magnitude), np.nan, (self.magnitude > 0).astype(np.float64))

    def known_until(self, date: pd.Timestamp | str) -> Labels:
        """Return the labels of the same rows that are known at the close of `date`; the others are NaN."""
        stop = int(self.dates.searchsorted(pd.Timestamp(date), side="right")) - self.horizon
        magnitude = self.magnitude.copy()
        magnitude[max(stop, 0) :] = np.nan
        return Labels(self.dates, self.symbols, self.horizon, magnitude)


def make_labels(market: Market, horizon: int) -> Labels:
    """Label every session of every symbol.

    A symbol that does not trade at t + horizon is taken at its last close before, so that a delisting counts with
    the price it ended at.

    Args:
        market: The market; the last `horizon` rows have no label.
        horizon: Sessions ahead; `QUARTER_DAYS` for the quarter's.

    Raises:
        DataError: The horizon is not positive.
    """
    if horizon < 1:
        raise DataError(f"the horizon of a label is {horizon} sessions; it must be at least 1")
    last = forward_fill(market.close).astype(np.float64)
    magnitude = np.full(market.close.shape, np.nan)
    with np.errstate(invalid="ignore"):
        magnitude[:-horizon] = (last[horizon:] / last[:-horizon] - 1) * 100
    magnitude[~market.tradable] = np.nan
    return Labels(market.dates, market.symbols, horizon, magnitude)
