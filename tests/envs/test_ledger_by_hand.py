"""Three-day ledgers, typed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gymnasium.error import ResetNeeded

from alfred.data.delisting import Delisting
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.envs import ActionSettings, ConstraintSettings, ImpactSettings, PortfolioEnv, RiskSettings
from alfred.envs.ledger import Impact, drift, solve_trade
from alfred.envs.risk import Breaker
from tests.conftest import make_random_market
from tests.envs.markets import make_settings, make_typed_market, walk

ALL_A, HALF_A, ALL_B, CASH = [1.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("execution", "wealth"),
    [
        # Open to open: A 10 -> 12; half A 12 -> 15; B 99 -> 100; then B from the open to the last close, 100 -> 90.
        ("next_open", [1.2, 1.2 * 1.125, 1.35 * 100 / 99, 1.35 * 100 / 99 * 0.9]),
        # Close to close, a day late: A 11 -> 12; half A 12 -> 15; B 90 -> 90.
        ("next_close", [12 / 11, 12 / 11 * 1.125, 12 / 11 * 1.125]),
        # At the close of the decision: A 10 -> 11; half A 11 -> 12; B 99 -> 90; B 90 -> 90.
        ("close", [1.1, 1.1 * (0.5 * 12 / 11 + 0.5), 1.15 * 90 / 99, 1.15 * 90 / 99]),
    ],
)
def test_three_days_without_costs(execution: str, wealth: list[float]) -> None:
    env = PortfolioEnv(make_typed_market(), None, make_settings(execution=execution))
    steps = walk(env, np.array([ALL_A, HALF_A, ALL_B]))
    assert [info["wealth"] for _, info in steps] == pytest.approx(wealth, rel=1e-14)
    assert sum(reward for reward, _ in steps) == pytest.approx(np.log(wealth[-1]), abs=1e-14)


def test_three_days_at_one_per_cent() -> None:
    """Open to open at 60 bps commission and 40 bps spread; each trade solved on paper.

    1. Buy A with everything: b + b/100 = 1, b = 1/1.01; A goes 10 -> 12.
    2. Sell half of A: b + (1 - b/2)/100 = 1, b = 0.99/0.995, of what is there; A goes 12 -> 15.
    3. Holdings are now 5/9 A and 4/9 cash. All to B: sell 5/9, buy b: b + (5/9 + b)/100 = 1; B goes 99 -> 100.
    """
    env = PortfolioEnv(make_typed_market(), None, make_settings(cost_bps=60.0, slippage_bps=40.0), record=True)
    steps = walk(env, np.array([ALL_A, HALF_A, ALL_B]))
    first, second, third = 1 / 1.01, 0.99 / 0.995, (1 - 0.01 * 5 / 9) / 1.01
    one, two = 1.2 * first, 1.2 * first * 1.125 * second
    assert steps[0][1]["wealth"] == pytest.approx(one, rel=1e-14)
    assert steps[1][1]["wealth"] == pytest.approx(two, rel=1e-14)
    assert steps[2][1]["wealth"] == pytest.approx(two * third * 100 / 99, rel=1e-14)
    assert steps[1][1]["commission"] == pytest.approx(0.6 * one * (1 - second), rel=1e-12)
    assert steps[1][1]["spread"] == pytest.approx(0.4 * one * (1 - second), rel=1e-12)
    assert steps[1][1]["cost"] == pytest.approx(1 - second, rel=1e-12)
    # Half of: A sold, and cash gained; both are fractions of the wealth before.
    assert steps[1][1]["turnover"] == pytest.approx(0.5 * ((1 - second / 2) + second / 2), rel=1e-12)
    marks = env.simulator.marks
    assert [float(mark.wealth[0]) for mark in marks[:2]] == pytest.approx([1.1 * first, one * second], rel=1e-14)
    assert marks[1].cost[0] * marks[1].opening[0] == pytest.approx(one * (1 - second), rel=1e-12)


def test_holding_between_decisions_does_not_trade() -> None:
    settings = make_settings(cost_bps=100.0, rebalance_every=2)
    env = PortfolioEnv(make_typed_market(), None, settings, record=True)
    steps = walk(env, np.array([HALF_A, ALL_B]))
    # Half A bought at 10: b + b/200 = 1. It drifts to 15 by the open of the third bar.
    after = 1 / 1.005
    assert steps[0][1]["wealth"] == pytest.approx(after * (0.5 * 1.5 + 0.5), rel=1e-14)
    assert [float(mark.turnover[0] > 0) for mark in env.simulator.marks] == [1, 0, 1, 0]


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_the_benchmark_held_returns_what_it_returns_less_one_cost(execution: str) -> None:
    market = make_random_market(400, 5)
    settings = make_settings(cost_bps=7.0, slippage_bps=3.0, execution=execution)
    last = walk(PortfolioEnv(market, None, settings), np.array([[0.0, 0, 0, 0, 1, 0]]))[-1][1]
    column = market.index_of("SPY")
    entry = {"next_open": market.field("open")[1], "next_close": market.close[1], "close": market.close[0]}[execution]
    expected = market.close[-1, column] / entry[column] / (1 + 0.001)
    assert last["wealth"] == pytest.approx(expected, rel=1e-12)


def test_real_spy_held_returns_its_total_return_less_one_cost(market_dir: Path) -> None:
    """Against the raw table: bought at the open of the second session, marked at the last adjusted close."""
    table = pd.read_csv(market_dir / "prices.csv.gz")
    spy = table[table["symbol"] == "SPY"].sort_values("date")
    entry = spy["open"].iloc[1] * spy["adj_close"].iloc[1] / spy["close"].iloc[1]
    market = load_market(DataSettings(path=market_dir, symbols=("AAPL", "XOM")))
    settings = make_settings(cost_bps=5.0, slippage_bps=5.0, rebalance_every=100_000)
    target = np.zeros(market.n_symbols + 1)
    target[market.index_of("SPY")] = 1.0
    last = walk(PortfolioEnv(market, None, settings), target[None])[-1][1]
    assert last["wealth"] == pytest.approx(spy["adj_close"].iloc[-1] / entry / 1.001, rel=1e-12)


def test_cash_earns_its_rate() -> None:
    steps = walk(PortfolioEnv(make_typed_market(), None, make_settings(cash_rate_pct=5.0)), np.array([CASH]))
    night = 1.05 ** (1 / 252)
    assert [info["wealth"] for _, info in steps] == pytest.approx([night, night**2, night**3, night**3], rel=1e-14)
    assert steps[1][1]["interest"] == pytest.approx(night**2 - night, rel=1e-9)


def test_short_and_borrowed_pay_fees() -> None:
    settings = make_settings(
        borrow_rate_pct=25.2, margin_rate_pct=12.6, action=ActionSettings(mode="long_short", max_leverage=2.0)
    )
    env = PortfolioEnv(make_typed_market(), None, settings)
    # 150 % A, 50 % of B short: nothing is left in cash, none is borrowed. A 10 -> 11 -> 12 and B 100 -> 110 -> 110.
    first = walk(env, np.array([[1.5, -0.5, 0.0]]))[0][1]
    at_close = 1 + 1.5 * 0.1 - 0.5 * 0.1
    assert first["borrow"] == pytest.approx(0.5 * 1.1 * 0.001, rel=1e-12)
    assert first["wealth"] == pytest.approx(at_close + 1.5 * 0.1 - 0.55 * 0.001, rel=1e-14)
    # 200 % A: one unit of wealth is borrowed at the other rate.
    second = walk(env, np.array([[2.0, 0.0, -1.0]]))[0][1]
    assert second["borrow"] == pytest.approx(1.0 * 0.0005, rel=1e-12)
    assert second["wealth"] == pytest.approx(2.0 * 1.2 - 1 - 0.0005, rel=1e-14)


@pytest.mark.parametrize("every", [1, 3])
def test_a_levered_book_is_ruined_and_ends(every: int) -> None:
    close = np.array([[10.0, 10], [10, 10], [4, 10], [4, 10], [4, 10]])
    market = Market.from_arrays(pd.bdate_range("2020-01-06", periods=5), ["A", "B"], close, benchmark="B")
    settings = make_settings(action=ActionSettings(mode="long_short", max_leverage=2.0), rebalance_every=every)
    env = PortfolioEnv(market, None, settings, record=True)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step([1.0, 0.0, 0.0])
    assert terminated
    assert not truncated
    assert info["wealth"] == 0.0
    # No more can be lost than there was.
    assert info["gross"] == pytest.approx(-1.0, abs=1e-15)
    assert np.isfinite(reward)
    assert all(np.isfinite(mark.cost).all() for mark in env.simulator.marks)
    with pytest.raises(ResetNeeded, match="call reset first"):
        env.step([1.0, 0.0, 0.0])


@pytest.mark.parametrize(("kind", "power"), [("square_root", 0.5), ("linear", 1.0)])
def test_impact_follows_its_law(kind: str, power: float) -> None:
    """The cost of a small trade is coefficient x volatility x (traded value / daily value)^power of what is traded."""
    market = make_random_market(40, 3)
    impact = ImpactSettings(kind=kind, coefficient=0.7, capital=5e4, window_days=10)  # type: ignore[arg-type]
    env = PortfolioEnv(market, None, make_settings(impact=impact), start="2010-02-01")
    env.reset(seed=0)
    _, _, _, _, info = env.step([-0.998, -1.0, -1.0, 0.998])
    row = market.dates.get_loc("2010-02-01")  # the decision; the trade is a session later, at the open
    returns = market.close[row - 9 : row + 1, 0] / market.close[row - 10 : row, 0] - 1
    daily = (market.close * market.field("volume"))[row - 9 : row + 1, 0].mean()
    move = 0.7 * returns.std(ddof=1) * (0.001 * 5e4 / daily) ** power
    assert info["impact"] == pytest.approx(0.001 * move, rel=2e-3)


def test_impact_is_solved_exactly() -> None:
    """With impact linear in the trade, buying with everything solves b + k b^2 = 1: a quadratic formula."""
    scale = 0.3
    trade = solve_trade(
        np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), np.zeros(2), impact=Impact(np.array([[scale, 0.0]]), 2.0)
    )
    assert trade.growth[0] == pytest.approx((-1 + np.sqrt(1 + 4 * scale)) / (2 * scale), rel=1e-14)
    assert trade.cost[0] == pytest.approx(1 - trade.growth[0], rel=1e-14)


def test_a_trade_that_cannot_be_paid_takes_everything() -> None:
    """Selling would cost three times what there is."""
    held = np.array([[1.0, 0.0], [0.0, 1.0]])
    trade = solve_trade(held, np.array([[0.0, 1.0]] * 2), np.zeros(2), impact=Impact(np.array([[3.0, 0.0]] * 2), 1.5))
    np.testing.assert_allclose(trade.growth, [0.0, 1.0])
    np.testing.assert_allclose(trade.cost, [1.0, 0.0])


def test_drift_of_weights() -> None:
    weights, growth = drift(np.array([[0.5, 0.25, 0.25]]), np.array([[1.2, 0.8, 1.0]]))
    assert growth[0] == pytest.approx(1.05)
    np.testing.assert_allclose(weights[0], [0.6 / 1.05, 0.2 / 1.05, 0.25 / 1.05])


def make_market_with_holes() -> Market:
    """A is halted in the third session, C is gone from the third session on."""
    close = np.array([[10.0, 50, 7], [11, 50, 8], [np.nan, 50, np.nan], [12, 50, np.nan], [12, 50, np.nan]])
    return Market.from_arrays(pd.bdate_range("2020-01-06", periods=5), ["A", "B", "C"], close, benchmark="B")


def test_a_halted_asset_stays_and_the_rest_is_shared() -> None:
    env = PortfolioEnv(make_market_with_holes(), None, make_settings(execution="close"), record=True)
    walk(env, np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 1.0, 0, 0], [0, 1.0, 0, 0]]))
    # At the halt all is wanted in B, but the half in A cannot be sold until it trades again.
    np.testing.assert_allclose(env.simulator.marks[2].weights[0], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(env.simulator.marks[3].weights[0], [0, 1.0, 0, 0])
    assert env.simulator.wealth[0] == pytest.approx(1.05 * (1 + 0.5 / 11))


def test_a_holding_that_does_not_trade_is_paid_out_after_a_while_without_cost() -> None:
    settings = make_settings(
        execution="close", cost_bps=50.0, rebalance_every=10, delisting_after=2, delisting_payout_pct=60.0
    )
    env = PortfolioEnv(make_market_with_holes(), None, settings, record=True)
    _, info = walk(env, np.array([[0, 0, 1.0, 0]]))[0]
    paid = [float(mark.cost[0]) for mark in env.simulator.marks]
    assert paid == pytest.approx([0.005 / 1.005, 0, 0, 0])
    # The last bar is the second session. At the third nobody knows whether it comes back; at the fourth it is paid out.
    np.testing.assert_allclose([mark.weights[0, -1] for mark in env.simulator.marks], [0, 0, 0, 1])
    np.testing.assert_allclose([mark.wealth[0] for mark in env.simulator.marks][2:], np.array([8, 4.8]) / 7 / 1.005)
    assert info["gross"] == pytest.approx((4.8 / 7 - 1) / 1.005)


def test_a_known_delisting_is_paid_at_its_own_return_the_session_after() -> None:
    market = make_market_with_holes()
    gone = {"C": Delisting(market.dates[1], 0.25)}
    told = Market.from_arrays(market.dates, market.symbols, market.close, benchmark="B", delistings=gone)
    env = PortfolioEnv(told, None, make_settings(execution="close", rebalance_every=10), record=True)
    walk(env, np.array([[0, 0, 1.0, 0]]))
    np.testing.assert_allclose([mark.wealth[0] for mark in env.simulator.marks], np.array([7, 8, 2, 2]) / 7)
    np.testing.assert_allclose([mark.weights[0, -1] for mark in env.simulator.marks], [0, 0, 1, 1])
    # Before its date the delisting is the future.
    assert told.until(market.dates[0]).delistings == {}
    assert told.until(market.dates[1]).delistings == gone


def make_falling_market() -> Market:
    """A: bought at the open of 100. Second bar: 100, low 94. Third: opens at 80, below every stop."""
    frame = {
        "open": [100.0, 100.0, 80.0, 90.0, 100.0],
        "high": [100.0, 101.0, 91.0, 112.0, 125.0],
        "low": [100.0, 94.0, 79.0, 88.0, 99.0],
        "close": [100.0, 96.0, 90.0, 100.0, 120.0],
    }
    panels = {name: np.column_stack([values, np.full(5, 50.0)]) for name, values in frame.items()}
    return Market.from_arrays(
        pd.bdate_range("2020-01-06", periods=5),
        ["A", "B"],
        panels.pop("close"),
        benchmark="B",
        **panels,  # type: ignore[arg-type]
    )


def test_a_stop_is_filled_at_its_level_inside_the_bar() -> None:
    settings = make_settings(cost_bps=100.0, risk=RiskSettings(stop_loss_pct=5.0), rebalance_every=10)
    last = walk(PortfolioEnv(make_falling_market(), None, settings), np.array([ALL_A]))[-1][1]
    assert last["wealth"] == pytest.approx(0.95 * 0.99 / 1.01, rel=1e-14)
    assert last["gross"] == pytest.approx(-0.05 / 1.01, rel=1e-12)


def test_a_stop_that_is_gapped_is_filled_at_the_open() -> None:
    settings = make_settings(risk=RiskSettings(stop_loss_pct=10.0), rebalance_every=10)
    last = walk(PortfolioEnv(make_falling_market(), None, settings), np.array([ALL_A]))[-1][1]
    assert last["wealth"] == pytest.approx(0.80, rel=1e-14)


def test_a_gapped_stop_is_not_bought_back_at_the_same_open() -> None:
    """The agent wants A every day; at the gap it is sold at 80 and bought anew at the next open, 90."""
    settings = make_settings(risk=RiskSettings(stop_loss_pct=10.0))
    steps = walk(PortfolioEnv(make_falling_market(), None, settings), np.array([ALL_A]))
    assert [info["wealth"] for _, info in steps] == pytest.approx([0.8, 0.8, 0.8 * 100 / 90, 0.8 * 120 / 90], rel=1e-14)


def test_a_short_position_is_stopped_on_the_high() -> None:
    settings = make_settings(
        action=ActionSettings(mode="long_short"), risk=RiskSettings(stop_loss_pct=20.0), rebalance_every=10
    )
    env = PortfolioEnv(make_falling_market(), None, settings, start="2020-01-08")
    # Sold short at the open of 90; the high of 112 is beyond 108.
    last = walk(env, np.array([[-1.0, 0.0, 2.0]]))[-1][1]
    assert last["wealth"] == pytest.approx(1 - 0.2, rel=1e-14)


def test_the_breaker_sells_and_lets_back_in_after_its_cool_down() -> None:
    risk = RiskSettings(breaker_drawdown_pct=5.0, breaker_cooldown_days=1)
    env = PortfolioEnv(make_falling_market(), None, make_settings(risk=risk), record=True)
    walk(env, np.array([ALL_A]))
    # Closes: 96 is not yet five below 100; 90 is. Out at the open of the fourth bar (90), in again at the fifth (100).
    np.testing.assert_allclose([mark.weights[0, 0] for mark in env.simulator.marks], [1, 1, 0, 1])
    assert env.simulator.wealth[0] == pytest.approx(0.9 * 1.2, rel=1e-14)


def test_the_breaker_measures_from_the_peak_and_starts_anew() -> None:
    breaker = Breaker(0.1, 2, n_portfolios=3)
    breaker.update(np.array([2.0, 2.0, 0.5]))
    np.testing.assert_array_equal(breaker.cooling, [0, 0, 2])
    breaker.update(np.array([1.81, 1.79, 0.4]))
    np.testing.assert_array_equal(breaker.cooling, [0, 2, 1])
    breaker.update(np.array([1.81, 1.5, 0.4]))
    np.testing.assert_array_equal(breaker.cooling, [0, 1, 0])
    np.testing.assert_array_equal(breaker.peak, [2.0, 1.5, 0.4])
    # Let back in, the third is judged from where it stands.
    breaker.update(np.array([1.81, 1.5, 0.37]))
    np.testing.assert_array_equal(breaker.cooling, [0, 0, 0])


def test_the_turnover_limit_is_reached_and_not_passed() -> None:
    env = PortfolioEnv(make_typed_market(), None, make_settings(constraints=ConstraintSettings(max_turnover=0.25)))
    steps = walk(env, np.array([ALL_B]))
    assert [info["turnover"] for _, info in steps] == pytest.approx([0.25, 0.25, 0.25, 0.25], abs=1e-12)
