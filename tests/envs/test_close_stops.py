"""A stop that looks at closes: held to a plain loop over one asset at a time, and to what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.data.market import Market
from alfred.envs.policy import BaselinePolicy
from alfred.envs.settings import PortfolioSettings, RiskSettings
from alfred.errors import ConfigError, DataError
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.typing import Float, Observation
from tests.conftest import make_random_market

STOP, COST = 0.02, 0.001
EVERY = 5


class Weekly(BaselinePolicy):
    """Equal weights every fifth decision, and nothing in between."""

    name = "weekly"
    rebalance_every: int | None = 1
    under_mandate = True
    may_hold = True

    def reset(self, rows: object = None) -> None:
        self.calls = 0

    def predict(self, observation: Observation) -> Float:
        n = observation["weights"].shape[1] - 1
        self.calls += 1
        target = np.append(np.full(n - 1, 1 / (n - 1)), [0.0, 0.0])
        return np.full((1, n + 1), np.nan) if (self.calls - 1) % EVERY else target[None]


def walk(market: Market, execution: str, **risk: object) -> Backtest:
    settings = PortfolioSettings.model_validate(
        {"cost_bps": 1e4 * COST, "slippage_bps": 0, "execution": execution, "risk": risk}
    )
    return backtest(Weekly(), make_walk(market, None, settings, Weekly(), start=market.dates[0]))


def replay(market: Market, execution: str, stop: float | None) -> list[float]:
    """Return wealth at every close, from the money in each asset, one asset after the other."""
    close, price = market.close, market.open if execution == "next_open" else market.close
    assert price is not None
    n = market.n_symbols - 1
    money, cash = np.zeros(n), 1.0  # worth at the last price that was looked at
    basis = np.ones(n)  # average entry price
    stopped = np.zeros(n, dtype=bool)
    found = []
    last = market.n_dates
    for day in range(1, last):
        before = close[day - 1]
        for i in range(n):
            money[i] *= price[day, i] / before[i]
        if (day - 1) % EVERY == 0 and not (execution == "next_close" and day == last - 1):
            wealth = cash + money.sum()
            want = np.where(stopped, 0.0, 1.0 / n)
            after = wealth
            for _ in range(200):  # the cost is paid out of what is left, so that both are found together
                after = wealth - COST * np.abs(want * after - money).sum()
            for i in range(n):
                new = want[i] * after
                if new > 0 and money[i] > 0 and new > money[i]:
                    shares = money[i] / price[day, i]
                    basis[i] = (shares * basis[i] + new - money[i]) / (new / price[day, i])
                elif not money[i] > 0:
                    basis[i] = price[day, i]
                money[i] = new
            cash = after - money.sum()
        elif stopped.any() and not (execution == "next_close" and day == last - 1):
            for i in range(n):
                if stopped[i]:
                    cash += money[i] * (1 - COST)
                    money[i] = 0.0
        for i in range(n):
            money[i] *= close[day, i] / price[day, i]
            stopped[i] = stop is not None and money[i] > 0 and close[day, i] <= basis[i] * (1 - stop) * (1 + 1e-12)
        found.append(cash + money.sum())
    return found


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
@pytest.mark.parametrize("stop", [None, STOP])
def test_the_ledger_equals_a_plain_loop(execution: str, stop: float | None) -> None:
    market = make_random_market(120, seed=3, ohlc=execution == "next_open")
    risk = {} if stop is None else {"stop_loss_pct": 100 * stop, "stop_loss_at": "close"}
    record = walk(market, execution, **risk)
    np.testing.assert_allclose(record.wealth, replay(market, execution, stop), rtol=1e-10)


def test_a_stopped_position_stays_in_cash_until_the_next_decision() -> None:
    market = make_random_market(120, seed=3)
    record = walk(market, "next_open", stop_loss_pct=100 * STOP, stop_loss_at="close")
    free = walk(market, "next_open")
    held = record.weights[:, :-2] > 0
    assert (free.weights[:, :-2] > 0).all()
    assert 0.02 < 1 - held.mean() < 0.5
    sold = held[:-1] & ~held[1:]
    assert sold.any()
    for row, column in np.argwhere(sold):
        following = range(row + 2, min((row + 1) // EVERY * EVERY + EVERY, len(held)))
        assert not held[following, column].any()


def test_nothing_is_traded_between_decisions_without_a_stop() -> None:
    record = walk(make_random_market(120, seed=3), "next_open")
    traded = record.turnover > 1e-12
    assert traded[::EVERY].all()
    assert traded.sum() == len(traded[::EVERY])


def test_closes_alone_are_enough_for_a_stop_at_the_close() -> None:
    market = make_random_market(60, ohlc=False)
    walk(market, "next_close", stop_loss_pct=5, stop_loss_at="close")
    with pytest.raises(ConfigError, match="stop_loss_at to close"):
        walk(market, "next_close", stop_loss_pct=5)


def test_weights_that_are_not_numbers_are_refused_of_a_policy_that_does_not_say_so() -> None:
    class Careless(Weekly):
        may_hold = False

    market = make_random_market(60)
    with pytest.raises(DataError, match="not a finite number"):
        backtest(Careless(), make_walk(market, None, PortfolioSettings(), Careless()))


def test_the_stop_is_taken_back_with_the_rest_of_the_state() -> None:
    market = make_random_market(120, seed=3)
    settings = PortfolioSettings(risk=RiskSettings(stop_loss_pct=100 * STOP, stop_loss_at="close"))
    simulator = make_walk(market, None, settings, Weekly(), start=market.dates[0]).begin()
    target = np.full((1, market.n_symbols + 1), 1 / (market.n_symbols + 1))
    simulator.step(target)
    while not simulator.stopped.any():
        simulator.step(None)
    state = simulator.get_state()
    cash = []
    for _ in range(2):
        simulator.set_state(state)
        simulator.step(None)
        cash.append(simulator.weights[0, -1])
    assert cash[0] == cash[1] > 1.5 * target[0, -1]
