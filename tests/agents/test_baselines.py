"""Baselines and rules say what their definitions say, and walk through the same door as agents."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from alfred.agents.strategies.allocation import OptimiserSettings
from alfred.agents.strategies.prices import MixSettings, MomentumSettings, TrendSettings
from alfred.agents.strategies.registry import BASELINES, DEFAULT_BASELINES, make_baselines
from alfred.agents.strategies.signals import (
    DirectionSettings,
    KellySettings,
    MagnitudeSettings,
    NuancedSettings,
    TopSettings,
)
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.errors import ConfigError, DataError
from alfred.evaluation.backtest import backtest, make_walk
from alfred.typing import Observation
from tests.conftest import make_random_market

MARKET = make_random_market(n_dates=700, n_symbols=5, seed=2)
N = MARKET.n_symbols
NAMES = ("lstm.dispersion_1", "lstm.expected_return_1")


def observe(lookback: int = 0, **changes: np.ndarray) -> Observation:
    observation = {
        "signals": np.zeros((1, N, 2), dtype=np.float32),
        "weights": np.eye(N + 1, dtype=np.float32)[-1:],
        "market": np.zeros((1, 6), dtype=np.float32),
        "tradable": np.ones((1, N), dtype=np.float32),
    }
    if lookback:
        returns = MARKET.log_returns()[-lookback:].T[None]
        observation["returns"] = np.nan_to_num(returns).astype(np.float32)
    return observation | changes


def with_signal(values: list[float], lookback: int = 0, **changes: np.ndarray) -> Observation:
    signals = np.zeros((1, N, 2), dtype=np.float32)
    signals[0, : len(values), 1] = values
    return observe(lookback, signals=signals, **changes)


@pytest.mark.parametrize("kind", BASELINES)
def test_every_baseline_trades_in_the_ledger(kind: str) -> None:
    policy = BASELINES.load(kind).model_validate({"kind": kind}).build(MARKET, NAMES)
    rng = np.random.default_rng(0)
    dates = MARKET.dates
    stamps = np.full(len(dates), np.datetime64("2000-01-01", "s"))
    values = rng.normal(size=(len(dates), N, 2)).astype(np.float32)
    signals = Signals(dates, MARKET.symbols, NAMES, values, stamps, (1, 1))
    env = make_walk(MARKET, signals, PortfolioSettings(), policy, start=dates[600])
    record = backtest(policy, env)
    np.testing.assert_allclose(record.weights.sum(axis=1), 1.0, atol=1e-12)
    assert (record.weights >= -1e-12).all()
    assert record.costs.sum() > 0
    # Cash pays no cost, the benchmark is no part of the universe.
    if kind != "mix":
        assert not record.weights[:, MARKET.index_of("SPY")].any()


def test_the_defaults_are_there_with_the_two_that_reports_judge_by() -> None:
    settings = [BASELINES.load(raw["kind"]).model_validate(raw) for raw in DEFAULT_BASELINES]
    names = [policy.name for policy in make_baselines(settings, MARKET, NAMES)]
    assert names[:3] == ["SPY", "equal weight", "equal weight, held"]
    assert len(set(names)) == len(names) == 7


def test_a_mix_leaves_the_rest_in_cash() -> None:
    policy = MixSettings(weights={"S0": 0.5, "SPY": 0.1}).build(MARKET, ())
    np.testing.assert_allclose(policy.predict(observe()), [[0.5, 0, 0, 0, 0.1, 0.4]])
    frozen = observe(tradable=np.array([[0, 1, 1, 1, 1]], dtype=np.float32))
    np.testing.assert_allclose(policy.predict(frozen), [[0, 0, 0, 0, 0.6, 0.4]])


def test_momentum_holds_the_winners_of_the_year_without_its_last_month() -> None:
    policy = MomentumSettings(top_n=2).build(MARKET, ())
    weights = policy.predict(observe(lookback=300))
    close = MARKET.close
    risen = close[-22] / close[-253] - 1
    winners = sorted(range(N - 1), key=lambda column: -risen[column])[:2]
    assert set(np.flatnonzero(weights[0])) == set(winners)
    np.testing.assert_allclose(weights[0][winners], 0.5)


def test_trend_is_above_an_exponential_average() -> None:
    policy = TrendSettings(span=50).build(MARKET, ())
    weights = policy.predict(observe(lookback=policy.lookback))
    close = pd.DataFrame(MARKET.close[-policy.lookback :])
    rising = (close.iloc[-1] > close.ewm(span=50).mean().iloc[-1]).to_numpy()
    np.testing.assert_allclose(weights[0, : N - 1], rising[: N - 1] / (N - 1))


def test_minimum_variance_is_that_of_the_closed_form() -> None:
    policy = OptimiserSettings(kind="minimum_variance", lookback=504).build(MARKET, ())
    weights = policy.predict(observe(lookback=504))[0]
    # The random market's assets are alike and independent: the long-only optimum is inside the simplex.
    from sklearn.covariance import ledoit_wolf

    returns = np.expm1(np.nan_to_num(MARKET.log_returns()[-504:, : N - 1]).astype(np.float32).astype(np.float64))
    inverse = np.linalg.solve(ledoit_wolf(returns)[0], np.ones(N - 1))
    np.testing.assert_allclose(weights[: N - 1], inverse / inverse.sum(), atol=1e-4)


def test_risk_parity_spreads_risk_alike() -> None:
    policy = OptimiserSettings(kind="risk_parity", lookback=504).build(MARKET, ())
    weights = policy.predict(observe(lookback=504))[0, : N - 1]
    from sklearn.covariance import ledoit_wolf

    returns = np.expm1(np.nan_to_num(MARKET.log_returns()[-504:, : N - 1]))
    risk = weights * (ledoit_wolf(returns)[0] @ weights)
    np.testing.assert_allclose(risk / risk.sum(), 1 / (N - 1), atol=1e-3)


def test_a_symbol_that_was_hardly_quoted_is_left_out_by_optimisers() -> None:
    observation = observe(lookback=504)
    observation["returns"][0, 1, :400] = 0.0
    for kind in ("minimum_variance", "hierarchical_risk_parity"):
        weights = OptimiserSettings(kind=kind).build(MARKET, ()).predict(observation)
        assert weights[0, 1] == 0.0
        np.testing.assert_allclose(weights.sum(), 1.0)


def test_direction_is_the_sign() -> None:
    observation = with_signal([0.2, -0.1, 0.0, 1.5])
    long_only = DirectionSettings().build(MARKET, NAMES).predict(observation)
    np.testing.assert_allclose(long_only, [[0.25, 0, 0, 0.25, 0, 0.5]])
    both = DirectionSettings(short=True).build(MARKET, NAMES).predict(observation)
    np.testing.assert_allclose(both, [[0.25, -0.25, 0, 0.25, 0, 0.75]])


def test_nuanced_enters_at_one_conviction_and_leaves_at_another() -> None:
    rule = NuancedSettings().build(MARKET, NAMES)
    strong, weak = norm.ppf(0.71), norm.ppf(0.6)
    flat = rule.predict(with_signal([strong, weak, -weak, -strong]))
    np.testing.assert_allclose(flat, [[0.25, 0, 0, 0, 0, 0.75]])
    held = np.array([[0.25, 0.25, 0.25, 0, 0, 0.25]], dtype=np.float32)
    kept = rule.predict(with_signal([weak, weak, -weak, 0.0], weights=held))
    np.testing.assert_allclose(kept, [[0.25, 0.25, 0, 0, 0, 0.5]])


def test_magnitude_takes_the_largest() -> None:
    observation = with_signal([0.2, -3.0, 1.0])
    np.testing.assert_array_equal(MagnitudeSettings().build(MARKET, NAMES).predict(observation).argmax(axis=1), [2])
    short = MagnitudeSettings(short=True).build(MARKET, NAMES).predict(observation)
    np.testing.assert_allclose(short, [[0, -1, 0, 0, 0, 2]])


def test_top_needs_a_good_forecast_and_a_rise() -> None:
    observation = with_signal([3.0, 2.0, 1.0, -1.0], lookback=252)
    observation["returns"][0, :, :] = np.array([-0.01, 0.01, 0.01, 0.01, 0.01])[:, None]
    weights = TopSettings(top_n=4).build(MARKET, NAMES).predict(observation)
    np.testing.assert_allclose(weights, [[0, 0.25, 0.25, 0, 0, 0.5]])


def test_kelly_is_clipped_scaled_and_waits_for_a_lead() -> None:
    rule = KellySettings(fraction=1.0, max_weight=0.3, threshold=0.55, margin=0.05).build(MARKET, NAMES)
    p = 0.65
    weights = rule.predict(with_signal([norm.ppf(p), 5.0, 0.0, 0.0]))
    np.testing.assert_allclose(weights[0, :4], [2 * p - 1, 0.3, 0, 0], atol=1e-6)
    everyone = rule.predict(with_signal([2.0, 2.0, 2.0, 2.0]))
    np.testing.assert_array_equal(everyone[0, :4], 0.0)


def test_what_is_not_tradable_is_not_bought_by_a_rule() -> None:
    closed = np.array([[0, 1, 1, 1, 1]], dtype=np.float32)
    for settings in (DirectionSettings(), MagnitudeSettings(), NuancedSettings(), KellySettings()):
        weights = settings.build(MARKET, NAMES).predict(with_signal([5.0, 0.0, 0.0], tradable=closed))
        assert weights[0, 0] == 0.0


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"'lstm.expected_retrun_1', which is unknown.*Did you mean"):
        DirectionSettings(signal="lstm.expected_retrun_1").build(MARKET, NAMES)
    with pytest.raises(ConfigError, match="reads a signal, and there are none"):
        DirectionSettings().build(MARKET, ())
    with pytest.raises(ConfigError, match=r"unknown baseline kind 'momentun'.*Did you mean 'momentum'"):
        BASELINES.load("momentun")
    with pytest.raises(ConfigError, match="two baselines are called 'equal weight'"):
        make_baselines([MixSettings()], MARKET, ())
    with pytest.raises(DataError, match="unknown symbol 'XYZ'"):
        MixSettings(weights={"XYZ": 0.5}).build(MARKET, ())
    with pytest.raises(ConfigError, match="must be at least 0 and sum to at most 1"):
        MixSettings(weights={"S0": 0.7, "S1": 0.7}).build(MARKET, ())
    with pytest.raises(ValidationError, match="less_than"):
        NuancedSettings(enter=1.5)
