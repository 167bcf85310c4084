"""The methods that `benchmarks/bench_field.py` compares: policies by our contract, that find a strong signal."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

from alfred.checks import check_policy
from alfred.data.splits import Fold
from alfred.data.synthetic import PlantedModel, SyntheticMarket, make_planted_market
from alfred.data.synthetic.quadratic import solve_quadratic
from alfred.envs.observations import observe
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from benchmarks.field import blended, eiie, library_ppo, recurrent, sharpe_lstm
from benchmarks.field.past import Past, grow

N_ASSETS, DAYS = 5, 700
METHODS = {
    "mean-variance": blended.fit_mean_variance,
    "aim": blended.fit_aim,
    "differential Sharpe": recurrent.fit,
    "EIIE": partial(eiie.fit, steps=400),
    "Sharpe-loss LSTM": partial(sharpe_lstm.fit, epochs=6),
    "library PPO": partial(library_ppo.fit, steps=2_048),
}
FINDERS = ("mean-variance", "aim", "differential Sharpe", "EIIE", "Sharpe-loss LSTM")


@pytest.fixture(scope="module")
def world() -> SyntheticMarket:
    return make_planted_market(n_days=DAYS, seed=5, model=PlantedModel(ic=0.3, n_assets=N_ASSETS, n_distractors=1))


@pytest.fixture(scope="module")
def past(world: SyntheticMarket) -> Past:
    dates = world.market.dates
    whole = (dates[0], dates[-1])
    environment = PortfolioSettings(cost_bps=5.0, slippage_bps=0.0, execution="next_close")
    return Past(world.market, world.signals, Fold(0, whole, whole, whole), environment, 2, 0)


@pytest.fixture(scope="module")
def fitted(past: Past) -> dict[str, Policy]:
    return {name: fit(past) for name, fit in METHODS.items()}


def _lean(policy: Policy, past: Past) -> float:
    """Return the mean correlation of the weights aimed at with the planted signal."""
    tape = past.lay_out(policy.lookback)
    rows = np.arange(300, 500)
    simulator = PortfolioSimulator(tape, past.environment, len(rows))
    simulator.reset(rows, np.full(len(rows), tape.n_bars))
    weights = policy.predict(observe(simulator))[:, :N_ASSETS]
    signal = tape.signals[rows, :N_ASSETS, 0]
    spread = weights.std(axis=1) > 1e-9
    return float(np.mean([np.corrcoef(w, s)[0, 1] for w, s in zip(weights[spread], signal[spread], strict=True)]))


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_a_policy_by_the_contract(
    name: str, fitted: dict[str, Policy], world: SyntheticMarket, past: Past
) -> None:
    check_policy(lambda: copy.copy(fitted[name]), world.market, world.signals, past.environment)


@pytest.mark.parametrize("name", FINDERS)
def test_a_strong_signal_is_found(name: str, fitted: dict[str, Policy], past: Past) -> None:
    assert _lean(fitted[name], past) > 0.3


def test_the_benchmark_is_never_held(fitted: dict[str, Policy], past: Past) -> None:
    for name, policy in fitted.items():
        tape = past.lay_out(policy.lookback)
        simulator = PortfolioSimulator(tape, past.environment, 1)
        simulator.reset(np.array([300]), np.array([tape.n_bars]))
        assert policy.predict(observe(simulator))[0, tape.benchmark] == 0.0, name


def test_the_aim_goes_a_share_of_the_way_to_a_damped_forecast(fitted: dict[str, Policy], past: Past) -> None:
    whole, slow = fitted["mean-variance"], fitted["aim"]
    assert isinstance(whole, blended.BlendPolicy)
    assert isinstance(slow, blended.BlendPolicy)
    variance = float(np.mean(np.diag(slow.covariance)))
    cost = 2.0 * past.cost * N_ASSETS / variance  # a quadratic cost that is the ledger's for one equal weight
    assert 0.5 * cost * variance / N_ASSETS**2 == pytest.approx(past.cost / N_ASSETS)
    signals = past.signals.values[300:500].astype(np.float64)
    said, damped = whole.forecast(signals), slow.forecast(signals)
    ratio = float((damped * said).sum() / (said * said).sum())
    # Recovered from the damping: the signal keeps nine tenths a session, and so does the forecast.
    pace, scale = solve_quadratic(0.9, past.environment.reward.risk_aversion, cost)
    assert ratio == pytest.approx(scale, abs=0.05)
    assert slow.pace == pytest.approx(pace)
    assert whole.pace == 1.0


def test_the_recursion_has_the_gradient_of_its_returns(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step so small that nothing moves adds up gradients, which differences of the same returns have to match."""
    rng = np.random.default_rng(0)
    n_days, n, k, cost = 60, 4, 3, 1e-3
    inputs = rng.normal(size=(n_days, n, k))
    returns = rng.normal(0, 1e-4, size=(n_days, n))  # drift, which the recursion leaves out, next to none
    tradable = np.ones((n_days, n), dtype=bool)
    slopes = np.array([0.3, -0.2, 1.5])

    def walk(with_slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        held, paid, weighed = np.zeros(n), [], []
        first, second = 0.0, 1e-4
        for seen, earned in zip(inputs, returns, strict=True):
            scores = seen[:, :-1] @ with_slopes[:-1] + held * with_slopes[-1]
            weights = np.exp(scores) / np.exp(scores).sum()
            net = weights @ earned - np.abs(weights - held).sum() * cost
            weighed.append((second - first * net) / max(second - first**2, 1e-8) ** 1.5)
            first, second = first + 0.01 * (net - first), second + 0.01 * (net**2 - second)
            value = weights * (1.0 + earned)
            held = value / value.sum()
            paid.append(net)
        return np.array(paid), np.array(weighed)

    monkeypatch.setattr(recurrent, "STEP", 1e-9)
    climbed = (recurrent._pass_over(slopes, inputs.copy(), returns, tradable, cost) - slopes) / 1e-9
    fixed = walk(slopes)[1]
    expected = [
        float(fixed @ (walk(slopes + 1e-6 * unit)[0] - walk(slopes - 1e-6 * unit)[0])) / 2e-6 for unit in np.eye(k)
    ]
    np.testing.assert_allclose(climbed, expected, rtol=2e-3)


def test_a_row_of_the_past_is_decided_before_it_is_earned(past: Past) -> None:
    """What the planted signal of a row foretells is the growth of the same row."""
    tape = past.lay_out()
    earned = grow(tape)[:, :N_ASSETS] - 1.0
    said = tape.signals[:, :N_ASSETS, 0]
    assert np.corrcoef(said.ravel(), earned.ravel())[0, 1] > 0.2
