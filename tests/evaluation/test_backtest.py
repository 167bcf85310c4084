"""A policy walked through the environment, checked against returns computed by hand."""

import numpy as np
import pandas as pd
import pytest

from alfred.agents.baseline_registry import make_baselines
from alfred.agents.baselines import FOREVER, FixedMix, InverseVolatilitySettings
from alfred.data import Market
from alfred.envs import PortfolioEnv, PortfolioSettings
from alfred.errors import CheckpointError, ConfigError
from alfred.evaluation.backtest import Backtest, Stage, backtest, make_backtest_env
from tests.conftest import make_random_market

FREE = PortfolioSettings(cost_bps=0, slippage_bps=0)
TEN = PortfolioSettings(cost_bps=6, slippage_bps=4)


def hold(symbol: str, market: Market) -> FixedMix:
    shares = np.zeros(market.n_symbols)
    shares[market.index_of(symbol)] = 1.0
    return FixedMix(symbol, shares, FOREVER)


@pytest.mark.parametrize("ohlc", [True, False])
def test_holding_spy_is_spy_less_one_entry_cost(ohlc) -> None:
    market = make_random_market(ohlc=ohlc)
    record = backtest(hold("SPY", market), make_backtest_env(market, None, TEN, hold("SPY", market)))
    column = market.index_of("SPY")
    entry = market.open[1, column] if ohlc else market.close[1, column]
    assert record.wealth[-1] == pytest.approx(market.close[-1, column] / entry / (1 + 10e-4), rel=1e-12)
    # After the day of entry every return is SPY's own, and nothing more is paid.
    own = market.close[2:, column] / market.close[1:-1, column] - 1
    np.testing.assert_allclose(record.net[1:], own, atol=1e-12)
    np.testing.assert_allclose(record.benchmark[1:], own, atol=1e-12)
    assert record.costs[0] == pytest.approx(1 - 1 / (1 + 10e-4), rel=1e-9)
    assert (record.costs[1:] == 0).all()
    assert record.turnover[0] == pytest.approx(1.0, abs=1e-3)
    assert list(record.dates) == list(market.dates[1:])


def test_equal_weight_equals_a_plain_loop() -> None:
    market = make_random_market(60, 3, ohlc=False)
    policy = FixedMix("mix", [0.5, 0.5, 0], rebalance_every=7)
    record = backtest(policy, make_backtest_env(market, None, FREE, policy))
    values, wealth = np.zeros(3), 1.0
    expected = []
    for t in range(1, 60):
        values = values * market.close[t] / market.close[t - 1]
        wealth = values.sum() if t > 1 else 1.0
        expected.append(wealth)
        # Decided at the close before, traded at this close; nothing is earned after the last one.
        if (t - 1) % 7 == 0 and t < 59:
            values = wealth * np.array([0.5, 0.5, 0.0])
    np.testing.assert_allclose(record.wealth, expected, rtol=1e-12)


def test_more_cost_is_never_more_wealth_and_books_close() -> None:
    market = make_random_market()
    policy = make_baselines([], market, [])[1]
    wealth = []
    for bps in (0, 5, 50):
        settings = PortfolioSettings(cost_bps=bps, slippage_bps=0)
        record = backtest(policy, make_backtest_env(market, None, settings, policy))
        np.testing.assert_allclose(record.net, record.gross - record.costs, atol=1e-15)
        wealth.append(record.wealth[-1])
    assert wealth[0] > wealth[1] > wealth[2]


def test_stages_take_over_on_their_date() -> None:
    market = make_random_market()
    first, second = hold("S0", market), hold("S1", market)
    first.rebalance_every = second.rebalance_every = 1
    switch = market.dates[150]
    stages = [Stage(market.dates[0], first), Stage(switch, second)]
    record = backtest(stages, make_backtest_env(market, None, FREE, first))
    held = record.weights.argmax(axis=1)
    assert set(held[record.dates < switch]) == {0}
    assert set(held[record.dates >= switch]) == {1}


def test_inverse_volatility_uses_the_returns_before_the_decision() -> None:
    market = make_random_market(120, 3)
    policy = InverseVolatilitySettings(lookback=20, rebalance_every=5).build(market, [])
    record = backtest(policy, make_backtest_env(market, None, FREE, policy, start=market.dates[40]))
    volatility = np.diff(np.log(market.close), axis=0)[20:40, :2].std(axis=0)
    shares = (1 / volatility) / (1 / volatility).sum()
    opened = market.close[41, :2] / market.open[41, :2] * shares
    np.testing.assert_allclose(record.weights[0, :2], opened / opened.sum(), rtol=1e-4)


def test_nothing_is_bought_before_its_listing() -> None:
    market = make_random_market(late_listing=True)
    for policy in make_baselines([InverseVolatilitySettings(lookback=20)], market, []):
        record = backtest(policy, make_backtest_env(market, None, TEN, policy))
        assert (record.weights[record.dates < market.dates[100], 0] == 0).all()
        assert np.isfinite(record.net).all()


def test_round_trip_and_damage(tmp_path) -> None:
    market = make_random_market(60)
    policy = hold("SPY", market)
    record = backtest(policy, make_backtest_env(market, None, TEN, policy))
    record.save(tmp_path / "r.parquet")
    again = Backtest.load(tmp_path / "r.parquet")
    assert (again.name, again.symbols) == (record.name, record.symbols)
    assert pd.DatetimeIndex(again.dates).equals(record.dates)
    for name in ("weights", "gross", "costs", "net", "turnover", "benchmark"):
        assert getattr(again, name).tobytes() == getattr(record, name).tobytes()
    (tmp_path / "r.parquet").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"r\.parquet does not hold a backtest"):
        Backtest.load(tmp_path / "r.parquet")


def test_an_environment_for_something_else_is_refused() -> None:
    market = make_random_market(60)
    with pytest.raises(ConfigError, match="record=True"):
        backtest(hold("SPY", market), PortfolioEnv(market))
    with pytest.raises(ConfigError, match="list of stages is empty"):
        backtest([], make_backtest_env(market, None, TEN, hold("SPY", market)))
