"""Two laws: a reward belongs to its action, net of every cost; one asset's end or gap is nobody else's business."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.agents.sb3.env import Sb3PortfolioVecEnv
from alfred.config import ForecastSettings, parse_experiment
from alfred.data.features.catalogue import compute_features
from alfred.data.market import Market
from alfred.data.settings import DataSettings, FeatureSettings
from alfred.data.sources import load_market
from alfred.envs import PortfolioSettings, PortfolioVectorEnv, RewardSettings, encode_weights
from alfred.envs.differentiable.simulator import DifferentiableSimulator
from alfred.envs.gym.episodes import prepare_tape
from alfred.envs.settings import ActionSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import Tape
from alfred.training.forecasting import forecast_walk_forward
from tests.conftest import make_random_market
from tests.training.small import write_market

RATE = 30e-4
TIMINGS = ("next_open", "next_close", "close")
N_STEPS = 12


def make_settings(execution: str, every: int) -> PortfolioSettings:
    return PortfolioSettings(
        execution=execution,  # type: ignore[arg-type]
        rebalance_every=every,
        cost_bps=1e4 * RATE,
        slippage_bps=0.0,
        cash_rate_pct=0.0,
        action=ActionSettings(mode="simplex"),
        reward=RewardSettings(kind="growth", risk_aversion=0.0, scale=1.0),
    )


def make_flat_market() -> Market:
    shape = (60, 4)
    closes = np.full(shape, 10.0) * np.arange(1, 5)
    return Market.from_arrays(
        pd.bdate_range("2020-01-01", periods=60),
        list("ABCD"),
        closes,
        benchmark="D",
        open=closes,
        high=closes,
        low=closes,
    )


def draw_targets(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(5), N_STEPS)


def collect_rewards(
    tape: Tape, settings: PortfolioSettings, targets: np.ndarray
) -> dict[str, tuple[list[float], float]]:
    """Rewards and final wealth of the same targets in every environment."""
    found: dict[str, tuple[list[float], float]] = {}
    simulator = PortfolioSimulator(tape, settings)
    simulator.reset(np.array([0]), np.array([tape.n_bars]))
    found["simulator"] = ([float(simulator.step(row[None]).reward[0]) for row in targets], float(simulator.wealth[0]))
    env = PortfolioVectorEnv(2, settings=settings, tape=tape)
    env.reset(seed=0)
    rewards = []
    for row in targets:
        _, reward, *_, info = env.step(np.repeat(encode_weights(row)[None], 2, axis=0))
        rewards.append(float(reward[1]))
    found["vector"] = (rewards, float(info["wealth"][1]))
    sb3 = Sb3PortfolioVecEnv(PortfolioVectorEnv(2, settings=settings, tape=tape))
    sb3.reset()
    rewards = [float(sb3.step(np.repeat(encode_weights(row)[None], 2, axis=0))[1][0]) for row in targets]
    found["stable-baselines3"] = (rewards, float(sb3.env.simulator.wealth[0]))
    torch_simulator = DifferentiableSimulator(tape, settings, torch.float64)
    state, rewards = torch_simulator.start(torch.zeros(1, dtype=torch.long)), []
    for row in targets:
        step = torch_simulator.step(state, torch.as_tensor(row[None]))
        state = step.portfolios
        rewards.append(float(step.reward[0]))
    found["torch"] = (rewards, float(state.wealth[0]))
    return found


def pay(held: np.ndarray, target: np.ndarray) -> float:
    """Wealth left of one after a trade whose cost is charged on what is traded, by bisection."""
    low, high = 0.5, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        spent = middle + RATE * sum(abs(target[i] * middle - held[i]) for i in range(len(held) - 1))
        low, high = (low, middle) if spent > 1.0 else (middle, high)
    return low


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("execution", TIMINGS)
def test_at_flat_prices_rewards_sum_to_the_log_of_what_trading_cost(execution: str, every: int) -> None:
    settings, targets = make_settings(execution, every), draw_targets()
    tape = prepare_tape(make_flat_market(), None, settings)
    held, wealth, expected = np.array([0.0, 0, 0, 0, 1.0]), 1.0, []
    for target in targets:
        left = pay(held, target)
        expected.append(math.log(left))
        wealth, held = wealth * left, target
    assert wealth < 0.98
    for name, (rewards, final) in collect_rewards(tape, settings, targets).items():
        np.testing.assert_allclose(rewards, expected, rtol=2e-6, atol=1e-9, err_msg=name)
        assert sum(rewards) == pytest.approx(math.log(final), rel=1e-6), name
        assert final == pytest.approx(wealth, rel=1e-6), name


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("execution", TIMINGS)
def test_at_random_prices_a_reward_is_what_its_own_action_earned(execution: str, every: int) -> None:
    market = make_random_market(60, 4, seed=2)
    settings, targets = make_settings(execution, every), draw_targets(1)
    tape = prepare_tape(market, None, settings)
    # Executions stand at opens or closes; decision k is executed at the first one after its close, or at it.
    price = market.open if execution == "next_open" else market.close
    assert price is not None
    first = 0 if execution == "close" else 1
    held, expected = np.array([0.0, 0, 0, 0, 1.0]), []
    for step, target in enumerate(targets):
        left = pay(held, target)
        now, later = first + step * every, first + (step + 1) * every
        growth = np.append(price[later] / price[now], 1.0)
        earned = sum(target[i] * growth[i] for i in range(5))
        expected.append(math.log(left * earned))
        held = target * growth / earned
    for name, (rewards, _) in collect_rewards(tape, settings, targets).items():
        np.testing.assert_allclose(rewards, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    # One step late, or without costs, is something else altogether.
    assert np.abs(np.array(expected[1:]) - np.array(expected[:-1])).max() > 1e-3


def load(folder: Path, rows_gone: slice | None) -> Market:
    """The same table, with or without some rows of the first symbol."""
    market = make_random_market(420, 4, seed=3)
    folder.mkdir()
    write_market(folder / "prices.csv", market)
    if rows_gone is not None:
        table = pd.read_csv(folder / "prices.csv", parse_dates=["date"], float_precision="round_trip")
        gone = (table["symbol"] == "S0") & table["date"].isin(market.dates[rows_gone])
        table[~gone].to_csv(folder / "prices.csv", index=False)
    return load_market(DataSettings(path=folder / "prices.csv"))


@pytest.mark.parametrize("rows", [slice(200, 215), slice(300, 420), slice(0, 150)], ids=["gap", "end", "late listing"])
def test_what_happens_to_one_asset_changes_no_other(rows: slice, tmp_path: Path) -> None:
    whole, cut = load(tmp_path / "whole", None), load(tmp_path / "cut", rows)
    assert cut.symbols == whole.symbols and cut.dates.equals(whole.dates)
    others = [column for column, symbol in enumerate(whole.symbols) if symbol != "S0"]
    np.testing.assert_array_equal(cut.close[:, others], whole.close[:, others])
    np.testing.assert_array_equal(cut.tradable[:, others], whole.tradable[:, others])
    assert not cut.tradable[rows, 0].any() and whole.tradable[rows, 0].all()
    chosen = FeatureSettings(names=("momentum_1", "volatility_20", "rsi"), normalise="zscore")
    features = [compute_features(market, chosen).values[:, others] for market in (whole, cut)]
    np.testing.assert_array_equal(*features)
    schedule = ForecastSettings(min_train_days=260, refit_every_days=80, cache=None)
    for kind in ("naive", "momentum"):
        # Calibration learns from the outcomes of all symbols, as momentum does, and is left out.
        told = {"kind": kind, "horizons": [1, 5], "calibration": {"kind": "none"}}
        [settings] = parse_experiment({"analysts": [told]}).analysts
        forecasts = [forecast_walk_forward(market, settings, schedule) for market in (whole, cut)]
        assert forecasts[0].dates.equals(forecasts[1].dates)
        own, other = (item.values[:, others] for item in forecasts)
        np.testing.assert_array_equal(np.isfinite(own), np.isfinite(other))
        # Momentum learns one slope from all symbols, which one symbol less may move; its dates are its own.
        if kind == "naive":
            np.testing.assert_array_equal(own, other)
    tapes = [prepare_tape(market, None, PortfolioSettings()) for market in (whole, cut)]
    assert tapes[0].dates.equals(tapes[1].dates)
    for name in ("overnight", "intraday", "tradable", "delisted", "tradable_then"):
        np.testing.assert_array_equal(*(getattr(tape, name)[:, others] for tape in tapes), err_msg=name)
    # A book without the asset trades alike.
    target = np.array([0.0, 0.4, 0.3, 0.2, 0.1])
    wealth = []
    for tape in tapes:
        simulator = PortfolioSimulator(tape, PortfolioSettings())
        simulator.reset(np.array([0]), np.array([tape.n_bars]))
        while simulator.bar[0] < simulator.stop[0]:
            simulator.step(target[None])
        wealth.append(float(simulator.wealth[0]))
    assert wealth[0] == pytest.approx(wealth[1], rel=1e-12)
