"""Markets small enough to reckon by hand, and books kept in money rather than in weights."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.data.market import Market
from alfred.envs import ActionSettings, PortfolioEnv, PortfolioSettings, RewardSettings, encode_weights

SIMPLEX = ActionSettings(mode="simplex")
LOG_GROWTH = RewardSettings(kind="growth", risk_aversion=0.0, scale=1.0)


def make_typed_market(ohlc: bool = True) -> Market:
    """Five sessions of two assets, A and the benchmark B, with prices that are easy to reckon with."""
    opened = np.array([[10.0, 100.0], [10.0, 100.0], [12.0, 110.0], [15.0, 99.0], [15.0, 100.0]])
    close = np.array([[10.0, 100.0], [11.0, 110.0], [12.0, 99.0], [15.0, 90.0], [18.0, 90.0]])
    fields = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close)}
    return Market.from_arrays(
        pd.bdate_range("2020-01-06", periods=5),
        ["A", "B"],
        close,
        benchmark="B",
        **(fields if ohlc else {}),  # type: ignore[arg-type]
    )


def walk(env: PortfolioEnv, weights: np.ndarray) -> list[tuple[float, dict]]:
    """Step through an episode with target weights, one row a step (the last row is repeated)."""
    env.reset(seed=0)
    steps = []
    done = False
    while not done:
        row = weights[min(len(steps), len(weights) - 1)]
        _, reward, terminated, truncated, info = env.step(encode_weights(row, env.settings.action))
        steps.append((reward, info))
        done = terminated or truncated
    return steps


def make_settings(**changes: object) -> PortfolioSettings:
    """Settings that trade weights as given and pay plain log growth, free of cost, unless changed."""
    base = {"action": SIMPLEX, "reward": LOG_GROWTH, "cost_bps": 0.0, "slippage_bps": 0.0}
    return PortfolioSettings(**{**base, **changes})  # type: ignore[arg-type]
