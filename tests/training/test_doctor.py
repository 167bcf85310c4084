"""The doctor tells a learner that works from one that does not, and skill from its absence."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from alfred.agents.strategies.prices import MixSettings
from alfred.config import load_experiment
from alfred.data.market import Market
from alfred.data.splits import make_folds
from alfred.data.synthetic import make_noise_market
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.training.doctor.diagnose import (
    AgentFinding,
    diagnose,
    judge,
    measure_error,
    measure_sharpe,
    measure_skill,
)
from alfred.training.doctor.oracle import estimate_moments, plant_signal, shuffle_signals
from tests.conftest import make_random_market


@pytest.fixture(scope="module")
def noise() -> Market:
    return make_noise_market(n_assets=6, n_days=2200, n_signals=1, seed=4).market


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_the_planted_signal_has_the_planted_strength(execution: str) -> None:
    market = make_random_market(n_dates=6000, n_symbols=4)
    settings = PortfolioSettings(execution=execution)
    planted = plant_signal(market, settings, 0.2, np.random.default_rng(0))
    # A decision at the close of t is executed at the next open, the next close, or at once, and earns until the same
    # moment of the session after.
    price, lag = (market.open, 1) if execution == "next_open" else (market.close, 1 if execution == "next_close" else 0)
    rows = np.arange(len(planted.signals.dates) - 3)
    growth = price[rows + lag + 1] / price[rows + lag] - 1
    signals = planted.signals.values[rows].astype(np.float64)
    found = [np.corrcoef(signals[:, n, 0], growth[:, n])[0, 1] for n in range(market.n_symbols)]
    np.testing.assert_allclose(found, 0.2, atol=0.04)
    np.testing.assert_allclose([np.corrcoef(signals[:, n, 1], growth[:, n])[0, 1] for n in range(4)], 0, atol=0.05)
    np.testing.assert_allclose(signals[:, :, 0].std(), 1.0, atol=0.1)
    shuffled = shuffle_signals(planted.signals, np.random.default_rng(1)).values[rows, :, 0]
    np.testing.assert_allclose([np.corrcoef(shuffled[:, n], growth[:, n])[0, 1] for n in range(4)], 0, atol=0.05)


@pytest.mark.slow
def test_a_healthy_learner_recovers_the_planted_signal(noise: Market) -> None:
    overrides = ["agents=[{kind: direct}]", "env.cost_bps=2", "env.slippage_bps=0", "splits.n_folds=2"]
    found = diagnose(load_experiment(None, overrides), noise, ic=0.15, max_steps=120_000)
    assert found.oracle_sharpe > found.no_skill_sharpe + 1
    assert found.healthy, found.verdict
    assert found.verdict.startswith("learner fine, environment fine")
    [agent] = found.agents
    assert agent.share >= 0.5
    assert agent.shuffled_t < 2
    assert found.to_json()["verdict"] == found.verdict


TRAINED = (pd.Timestamp("2010-06-01"), pd.Timestamp("2012-06-29"))


def change_after(market: Market, date: pd.Timestamp) -> Market:
    """Return the same market with other prices after a date."""
    rng = np.random.default_rng(9)
    moves = np.where((market.dates > date)[:, None], rng.normal(0.002, 0.05, market.close.shape), 0.0)
    factors = np.exp(np.cumsum(moves, axis=0))
    return replace(market, **{name: getattr(market, name) * factors for name in ("open", "high", "low", "close")})


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_the_oracle_knows_nothing_of_the_test_range(execution: str) -> None:
    market = make_random_market(n_dates=900, n_symbols=4)
    settings = PortfolioSettings(execution=execution, cash_rate_pct=3.0)
    planted = [
        plant_signal(one, settings, 0.1, np.random.default_rng(0), known=TRAINED)
        for one in (market, change_after(market, TRAINED[1]))
    ]
    for name in ("mean", "volatility", "covariance"):
        np.testing.assert_array_equal(getattr(planted[0], name), getattr(planted[1], name))
    price = market.open if execution == "next_open" else market.close
    growth = price[1:] / price[:-1] - 1
    inside = (market.dates[:-1] >= TRAINED[0]) & (market.dates[1:] <= TRAINED[1])
    cash = 1.03 ** (1 / 252) - 1
    np.testing.assert_allclose(planted[0].mean, growth[inside].mean(axis=0) - cash, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(planted[0].volatility, growth[inside].std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(planted[0].covariance, np.cov(growth[inside].T), rtol=1e-9, atol=1e-12)


def test_sessions_before_a_listing_do_not_count() -> None:
    market = make_random_market(n_dates=900, n_symbols=4, late_listing=True)
    known = (market.dates[0], market.dates[599])
    moments = estimate_moments(market, PortfolioSettings(), known)
    growth = market.open[2:600] / market.open[1:599] - 1  # the first decision is executed on the second session
    np.testing.assert_allclose(moments.mean, np.nanmean(growth, axis=0), rtol=1e-9)
    np.testing.assert_allclose(moments.volatility, np.nanstd(growth, axis=0), rtol=1e-9)
    listed = np.isfinite(growth[:, 0])
    np.testing.assert_allclose(moments.covariance[0, 1], np.cov(growth[listed, :2].T)[0, 1], rtol=0.01)
    assert np.linalg.eigvalsh(moments.covariance)[0] > 0


def test_a_symbol_that_nobody_has_seen_gets_the_average_of_the_others() -> None:
    market = make_random_market(n_dates=900, n_symbols=4, late_listing=True)
    moments = estimate_moments(market, PortfolioSettings(), (market.dates[0], market.dates[320]))
    assert moments.mean[0] == pytest.approx(moments.mean[1:].mean())
    assert moments.volatility[0] == pytest.approx(moments.volatility[1:].mean())
    assert np.linalg.eigvalsh(moments.covariance)[0] > 0
    planted = plant_signal(market, PortfolioSettings(), 0.2, np.random.default_rng(0))
    growth = market.open[2:] / market.open[1:-1] - 1
    seen = planted.signals.values[: len(growth), 0, 0].astype(np.float64)
    listed = np.isfinite(growth[:, 0])
    assert np.corrcoef(seen[listed], growth[listed, 0])[0, 1] == pytest.approx(0.2, abs=0.09)


@pytest.mark.slow
def test_no_skill_is_a_portfolio_of_the_training_range_and_cash_is_no_skill() -> None:
    market = make_random_market(n_dates=1150, n_symbols=4, seed=3)
    overrides = ["agents=[{kind: direct}]", "env.cost_bps=0", "env.slippage_bps=0", "splits.n_folds=1"]
    experiment = load_experiment(None, [*overrides, "env.cash_rate_pct=5"])
    found = diagnose(experiment, market, max_steps=100)
    [fold] = make_folds(market.dates, experiment.splits, experiment.env.rebalance_every)
    price = market.close if market.open is None else market.open
    growth = price[1:] / price[:-1] - 1
    inside = (market.dates[:-1] >= fold.train[0]) & (market.dates[1:] <= fold.train[1])
    inside[0] = False  # nothing can be decided before the first session
    mean, covariance = growth[inside].mean(axis=0) - (1.05 ** (1 / 252) - 1), np.cov(growth[inside].T)
    aversion = 1.0 + experiment.env.reward.risk_aversion
    best = optimize.minimize(
        lambda w: 1e4 * (aversion / 2 * w @ covariance @ w - w @ mean),
        np.full(len(mean), 0.1),
        bounds=[(0, float(symbol in market.universe)) for symbol in market.symbols],
        constraints={"type": "ineq", "fun": lambda w: 1 - w.sum()},
        options={"ftol": 1e-12},
    ).x
    assert best.sum() > 0.3
    weights = dict(zip(market.symbols, best.clip(0), strict=True))
    policy = MixSettings(weights=weights, rebalance_every=1).build(market, ())
    env = make_walk(market, None, experiment.env, policy, start=fold.test[0], end=fold.test[1])
    record = backtest(policy, env)
    by_hand = np.sqrt(252) * record.excess.mean() / record.excess.std(ddof=1)
    assert record.cash_return[1:].min() > 0
    assert found.no_skill_sharpe == pytest.approx(by_hand, abs=0.01)
    # What lies in cash earns 5 % a year, which is not skill.
    assert found.agents[0].shuffled_t < 2


def test_sharpe_ratios_are_in_excess_of_cash_and_by_the_markets_own_year() -> None:
    net = np.random.default_rng(0).normal(2e-3, 0.02, 300)
    flat = np.zeros(300)
    record = Backtest(
        "some", pd.bdate_range("2020-01-01", periods=300), ("A",), np.zeros((300, 2)), net, flat, net, flat, flat,
        cash_return=np.full(300, 1e-3), periods_per_year=52,
    )  # fmt: skip
    assert measure_sharpe(record) == pytest.approx(np.sqrt(52) * (net.mean() - 1e-3) / net.std(ddof=1))
    assert measure_sharpe(replace(record, net=record.cash_return)) == 0.0


def test_skill_is_the_intercept_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(3e-4, 0.01, 500)
    net = 1e-3 + 0.5 * reference + rng.normal(0, 0.004, 500)
    fitted = stats.linregress(reference, net)
    assert measure_skill(net, reference) == pytest.approx(fitted.intercept / fitted.intercept_stderr)
    assert measure_skill(0.3 * reference, reference) == 0.0


def test_verdicts() -> None:
    fine = AgentFinding("direct", 2.0, 0.9, 0.1, 0.3, 100_000)
    weak = AgentFinding("ppo", 0.5, 0.1, 0.1, 0.3, 100_000)
    lucky = AgentFinding("ppo", 2.0, 0.9, 2.0, 4.0, 100_000)
    blind = AgentFinding("ppo", float("nan"), float("nan"), 0.0, 0.0, 100_000)
    assert judge([fine], 2.0, 0.0) == (
        "learner fine, environment fine: of what is attainable, agents recover direct 90%",
        True,
    )
    assert judge([fine, weak], 2.0, 0.0)[0].startswith("environment fine, learner weak: ppo 10%")
    assert judge([weak], 2.0, 0.0)[0].startswith("environment or data at fault")
    assert judge([blind], 2.0, 0.0)[0].startswith("environment or data at fault")
    assert judge([fine, lucky], 2.0, 0.0)[0].startswith("leak: ppo shows skill on a shuffled signal (4.0")
    assert judge([fine], 0.2, 0.1)[0].startswith("nothing to learn here")
    # With a budget that teaches nobody anything, neither the environment nor the agent is to blame.
    hurried = replace(weak, steps=2_000)
    for others in ([], [fine]):
        verdict, healthy = judge([*others, hurried], 2.0, 0.0)
        assert verdict.startswith("budget too small to judge: ppo 10% after 2,000 steps") and not healthy
    assert judge([replace(fine, steps=2_000)], 2.0, 0.0)[1]


def test_a_share_that_the_test_range_cannot_tell_is_not_judged() -> None:
    """Two standard errors of the gap, or of the share of it, must stay on one side of the line."""

    def find(share: float, error: float) -> AgentFinding:
        return AgentFinding("ppo", 1.0, share, 0.1, 0.3, 100_000, error)

    fine = find(0.9, 0.1)
    assert judge([fine], 2.0, 0.0, gain_error=0.3)[1]
    verdict, healthy = judge([fine], 2.0, 0.0, gain_error=1.1)
    assert not healthy
    assert verdict.startswith("budget too small to judge: the oracle's own gain of +2.00 Sharpe has a standard error")
    assert judge([find(0.6, 0.4)], 2.0, 0.0)[0].startswith("budget too small to judge: ppo 60% ± 40% (standard error)")
    assert "may be half of it as well as less" in judge([fine, find(0.3, 0.15)], 2.0, 0.0)[0]
    assert judge([fine, find(0.3, 0.05)], 2.0, 0.0)[0].startswith("environment fine, learner weak: ppo 30%")


def test_the_error_of_a_difference_of_sharpe_ratios_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(0)
    n, periods = 1000, 252

    def draw() -> tuple[np.ndarray, np.ndarray]:
        shared = rng.normal(0.0, 0.01, n)
        return 0.0005 + shared + rng.normal(0.0, 0.005, n), shared

    def sharpe(values: np.ndarray) -> float:
        return float(values.mean() / values.std() * np.sqrt(periods))

    differences = [sharpe(one) - sharpe(other) for one, other in (draw() for _ in range(400))]
    one, other = (SimpleNamespace(excess=values, periods_per_year=periods) for values in draw())
    assert measure_error(one, other) == pytest.approx(np.std(differences), rel=0.15)  # type: ignore[arg-type]
