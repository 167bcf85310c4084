"""What a strategy did, against plain loops and records whose making is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alfred.envs.settings import ActionSettings
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.behaviour import describe_behaviour, make_equal_weights, map_actions, split_gain
from tests.conftest import make_random_market
from tests.evaluation.conftest import draw_returns, make_backtest

MARKET = make_random_market(600, 4, late_listing=True)


def make_record(weights: np.ndarray, net: np.ndarray, name: str = "agent") -> Backtest:
    record = make_backtest(net, name, weights=weights, symbols=MARKET.symbols)
    return replace(record, dates=MARKET.dates[: len(net)])


def test_equal_weights_are_those_of_what_may_be_held_and_trades() -> None:
    found = make_equal_weights(MARKET, MARKET.dates)
    for row in range(0, MARKET.n_dates, 37):
        able = [s for n, s in enumerate(MARKET.symbols) if MARKET.tradable[row, n] and s != MARKET.benchmark]
        for column, symbol in enumerate(MARKET.symbols):
            assert found[row, column] == pytest.approx(1 / len(able) if symbol in able else 0.0)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    # What is held and cannot be sold is nobody's choice: the others share the rest.
    assert not MARKET.tradable[0, 0] and MARKET.tradable[0, 1:].all()
    held = np.tile([0.4, 0.3, 0.1, 0.1, 0.1], (MARKET.n_dates, 1))
    np.testing.assert_allclose(make_equal_weights(MARKET, MARKET.dates, held)[0], [0.4, 0.3, 0.3, 0.0, 0.0])


def test_active_share_is_half_the_absolute_distance_by_year() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(MARKET.n_symbols + 1), MARKET.n_dates)
    weights[:, :-1] *= MARKET.tradable
    weights /= weights.sum(axis=1, keepdims=True)
    record = make_record(weights, rng.normal(0, 0.01, MARKET.n_dates))
    found = describe_behaviour(record, [record], MARKET, ActionSettings())
    equal = make_equal_weights(MARKET, MARKET.dates)
    by_year: dict[int, list[float]] = {}
    for row, date in enumerate(MARKET.dates):
        by_year.setdefault(date.year, []).append(
            0.5 * sum(abs(a - b) for a, b in zip(weights[row], equal[row], strict=True))
        )
    assert found.active_share == pytest.approx(np.mean([value for values in by_year.values() for value in values]))
    assert found.active_share_by_year == pytest.approx({year: np.mean(values) for year, values in by_year.items()})
    assert found.not_investable == (MARKET.benchmark,)
    same = describe_behaviour(make_record(equal, record.net), [record], MARKET, ActionSettings())
    assert same.active_share == 0.0 and same.not_investable == ()


def test_the_parts_of_a_gain_add_up_and_are_what_was_put_in() -> None:
    market, skill = draw_returns(5_000, [1.0, 0.0], 0.0, seed=2).T
    weights = np.tile([0.7, 0.0, 0.3], (5_000, 1))
    reference = make_backtest(market, "SPY")
    # Three tenths in cash, the rest in what moves half as much again, and two basis points a day of skill.
    record = make_backtest(0.7 * 1.5 * market + 0.1 * skill + 2e-4, "agent", weights=weights)
    found = split_gain(record, reference)
    assert found.total == pytest.approx(found.cash + found.beta + found.rest, rel=1e-9)
    assert found.total == pytest.approx(25_200 * (record.net - market).mean(), rel=1e-9)
    yearly = 25_200 * market.mean()
    assert found.cash == pytest.approx(-0.3 * yearly, rel=1e-9)
    assert found.beta == pytest.approx(0.35 * yearly, rel=0.02)
    assert found.rest_ci[0] < 25_200 * 2e-4 < found.rest_ci[1]
    half = (found.rest_ci[1] - found.rest_ci[0]) / 2
    assert half == pytest.approx(1.96 * 0.001 / np.sqrt(5_000) * 25_200, rel=0.1)
    itself = split_gain(reference, reference)
    assert abs(itself.total) < 1e-9 and abs(itself.rest) < 1e-9


@pytest.mark.parametrize("mode", ["softmax", "simplex", "long_short"])
def test_the_map_of_actions_holds_what_random_actions_reach(mode: str) -> None:
    action = ActionSettings(mode=mode)  # type: ignore[arg-type]
    holdable = np.array([True, True, False, True])
    weights = np.tile([0.3, 0.3, 0.0, 0.3, 0.1], (50, 1))
    weights[25:] = [0.5, 0.2, 0.0, 0.2, 0.1]
    found = map_actions(weights, holdable, action)
    assert found.n_distinct == 2 and found.n_closes == 50
    assert found.asset_used[0] == 0.2 and found.asset_used[4] == 0.5 and found.cash_used == (0.1,) * 5
    assert found.asset_reach[1] == pytest.approx(1.0, abs=1e-3)
    assert found.asset_reach[0] == pytest.approx(-1.0 if mode == "long_short" else 0.0, abs=1e-3)
    assert found.cash_reach[1] >= 1.0 - 1e-3
    # With a flat softmax no weight can leave its neighbourhood, and the map says so.
    flat = map_actions(weights, holdable, ActionSettings(logit_scale=0.1))
    assert 0.2 < flat.asset_reach[0] < 0.25 < flat.asset_reach[1] < 0.3
