"""Features of risk: how much a symbol moves, and how much of that it shares with the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from alfred.data.features.momentum import History, PanelFeature
from alfred.typing import FloatArray

_SESSIONS_A_YEAR = 252


def _volatility(window: int) -> Callable[[History], FloatArray]:
    """Return the standard deviation of daily log returns over a window, a year; half of them must be known."""

    def compute(history: History) -> FloatArray:
        returns = pd.DataFrame(history.market.log_returns().astype(np.float64))
        deviation = returns.rolling(window, min_periods=window // 2).std().to_numpy()
        return np.asarray(deviation * np.sqrt(_SESSIONS_A_YEAR))

    return compute


def _correlation(window: int) -> Callable[[History], FloatArray]:
    """Return the correlation of daily log returns with those of the benchmark; half of them must be known."""

    def compute(history: History) -> FloatArray:
        market = history.market
        returns = pd.DataFrame(market.log_returns().astype(np.float64))
        benchmark = returns[market.index_of(market.benchmark)]
        # pandas' rolling correlation carries its rounding errors along: 1 may come out a little larger.
        found = returns.rolling(window, min_periods=window // 2).corr(benchmark).to_numpy()
        return np.asarray(np.clip(found, -1.0, 1.0))

    return compute


RISK_FEATURES: Mapping[str, PanelFeature] = {
    "volatility_5": PanelFeature(("close",), _volatility(5)),
    "volatility_60": PanelFeature(("close",), _volatility(60)),
    "correlation_60": PanelFeature(("close",), _correlation(60)),
}
