"""The simulator against the reference ledger: same prices, actions, costs, stops and caps, same money."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.data.market import Market
from alfred.envs import (
    ActionSettings,
    ConstraintSettings,
    ImpactSettings,
    PortfolioEnv,
    PortfolioSettings,
    RiskSettings,
)
from alfred.envs.actions import compute_weights
from tests.envs.markets import LOG_GROWTH
from tests.envs.reference import Reference

_TOLERANCE = 1e-10


def make_rough_market(seed: int, n_dates: int, n_symbols: int, *, holes: bool, move: float) -> Market:
    """Bars with large moves and gaps; with `holes` also late listings, halts and a delisting."""
    rng = np.random.default_rng(seed)
    shape = (n_dates, n_symbols)
    close = 20 * np.exp(np.cumsum(rng.normal(0, move, shape), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, move, shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, move, shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, move, shape)))
    tradable = np.ones(shape, dtype=bool)
    if holes:
        tradable = rng.random(shape) > 0.15
        tradable[: n_dates // 4, 0] = False
        tradable[n_dates // 2 :, 1] = False
        tradable[:, -1] = True
    fields = [np.where(tradable, array, np.nan) for array in (close, opened, high, low)]
    symbols = [f"S{i}" for i in range(n_symbols - 1)] + ["SPY"]
    sectors = {symbol: ("Energy" if i % 2 else "Tech") for i, symbol in enumerate(symbols[:-1])}
    volume = np.where(tradable, rng.uniform(1e3, 1e5, shape), np.nan)
    return Market.from_arrays(
        pd.bdate_range("2015-01-05", periods=n_dates),
        symbols,
        fields[0],
        benchmark="SPY",
        tradable=tradable,
        open=fields[1],
        high=fields[2],
        low=fields[3],
        volume=volume,
        sectors=sectors,
    )


def optional(values: st.SearchStrategy[float]) -> st.SearchStrategy[float | None]:
    return st.none() | values


@st.composite
def draw_settings(draw: st.DrawFn) -> PortfolioSettings:
    mode = draw(st.sampled_from(["softmax", "simplex", "long_short"]))
    caps = st.sampled_from([0.3, {"Tech": 0.4}, {"Tech": 0.2, "Energy": 0.5}])
    return PortfolioSettings(
        cost_bps=draw(st.sampled_from([0.0, 5.0, 80.0])),
        slippage_bps=draw(st.sampled_from([0.0, 7.0])),
        impact=ImpactSettings(
            kind=draw(st.sampled_from(["none", "square_root", "linear"])), capital=draw(st.sampled_from([1e3, 1e5]))
        ),
        execution=draw(st.sampled_from(["next_open", "next_close", "close"])),
        rebalance_every=draw(st.integers(1, 4)),
        cash_rate_pct=draw(st.sampled_from([0.0, 4.0])),
        borrow_rate_pct=draw(st.sampled_from([0.0, 30.0])),
        delisting_after=draw(st.sampled_from([None, 2, 4])),
        delisting_payout_pct=draw(st.sampled_from([40.0, 70.0, 100.0])),
        margin_rate_pct=draw(st.sampled_from([0.0, 8.0])),
        action=ActionSettings(mode=mode, logit_scale=8.0, max_leverage=draw(st.sampled_from([0.7, 1.0, 1.6]))),
        constraints=ConstraintSettings(
            max_weight=draw(optional(st.floats(0.1, 0.9))),
            max_sector_weight=draw(st.none() | caps),
            max_turnover=draw(optional(st.floats(0.05, 1.0))),
        ),
        risk=RiskSettings(
            stop_loss_pct=draw(optional(st.floats(2.0, 30.0))),
            breaker_drawdown_pct=draw(optional(st.floats(3.0, 30.0))),
            breaker_cooldown_days=draw(st.integers(1, 5)),
        ),
        reward=LOG_GROWTH,
    )


def compare(market: Market, chosen: PortfolioSettings, actions: np.ndarray) -> None:
    """Walk the environment and the reference side by side."""
    targets = compute_weights(actions, chosen.action)
    env = PortfolioEnv(market, None, chosen)
    env.reset(seed=0)
    rows = Reference(market, chosen).run([[float(w) for w in row] for row in targets])
    before = 1.0
    for number, row in enumerate(rows):
        _, reward, terminated, truncated, info = env.step(actions[number])
        expected: dict[str, Any] = {name: getattr(row, name) for name in vars(row) if name != "weights"}
        actual = {name: info[name] for name in expected}
        assert actual == pytest.approx(expected, rel=_TOLERANCE, abs=_TOLERANCE), f"step {number}"
        np.testing.assert_allclose(env.simulator.drifted[0], row.weights, rtol=0, atol=_TOLERANCE)
        assert reward == pytest.approx(np.log(row.wealth / before), abs=_TOLERANCE)
        assert not terminated
        assert truncated == (number == len(rows) - 1)
        before = row.wealth


@settings(deadline=None, max_examples=80)
@given(draw_settings(), st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0.005, 0.03]))
def test_kernel_equals_the_reference_ledger(chosen: PortfolioSettings, seed: int, holes: bool, move: float) -> None:
    market = make_rough_market(seed, 16, 4, holes=holes, move=move)
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1.3, 1.3, (16, 5))
    actions[rng.random(16) < 0.3] = -1.0
    compare(market, chosen, actions)


@settings(deadline=None, max_examples=20)
@given(draw_settings(), st.integers(0, 2**32 - 1))
def test_portfolios_in_lock_step_do_not_disturb_one_another(chosen: PortfolioSettings, seed: int) -> None:
    """Each of many portfolios equals one that is alone: rows with forced sales, freezes and ends do not leak."""
    from alfred.envs import PortfolioVectorEnv

    market = make_rough_market(seed, 16, 4, holes=True, move=0.03)
    actions = np.random.default_rng(seed).uniform(-1, 1, (20, 3, 5))
    together = PortfolioVectorEnv(3, market, None, chosen)
    together.reset(seed=0)
    alone = [PortfolioEnv(market, None, chosen) for _ in range(3)]
    for env in alone:
        env.reset(seed=0)
    for step in actions:
        observation, reward, terminated, truncated, info = together.step(step)
        for row, env in enumerate(alone):
            seen, paid, ended, cut, told = env.step(step[row])
            final = info["final_info"] if ended or cut else info
            assert paid == pytest.approx(reward[row], rel=1e-12, abs=1e-13)
            assert (ended, cut) == (terminated[row], truncated[row])
            for name, value in told.items():
                assert final[name][row] == pytest.approx(value, rel=1e-12, abs=1e-13), name
            if ended or cut:
                seen, _ = env.reset()
            for key, array in seen.items():
                np.testing.assert_allclose(observation[key][row], array, atol=1e-6)
