"""The ledger in torch and the ledger in numpy give the same numbers, and the gradients are those of the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alfred.envs import actions, ledger
from alfred.envs.differentiable import ledger as torch_ledger
from alfred.envs.differentiable import simulator as torch_simulator
from alfred.envs.settings import ActionSettings, ImpactSettings, PortfolioSettings, RewardSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import make_tape
from alfred.errors import ConfigError
from tests.conftest import make_random_market

N_PORTFOLIOS, N_STEPS = 6, 40
CLOSE_ENOUGH = 1e-10

SETTINGS = {
    "proportional, next open": PortfolioSettings(cost_bps=20),
    "next close": PortfolioSettings(execution="next_close"),
    "same close, cash earns": PortfolioSettings(execution="close", cash_rate_pct=4.0),
    "held between decisions": PortfolioSettings(rebalance_every=3),
    "square-root impact": PortfolioSettings(impact=ImpactSettings(kind="square_root", capital=1e4)),
    "linear impact": PortfolioSettings(impact=ImpactSettings(kind="linear", capital=1e4)),
    "growth with penalties": PortfolioSettings(
        reward=RewardSettings(kind="growth", drawdown_penalty=0.3, turnover_penalty=0.1)
    ),
    "in excess of the benchmark": PortfolioSettings(reward=RewardSettings(reference="benchmark")),
    "long and short with fees": PortfolioSettings(
        action=ActionSettings(mode="long_short", max_leverage=1.8), borrow_rate_pct=3.0, margin_rate_pct=2.0
    ),
    "weights as actions": PortfolioSettings(action=ActionSettings(mode="simplex")),
}


@pytest.mark.parametrize("late_listing", [False, True], ids=["all tradable", "one listed late"])
@pytest.mark.parametrize("name", SETTINGS)
def test_both_kernels_book_the_same(name: str, late_listing: bool) -> None:
    settings = SETTINGS[name]
    market = make_random_market(n_dates=300, n_symbols=4, seed=3, late_listing=late_listing)
    if late_listing:
        # Another one stops trading inside the windows and is paid out below its last price.
        for array in (market.close, market.open, market.high, market.low):
            array[120:, 1] = np.nan
        market.tradable[120:, 1] = False
    tape = make_tape(
        market,
        None,
        execution=settings.execution,
        cash_rate_pct=settings.cash_rate_pct,
        impact=settings.impact,
        lookback=2,
    )
    rng = np.random.default_rng(5)
    # The late listing falls inside these windows.
    start = rng.integers(60, tape.n_bars - 3 * N_STEPS - 1, N_PORTFOLIOS)
    simulator = PortfolioSimulator(tape, settings, N_PORTFOLIOS)
    simulator.reset(start, np.full(N_PORTFOLIOS, tape.n_bars))
    twin = torch_simulator.DifferentiableSimulator(tape, settings, torch.float64)
    state = twin.start(torch.as_tensor(start))
    for _ in range(N_STEPS):
        action = rng.uniform(-0.4, 0.4, (N_PORTFOLIOS, market.n_symbols + 1))
        target = actions.compute_weights(action, settings.action)
        torch_target = torch_simulator.compute_weights(torch.as_tensor(action), settings.action)
        np.testing.assert_allclose(torch_target, target, rtol=0, atol=CLOSE_ENOUGH)
        result, step = simulator.step(target), twin.step(state, torch_target)
        state = step.portfolios
        np.testing.assert_allclose(step.reward, result.reward, rtol=0, atol=CLOSE_ENOUGH)
        np.testing.assert_allclose(step.turnover, result.turnover, rtol=0, atol=CLOSE_ENOUGH)
        np.testing.assert_allclose(state.wealth, simulator.wealth, rtol=0, atol=CLOSE_ENOUGH)
        np.testing.assert_allclose(state.weights, simulator.weights, rtol=0, atol=CLOSE_ENOUGH)
        np.testing.assert_allclose(state.drifted, simulator.drifted, rtol=0, atol=CLOSE_ENOUGH)


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_nothing_is_borrowed_after_the_last_close(execution) -> None:
    settings = PortfolioSettings(
        execution=execution,
        action=ActionSettings(mode="long_short", max_leverage=2.0),
        borrow_rate_pct=50.0,
        margin_rate_pct=50.0,
    )
    tape = make_tape(make_random_market(30, 3), None, execution=execution)
    start = tape.n_bars - 4
    simulator = PortfolioSimulator(tape, settings, 1)
    simulator.reset(np.array([start]), np.array([tape.n_bars]))
    twin = torch_simulator.DifferentiableSimulator(tape, settings, torch.float64)
    state, target = twin.start(torch.tensor([start])), np.array([[1.2, -0.8, 0.0, 0.6]])
    for _ in range(4):
        result, step = simulator.step(target), twin.step(state, torch.as_tensor(target))
        state = step.portfolios
        np.testing.assert_allclose(step.reward, result.reward, rtol=0, atol=CLOSE_ENOUGH)
    np.testing.assert_allclose(state.wealth, simulator.wealth, rtol=0, atol=CLOSE_ENOUGH)


def test_observations_are_those_of_the_environment() -> None:
    from alfred.envs.observations import observe

    tape = make_tape(make_random_market(), None, lookback=3)
    settings = PortfolioSettings(lookback=3)
    simulator = PortfolioSimulator(tape, settings, 2)
    simulator.reset(np.array([5, 9]), np.array([50, 50]))
    twin = torch_simulator.DifferentiableSimulator(tape, settings)
    seen, seen_twin = observe(simulator), twin.observe(twin.start(torch.tensor([5, 9])))
    assert set(seen) == set(seen_twin)
    for key, value in seen.items():
        np.testing.assert_array_equal(seen_twin[key], value)


@pytest.mark.parametrize("impact", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_of_a_trade_are_those_of_its_numbers(impact: bool, frozen: bool) -> None:
    rng = np.random.default_rng(1)
    drifted = torch.as_tensor(rng.dirichlet(np.ones(5), 3)).requires_grad_()
    target = torch.as_tensor(rng.dirichlet(np.ones(5), 3)).requires_grad_()
    rates = torch.tensor([0.01, 0.02, 0.005, 0.01, 0.0], dtype=torch.float64)
    free = torch.ones(3, 5, dtype=torch.float64)
    if frozen:
        free[0, 1] = free[2, 0] = 0.0
    scale = torch.full((3, 5), 0.05, dtype=torch.float64) * torch.tensor([1.0, 1, 1, 1, 0]) if impact else None

    def trade(drifted: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch_ledger.solve_trade(drifted, target, rates, free=free, impact_scale=scale)

    assert torch.autograd.gradcheck(trade, (drifted, target))


def test_a_book_that_cannot_pay_for_its_trade_is_ruined_in_both() -> None:
    drifted, target = np.array([[-4.0, 5.0]]), np.array([[1.0, 0.0]])
    rates = np.array([0.4, 0.0])
    expected = ledger.solve_trade(drifted, target, rates, long_only=False)
    found = torch_ledger.solve_trade(*map(torch.as_tensor, (drifted, target, rates)), long_only=False)
    assert expected.growth[0] == 0.0
    assert float(found.growth) == 0.0


def test_differential_sharpe_is_refused() -> None:
    settings = PortfolioSettings(reward=RewardSettings(kind="differential_sharpe"))
    tape = make_tape(make_random_market(), None)
    with pytest.raises(ConfigError, match=r"differential_sharpe.*set env.reward.kind=excess"):
        torch_simulator.DifferentiableSimulator(tape, settings)
