"""The doctor tells a learner that works from one that does not, and skill from its absence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alfred.config import load_experiment
from alfred.data.market import Market
from alfred.data.synthetic import make_noise_market
from alfred.envs.settings import PortfolioSettings
from alfred.training.doctor import AgentFinding, diagnose, judge, measure_skill
from alfred.training.oracle import plant_signal, shuffle_signals
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


def test_skill_is_the_intercept_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(3e-4, 0.01, 500)
    net = 1e-3 + 0.5 * reference + rng.normal(0, 0.004, 500)
    fitted = stats.linregress(reference, net)
    assert measure_skill(net, reference) == pytest.approx(fitted.intercept / fitted.intercept_stderr)
    assert measure_skill(0.3 * reference, reference) == 0.0


def test_verdicts() -> None:
    fine = AgentFinding("direct", 2.0, 0.9, 0.1, 0.3)
    weak = AgentFinding("ppo", 0.5, 0.1, 0.1, 0.3)
    lucky = AgentFinding("ppo", 2.0, 0.9, 2.0, 4.0)
    blind = AgentFinding("ppo", float("nan"), float("nan"), 0.0, 0.0)
    assert judge([fine], 2.0, 0.0) == (
        "learner fine, environment fine: of what is attainable, agents recover direct 90%",
        True,
    )
    assert judge([fine, weak], 2.0, 0.0)[0].startswith("environment fine, learner weak: ppo 10%")
    assert judge([weak], 2.0, 0.0)[0].startswith("environment or data at fault")
    assert judge([blind], 2.0, 0.0)[0].startswith("environment or data at fault")
    assert judge([fine, lucky], 2.0, 0.0)[0].startswith("leak: ppo shows skill on a shuffled signal (4.0")
    assert judge([fine], 0.2, 0.1)[0].startswith("nothing to learn here")
