from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from alfred.data.synthetic import (
    RegimeModel,
    make_lognormal_market,
    make_noise_market,
    make_quadratic_market,
    make_regime_market,
)
from alfred.data.synthetic.quadratic import compute_quadratic_utility, solve_quadratic
from alfred.errors import DataError


def simple_returns(close: np.ndarray) -> np.ndarray:
    return close[1:] / close[:-1] - 1


def test_growth_optimal_weights_grow_as_the_closed_form_says() -> None:
    market, _, optimum = make_lognormal_market(n_days=400_000, seed=1)
    np.testing.assert_allclose(optimum.weights[0], [0.3, 0.3, 0.2, 0.0], atol=1e-12)
    returns = simple_returns(market.close)[:, :3]
    best = np.log1p(returns @ optimum.weights[0, :3])
    assert best.mean() == pytest.approx(optimum.utility, abs=4 * best.std() / np.sqrt(len(best)))
    gains = returns @ optimum.weights[0, :3]
    error = np.sqrt(252 / len(gains))
    assert gains.mean() / gains.std() * np.sqrt(252) == pytest.approx(optimum.sharpe, abs=4 * error)
    for change in np.vstack([np.eye(3), -np.eye(3)]) * 0.5:
        worse = np.log1p(returns @ (optimum.weights[0, :3] + change)) - best
        assert worse.mean() < -2 * worse.std() / np.sqrt(len(worse))


def test_a_covariance_that_is_none() -> None:
    with pytest.raises(DataError, match="positive definite"):
        make_lognormal_market((0.0, 0.0), ((1.0, 2.0), (2.0, 1.0)))


def test_noise_has_nothing_to_find() -> None:
    market, signals, optimum = make_noise_market(n_days=40_000, seed=2)
    assert (optimum.sharpe, optimum.utility) == (0.0, 0.0)
    assert not optimum.weights.any()
    returns = simple_returns(market.close)[:, :10]
    error = 0.015 / np.sqrt(returns.size)
    assert abs(returns.mean()) < 4 * error
    for k in range(signals.n_signals):
        found = np.corrcoef(signals.values[:-1, :10, k].ravel(), returns.ravel())[0, 1]
        assert abs(found) < 4 / np.sqrt(returns.size)


@pytest.mark.parametrize(("rho", "gamma", "cost"), [(0.0, 10.0, 10.0), (0.9, 10.0, 10.0), (0.98, 1.0, 20.0)])
def test_garleanu_pedersen_is_the_best_of_all_rates_and_aims(rho: float, gamma: float, cost: float) -> None:
    rate, scale = solve_quadratic(rho, gamma, cost)
    best = minimize(
        lambda p: -1e4 * compute_quadratic_utility(1 / (1 + np.exp(-p[0])), p[1], rho, gamma, cost, 0.01),
        (0.0, 0.5),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12},
    )
    assert rate == pytest.approx(1 / (1 + np.exp(-best.x[0])), abs=1e-5)
    assert scale == pytest.approx(best.x[1], abs=1e-5)


def test_the_quadratic_optimum_earns_its_utility_on_a_drawn_path() -> None:
    gamma, cost = 10.0, 10.0
    world, optimum = make_quadratic_market(0.1, n_days=40_000, seed=3, risk_aversion=gamma, cost=cost)
    lag = world.signals.horizons[0] - 1
    model_returns = simple_returns(world.market.close)[:, :10]
    covariance = np.cov(model_returns.T)
    np.fill_diagonal(covariance, covariance.diagonal() - 0.01 * covariance.diagonal())
    held, trades = optimum.exposures[: -1 - lag], np.diff(optimum.exposures, axis=0, prepend=0.0)[: -1 - lag]
    earned = (
        (held * model_returns[lag:]).sum(axis=1)
        - gamma / 2 * ((held @ covariance) * held).sum(axis=1)
        - cost / 2 * ((trades @ covariance) * trades).sum(axis=1)
    )
    # Holdings are autocorrelated but returns are not, so that blocks of 100 sessions are as good as independent.
    blocks = earned.reshape(-1, 2)[: len(earned) // 200 * 100].mean(axis=1).reshape(-1, 100).mean(axis=1)
    assert blocks.mean() == pytest.approx(optimum.utility, abs=4 * blocks.std() / np.sqrt(len(blocks)))
    assert 0 < optimum.utility < optimum.frictionless_utility


def test_without_costs_the_aim_is_reached_at_once() -> None:
    assert solve_quadratic(0.9, 10.0, 0.0) == (1.0, 1.0)


def test_the_filter_equals_the_sum_over_all_regime_paths() -> None:
    model = RegimeModel(stay=(0.8, 0.6))
    rng = np.random.default_rng(4)
    returns, variances, _ = model.draw(rng, 7)
    moves = np.array([[0.8, 0.2], [0.4, 0.6]])
    weight = np.zeros(2)
    for path in itertools.product((0, 1), repeat=8):
        probability = model.long_run[path[0]] * np.prod([moves[a, b] for a, b in itertools.pairwise(path)])
        for regime, value, variance in zip(path, returns, variances, strict=False):
            deviation = model.scales[regime] * np.sqrt(variance)
            probability *= np.exp(-0.5 * ((value - model.means[regime]) / deviation) ** 2) / deviation
        weight[path[-1]] += probability
    assert model.filter(returns, variances)[-1] == pytest.approx(weight[0] / weight.sum(), rel=1e-12)


def test_regime_bars_cluster_and_their_optimum_is_earned() -> None:
    market, signals, optimum = make_regime_market(n_days=40_000, seed=5)
    returns = simple_returns(market.close)
    earned = (optimum.weights[:-1, :5] * returns[:, :5]).sum(axis=1)
    sharpe = earned.mean() / earned.std() * np.sqrt(252)
    assert sharpe == pytest.approx(optimum.sharpe, abs=5 * np.sqrt(252 / len(earned)))
    assert optimum.sharpe > optimum.no_skill_sharpe
    squares = returns[:, -1] ** 2
    assert np.corrcoef(squares[1:], squares[:-1])[0, 1] > 0.1
    foretold = signals.values[:-1, 0, 2]
    surprise = returns[:, -1] / foretold
    assert surprise.std() == pytest.approx(1.0, abs=0.03)
    again = surprise**2
    assert abs(np.corrcoef(again[1:], again[:-1])[0, 1]) < 4 / np.sqrt(len(again))


def test_regime_bars_are_bars() -> None:
    market = make_regime_market(n_days=500, seed=6).market
    assert market.has_ohlc
    assert (market.high >= np.maximum(market.open, market.close) * (1 - 1e-12)).all()
    assert (market.low <= np.minimum(market.open, market.close) * (1 + 1e-12)).all()
    assert (market.volume > 0).all()
