"""Backtests that are made of returns, without an environment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alfred.evaluation.backtest import Backtest


def make_backtest(
    net: Sequence[float] | np.ndarray,
    name: str = "agent",
    *,
    benchmark: Sequence[float] | np.ndarray | None = None,
    costs: Sequence[float] | np.ndarray | None = None,
    weights: np.ndarray | None = None,
    symbols: tuple[str, ...] = ("AAA", "BBB"),
    start: str = "2015-01-02",
) -> Backtest:
    """A record with the given net returns, half in each of two symbols unless told otherwise."""
    returns = np.asarray(net, dtype=float)
    paid = np.zeros(len(returns)) if costs is None else np.asarray(costs, dtype=float)
    held = np.tile([0.5, 0.5, 0.0], (len(returns), 1)) if weights is None else weights
    changes = np.abs(np.diff(held, axis=0, prepend=held[:1])).sum(axis=1)
    return Backtest(
        name=name,
        dates=pd.bdate_range(start, periods=len(returns)),
        symbols=symbols,
        weights=held,
        gross=returns + paid,
        costs=paid,
        net=returns,
        turnover=0.5 * changes,
        benchmark=np.zeros(len(returns)) if benchmark is None else np.asarray(benchmark, dtype=float),
    )


def draw_returns(n_days: int, sharpes: Sequence[float], correlation: float, seed: int) -> np.ndarray:
    """Correlated normal daily returns with known annual Sharpe ratios, `[T, S]`, one per cent a day of volatility."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_days, 1))
    own = rng.standard_normal((n_days, len(sharpes)))
    noise = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return 0.01 * (noise + np.asarray(sharpes) / np.sqrt(252))
