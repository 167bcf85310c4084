"""Laws that hold whatever is traded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alfred.data.perturbation import scramble_after
from alfred.envs import (
    ActionSettings,
    ConstraintSettings,
    ImpactSettings,
    PortfolioEnv,
    PortfolioSettings,
    PortfolioVectorEnv,
    RiskSettings,
)
from alfred.errors import ConfigError, DataError, SignalError
from tests.conftest import make_random_market
from tests.envs.markets import make_settings, make_typed_market
from tests.envs.test_interfaces import make_signals
from tests.envs.test_reference import make_rough_market

EVERYTHING: dict[str, Any] = {
    "cost_bps": 4.0,
    "slippage_bps": 6.0,
    "impact": ImpactSettings(kind="square_root", capital=1e4),
    "cash_rate_pct": 3.0,
    "borrow_rate_pct": 5.0,
    "margin_rate_pct": 2.0,
    "action": ActionSettings(mode="long_short", max_leverage=1.5),
    "risk": RiskSettings(stop_loss_pct=3.0, breaker_drawdown_pct=30.0, breaker_cooldown_days=3),
}


def test_the_books_close_over_ten_thousand_random_steps() -> None:
    """Change of wealth = gross + interest - every cost, each step and in sum; gross is units times price changes."""
    market = make_random_market(10_002, 3, seed=2)
    # Mostly in cash, so that ten thousand days of random trading leave something to account for.
    settings = make_settings(**{**EVERYTHING, "impact": ImpactSettings(kind="square_root", capital=10.0)})
    env = PortfolioEnv(market, None, settings)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    before, total = 1.0, 0.0
    for step in range(10_000):
        _, _, terminated, truncated, info = env.step(0.1 * rng.uniform(-1, 1, 4))
        costs = info["commission"] + info["spread"] + info["impact"] + info["borrow"]
        change = info["gross"] + info["interest"] - costs
        assert info["wealth"] - before == pytest.approx(change, abs=1e-12), step
        assert info["cost"] * before == pytest.approx(costs, abs=1e-12)
        total += change
        before = info["wealth"]
        assert not terminated
        assert not truncated
    assert 1.0 + total == pytest.approx(before, abs=1e-9)
    assert 0.05 < before < 20


@pytest.mark.parametrize("name", ["cost_bps", "slippage_bps", "borrow_rate_pct", "margin_rate_pct"])
def test_more_cost_never_leaves_more_wealth(name: str) -> None:
    # A stop or a breaker may fire on one path and not on the other, and be lucky; both are left out.
    market, rng = make_random_market(60, 4), np.random.default_rng(1)
    actions = rng.uniform(-1, 1, (60, 8, 5))
    path = []
    for value in (0.0, 5.0, 50.0):
        env = PortfolioVectorEnv(8, market, None, make_settings(**{**EVERYTHING, "risk": RiskSettings(), name: value}))
        env.reset(seed=0)
        path.append(np.stack([env.step(actions[step])[4]["wealth"] for step in range(58)]))
    assert (path[0] >= path[1]).all()
    assert (path[1] >= path[2]).all()
    assert (path[0][-1] > path[2][-1]).all()


def test_what_is_not_traded_costs_nothing() -> None:
    env = PortfolioEnv(make_random_market(30, 3), None, make_settings(cost_bps=50.0))
    env.reset(seed=0)
    env.step(np.array([0.0, 0.0, -1.0, -1.0]))
    for _ in range(10):
        _, _, _, _, info = env.step(2 * env.simulator.drifted[0] - 1)
        assert info["cost"] == pytest.approx(0.0, abs=1e-15)
        assert info["turnover"] == pytest.approx(0.0, abs=1e-12)


def test_the_order_of_the_assets_does_not_matter() -> None:
    market = make_rough_market(4, 40, 5, holes=True, move=0.02)
    order = [3, 0, 4, 2, 1]
    shuffled = market.select([market.symbols[i] for i in order])
    limits = ConstraintSettings(max_weight=0.4, max_sector_weight=0.6, max_turnover=0.5)
    settings = make_settings(**EVERYTHING, constraints=limits)
    one, two = PortfolioEnv(market, None, settings), PortfolioEnv(shuffled, None, settings)
    one.reset(seed=0)
    two.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(38):
        action = rng.uniform(-1, 1, 6)
        first, second = one.step(action), two.step(action[[*order, 5]])
        assert first[1] == pytest.approx(second[1], abs=1e-12)
        np.testing.assert_allclose(first[0]["weights"][[*order, 5]], second[0]["weights"], atol=1e-6)


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
@pytest.mark.parametrize("row", [5, 17, 30])
def test_an_observation_knows_nothing_of_what_comes_after_it(execution: str, row: int) -> None:
    """Prices, volume and halts after t are drawn anew; what is seen at t stays to the bit."""
    market = make_random_market(80, 4, seed=3, late_listing=True)
    settings = make_settings(
        **EVERYTHING, execution=execution, lookback=4, constraints=ConstraintSettings(max_weight=0.5)
    )
    actions = np.random.default_rng(0).uniform(-1, 1, (row, 5))

    def see(shown: Any) -> dict[str, np.ndarray]:
        env = PortfolioEnv(shown, make_signals(), settings)
        observation, _ = env.reset(seed=0)
        for action in actions:
            observation, *_ = env.step(action)
        return observation

    truth = see(market)
    for seed in range(3):
        # After `row` decisions, the first taken at session 0, the next is taken at session `row`.
        for key, array in see(scramble_after(market, market.dates[row], seed)).items():
            np.testing.assert_array_equal(array, truth[key], err_msg=key)
    # The test can fail: with the scramble one session earlier, every part that moves is another.
    caught = see(scramble_after(market, market.dates[row - 1], 0))
    assert {key for key in truth if (caught[key] != truth[key]).any()} >= {"weights", "market", "returns"}


def test_the_tape_is_shared_and_not_copied_for_each_portfolio() -> None:
    env = PortfolioVectorEnv(64, make_random_market(300, 4), None, PortfolioSettings())
    other = PortfolioVectorEnv(8, tape=env.tape)
    env.reset(seed=0)
    assert other.tape is env.tape
    per_portfolio = sum(a.nbytes for a in vars(env.simulator).values() if isinstance(a, np.ndarray)) / 64
    assert per_portfolio < env.tape.overnight.nbytes / 10


@pytest.mark.parametrize(("execution", "needed"), [("next_open", 3), ("next_close", 4), ("close", 3)])
def test_too_few_sessions_are_named(execution: str, needed: int) -> None:
    market, settings = make_random_market(30, 3), make_settings(execution=execution)
    assert PortfolioEnv(market, None, settings, end=str(market.dates[needed - 1])).tape.n_bars == 2
    with pytest.raises(DataError, match=f"only {needed - 1} sessions .* an episode needs at least {needed};"):
        PortfolioEnv(market, None, settings, end=str(market.dates[needed - 2]))


def test_what_the_data_lack_is_named() -> None:
    closes = make_typed_market(ohlc=False)
    with pytest.raises(ConfigError, match="needs open prices, and this market has closes only; use 'next_close'"):
        PortfolioEnv(closes, None, PortfolioSettings(execution="next_open"))
    with pytest.raises(ConfigError, match=r"stop_loss_pct is 5\.0, but this market has closes only"):
        PortfolioEnv(closes, None, PortfolioSettings(risk=RiskSettings(stop_loss_pct=5.0)))
    with pytest.raises(DataError, match="has no 'volume'"):
        PortfolioEnv(closes, None, PortfolioSettings(impact=ImpactSettings(kind="linear")))
    plain = PortfolioEnv(make_random_market(30, 3)).tape
    with pytest.raises(ConfigError, match=r"impact\.kind is 'linear', but the tape was made without impact"):
        PortfolioEnv(None, None, PortfolioSettings(impact=ImpactSettings(kind="linear")), tape=plain)
    with pytest.raises(ConfigError, match=r"needs market=\.\.\. \(or tape=\.\.\.\)"):
        PortfolioEnv()


def test_signals_of_another_market_are_refused() -> None:
    with pytest.raises(SignalError, match="make the signals from this market"):
        PortfolioEnv(make_random_market(80, 3), make_signals())
    with pytest.raises(SignalError, match="there are no signals for"):
        PortfolioEnv(make_random_market(90, 4), make_signals())
