"""A policy walked through the environment, checked against returns computed by hand."""

import numpy as np
import pandas as pd
import pytest

from alfred.agents.strategies.prices import FOREVER, FixedMix, InverseVolatilitySettings
from alfred.agents.strategies.registry import make_baselines
from alfred.data import Market
from alfred.envs import PortfolioEnv, PortfolioSettings
from alfred.errors import CheckpointError, ConfigError
from alfred.evaluation.backtest import Backtest, Stage, backtest, backtest_books, make_walk
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
    record = backtest(hold("SPY", market), make_walk(market, None, TEN, hold("SPY", market)))
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
    record = backtest(policy, make_walk(market, None, FREE, policy))
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
        record = backtest(policy, make_walk(market, None, settings, policy))
        np.testing.assert_allclose(record.net, record.gross - record.costs, atol=1e-15)
        wealth.append(record.wealth[-1])
    assert wealth[0] > wealth[1] > wealth[2]


def test_stages_take_over_on_their_date() -> None:
    market = make_random_market()
    first, second = hold("S0", market), hold("S1", market)
    first.rebalance_every = second.rebalance_every = 1
    switch = market.dates[150]
    stages = [Stage(market.dates[0], first), Stage(switch, second)]
    record = backtest(stages, make_walk(market, None, FREE, first))
    held = record.weights.argmax(axis=1)
    assert set(held[record.dates < switch]) == {0}
    assert set(held[record.dates >= switch]) == {1}


def test_inverse_volatility_uses_the_returns_before_the_decision() -> None:
    market = make_random_market(120, 3)
    policy = InverseVolatilitySettings(lookback=20, rebalance_every=5).build(market, [])
    record = backtest(policy, make_walk(market, None, FREE, policy, start=market.dates[40]))
    volatility = np.diff(np.log(market.close), axis=0)[20:40, :2].std(axis=0)
    shares = (1 / volatility) / (1 / volatility).sum()
    opened = market.close[41, :2] / market.open[41, :2] * shares
    np.testing.assert_allclose(record.weights[0, :2], opened / opened.sum(), rtol=1e-4)


def test_nothing_is_bought_before_its_listing() -> None:
    market = make_random_market(late_listing=True)
    for policy in make_baselines([InverseVolatilitySettings(lookback=20)], market, []):
        record = backtest(policy, make_walk(market, None, TEN, policy))
        assert (record.weights[record.dates < market.dates[100], 0] == 0).all()
        assert np.isfinite(record.net).all()


def test_round_trip_and_damage(tmp_path) -> None:
    market = make_random_market(60)
    policy = hold("SPY", market)
    record = backtest(policy, make_walk(market, None, TEN, policy))
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
    with pytest.raises(ConfigError, match="got PortfolioEnv; build the range"):
        backtest(hold("SPY", market), PortfolioEnv(market))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="list of stages is empty"):
        backtest([], make_walk(market, None, TEN, hold("SPY", market)))


class Short:
    """Shorts the first symbol at a leverage, and never trades again."""

    name, lookback = "short", 0
    rebalance_every: int | None = FOREVER

    def __init__(self, leverage: float) -> None:
        self.leverage = leverage

    def predict(self, observation):
        weights = np.zeros(observation["weights"].shape)
        weights[:, 0], weights[:, -1] = -self.leverage, 1 + self.leverage
        return weights


def long_short(leverage: float, **changes) -> PortfolioSettings:
    action = {"mode": "long_short", "max_leverage": leverage}
    return PortfolioSettings.model_validate({"cost_bps": 0, "slippage_bps": 0, "action": action, **changes})


def test_a_short_book_is_its_own_arithmetic() -> None:
    market = make_random_market(60, 3, ohlc=False)
    policy = Short(0.5)
    record = backtest(policy, make_walk(market, None, long_short(1.0), policy))
    growth = market.close[1:, 0] / market.close[1, 0]
    np.testing.assert_allclose(record.wealth, 1.5 - 0.5 * growth, rtol=1e-12)


def test_the_fee_of_the_last_night_is_booked() -> None:
    market = make_random_market(20, 3, ohlc=False)
    policy = Short(1.0)
    settings = long_short(1.0, borrow_rate_pct=25.2)
    record = backtest(policy, make_walk(market, None, settings, policy))
    assert (record.costs[1:] > 0).all()
    np.testing.assert_allclose(record.net, record.gross - record.costs, atol=1e-15)


def test_a_ruined_book_stays_at_nothing_to_the_end() -> None:
    market = make_random_market(60, 3, ohlc=False)
    close = market.close.copy()
    close[30:, 0] *= 3.0
    crashed = Market.from_arrays(market.dates, market.symbols, close, benchmark="SPY")
    policy = Short(1.0)
    record = backtest(policy, make_walk(crashed, None, long_short(1.0), policy))
    whole = backtest(hold("SPY", crashed), make_walk(crashed, None, FREE, hold("SPY", crashed)))
    assert record.dates.equals(whole.dates)
    ruin = crashed.dates.get_loc(record.dates[0]) + 29 - 1
    assert record.net[ruin] <= -0.99
    assert (record.net[ruin + 1 :] == 0).all()
    assert (record.wealth[ruin + 1 :] <= 1e-6).all()
    assert (record.weights[ruin + 1 :, -1] == 1).all()


class _Together:
    """Decides for several books, each by a policy of its own."""

    lookback = 0

    def __init__(self, policies: list[Short]) -> None:
        self.policies, self.name, self.rebalance_every = policies, "together", policies[0].rebalance_every

    def predict(self, observation):
        return np.concatenate(
            [
                policy.predict({key: value[row : row + 1] for key, value in observation.items()})
                for row, policy in enumerate(self.policies)
            ]
        )


@pytest.mark.parametrize("every", [1, 5])
def test_books_side_by_side_are_the_same_as_one_after_another(every) -> None:
    """Three books, of which one is ruined on the way and another never is."""
    market = make_random_market(60, 3, ohlc=False)
    close = market.close.copy()
    close[30:, 0] *= 3.0
    crashed = Market.from_arrays(market.dates, market.symbols, close, benchmark="SPY")
    settings = long_short(1.0, rebalance_every=every, borrow_rate_pct=2.0, cost_bps=7)
    policies = [Short(share) for share in (0.25, 1.0, 0.5)]
    stages = [Stage(crashed.dates[0], _Together(policies)), Stage(crashed.dates[20], _Together(policies[::-1]))]
    walk = make_walk(crashed, None, settings, stages[0].policy, n_books=3)
    together = backtest_books(stages, walk, ["a", "b", "c"])
    assert [record.name for record in together] == ["a", "b", "c"]
    assert sum((record.wealth[-1] <= 1e-6) for record in together) == 1
    for first, second, record in zip(policies, policies[::-1], together, strict=True):
        alone = [Stage(crashed.dates[0], first), Stage(crashed.dates[20], second)]
        expected = backtest(alone, make_walk(crashed, None, settings, first))
        assert record.dates.equals(expected.dates)
        for name in ("weights", "gross", "costs", "net", "turnover", "benchmark", "cash_return"):
            np.testing.assert_array_equal(getattr(record, name), getattr(expected, name))
