"""Rewards against their formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.data import Market
from alfred.envs import ActionSettings, PortfolioEnv, PortfolioSettings, PortfolioVectorEnv, RewardSettings, make_tape
from alfred.envs.market_features import MARKET_FEATURES, compute_market_features
from alfred.envs.rewards import RewardState, compute_reward, differentiate_sharpe
from alfred.envs.simulator import PortfolioSimulator
from tests.conftest import make_random_market
from tests.envs.markets import make_settings

MARKET = make_random_market(60, 4, seed=1)


def play(reward: RewardSettings, n_steps: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray, PortfolioEnv]:
    """Return the rewards, the wealth after each step and the turnover of a random policy."""
    env = PortfolioEnv(MARKET, None, make_settings(cost_bps=20.0, reward=reward))
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    rows = [env.step(rng.uniform(-1, 1, 5)) for _ in range(n_steps)]
    wealth, turnover = (np.array([row[4][name] for row in rows]) for name in ("wealth", "turnover"))
    return np.array([row[1] for row in rows]), wealth, turnover, env


def test_growth_adds_up_to_log_wealth() -> None:
    rewards, wealth, _, _ = play(RewardSettings(kind="growth", risk_aversion=0.0, scale=100.0))
    assert rewards.sum() == pytest.approx(100 * np.log(wealth[-1]), rel=1e-12)


@pytest.mark.parametrize("reference", ["equal_weight", "benchmark"])
def test_excess_is_growth_less_that_of_the_reference(reference: str) -> None:
    settings = RewardSettings(reference=reference, risk_aversion=4.0, scale=1.0)  # type: ignore[arg-type]
    rewards, wealth, _, _ = play(settings)
    opened = MARKET.field("open")
    growth = opened[2:42] / opened[1:41]
    rival = growth[:, :-1].mean(axis=1) if reference == "equal_weight" else growth[:, -1]
    own = wealth / np.concatenate([[1.0], wealth[:-1]])

    def utility(g: np.ndarray) -> np.ndarray:
        return np.log(g) - 2.0 * (g - 1) ** 2

    np.testing.assert_allclose(rewards, utility(own) - utility(rival), atol=1e-13)


def test_differential_sharpe_is_the_derivative_of_the_running_sharpe_ratio() -> None:
    """Against a numerical derivative of A / sqrt(B - A^2) by the weight of the newest return."""
    rng = np.random.default_rng(0)
    returns, mean, square = rng.normal(0, 0.02, 50), rng.normal(0, 0.002, 50), rng.uniform(1e-4, 4e-4, 50)

    def sharpe(rate: float) -> np.ndarray:
        first = mean + rate * (returns - mean)
        return first / np.sqrt(square + rate * (returns**2 - square) - first**2)

    step = 1e-6
    numerical = (sharpe(step) - sharpe(-step)) / (2 * step)
    ratio, new_mean, new_square = differentiate_sharpe(returns, mean, square, 0.05)
    np.testing.assert_allclose(ratio, numerical, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(new_mean, 0.95 * mean + 0.05 * returns)
    np.testing.assert_allclose(new_square, 0.95 * square + 0.05 * returns**2)


def test_differential_sharpe_remembers_each_portfolio_apart() -> None:
    reward = RewardSettings(kind="differential_sharpe", sharpe_memory=20.0, scale=1.0)
    rewards, wealth, _, _ = play(reward)
    returns = np.diff(np.concatenate([[1.0], wealth])) / np.concatenate([[1.0], wealth[:-1]])
    mean, square = 0.0, 1e-4
    for paid, r in zip(rewards, returns, strict=True):
        d_mean, d_square = r - mean, r * r - square
        assert paid == pytest.approx((square * d_mean - mean * d_square / 2) / (square - mean**2) ** 1.5, rel=1e-9)
        mean, square = mean + d_mean / 20, square + d_square / 20
    env = PortfolioVectorEnv(2, MARKET, None, make_settings(cost_bps=20.0, reward=reward, episode_length=10))
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    first = [env.step(rng.uniform(-1, 1, (2, 5)))[1] for _ in range(11)][-1]
    assert first[0] != first[1]


def test_a_new_episode_forgets_the_last() -> None:
    state = RewardState(RewardSettings(kind="differential_sharpe", drawdown_penalty=1.0), 3)
    fresh = state.pay(np.ones(3), np.full(3, 1.1), np.ones(3), np.zeros(3))
    state.reset(np.array([1]))
    again = state.pay(np.ones(3), np.full(3, 1.1), np.ones(3), np.zeros(3))
    assert again[1] == fresh[1]
    assert again[0] == again[2] != fresh[0]


def test_penalties_are_taken_off_in_the_units_stated() -> None:
    plain = RewardSettings(kind="growth", risk_aversion=0.0, scale=100.0)
    base, wealth, turnover, _ = play(plain)
    fined, _, _, _ = play(plain.model_copy(update={"turnover_penalty": 0.01}))
    np.testing.assert_allclose(base - fined, 100 * 0.01 * turnover, atol=1e-12)
    fined, _, _, _ = play(plain.model_copy(update={"drawdown_penalty": 0.5}))
    path = np.concatenate([[1.0], wealth])
    depth = 1.0 - path / np.maximum.accumulate(path)
    np.testing.assert_allclose(base - fined, 100 * 0.5 * np.maximum(np.diff(depth), 0.0), atol=1e-12)
    assert (np.diff(depth) > 0).any()


def test_ruin_is_a_large_finite_loss() -> None:
    reward = compute_reward(np.array([0.0]), np.array([1.0]), RewardSettings(kind="growth", risk_aversion=0.0, scale=1))
    assert reward[0] == pytest.approx(np.log(1e-9))


def test_a_ruined_book_is_paid_nothing_and_no_nan() -> None:
    for kind in ("growth", "excess", "differential_sharpe"):
        state = RewardState(RewardSettings(kind=kind, drawdown_penalty=0.1, turnover_penalty=0.1), 2)
        paid = state.pay(np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.ones(2), np.zeros(2))
        assert np.isfinite(paid).all(), kind
        assert np.isfinite(state.mean).all()


def test_a_levered_book_that_is_ruined_steps_on_among_others_without_nan() -> None:
    """The baseline of an agent that explores steps on beside it until its episode ends; 0/0 was its pay."""
    close = np.column_stack([[100.0, 100, 100, 5, 5, 5, 5, 5], np.full(8, 50.0)])
    market = Market.from_arrays(pd.bdate_range("2020-01-06", periods=8), ["A", "B"], close, benchmark="B")
    settings = PortfolioSettings(execution="close", action=ActionSettings(mode="long_short", max_leverage=3.0))
    simulator = PortfolioSimulator(make_tape(market, None, execution="close"), settings, 2)
    simulator.reset(np.zeros(2, dtype=int), np.full(2, 7))
    rewards = [simulator.step(np.array([[3.0, 0, -2], [0, 0, 1.0]])).reward for _ in range(6)]
    assert simulator.wealth[0] == 0.0
    assert np.isfinite(rewards).all()


def test_dispersion_counts_only_what_has_a_return() -> None:
    simple = np.array([[0.0, 0.0, 0.0, 0.0], [0.03, -0.01, 0.0, 0.0]])
    known = np.array([[False] * 4, [True, True, False, False]])
    features = compute_market_features(simple, known, 0, [0, 1, 2, 3], 252)
    # Two listed assets, 4 points apart: their standard deviation is 2 %, whatever is not listed.
    assert features[1, MARKET_FEATURES.index("dispersion_20")] == pytest.approx(0.02 / 0.01 - 1.0)
