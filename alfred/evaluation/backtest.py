"""What happened: one policy, walked through one environment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.data.market import FloatArray


@dataclass(frozen=True, eq=False)
class Backtest:
    """The daily record of one policy.

    Axes legend: T dates, N symbols. Returns are simple, from the close of the session before to the close of `dates`;
    `net = gross - costs` holds exactly.

    Attributes:
        name: Name of the policy.
        dates: Sessions at whose close wealth is marked, `[T]`.
        symbols: Names of the assets, `[N]`.
        weights: Weights at the close, cash last, `[T, N+1]`.
        gross: Return before costs, `[T]`.
        costs: Costs paid, as a fraction of the wealth at the close before, `[T]`.
        net: Return after costs, `[T]`.
        turnover: Half the sum of absolute weight changes at the trades of the session, `[T]`.
        benchmark: Return of the benchmark itself, free of cost, `[T]`.
    """

    name: str
    dates: pd.DatetimeIndex
    symbols: tuple[str, ...]
    weights: FloatArray
    gross: FloatArray
    costs: FloatArray
    net: FloatArray
    turnover: FloatArray
    benchmark: FloatArray

    @property
    def wealth(self) -> FloatArray:
        """Wealth at each close from one unit at the close before the first date, `[T]`."""
        return np.cumprod(1.0 + self.net)
