"""Online strategies: their updates by hand, who takes part, what they remember, and that they cannot see ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.agents.strategies.online.base import OnlinePolicy
from alfred.agents.strategies.online.simplex import project
from alfred.agents.strategies.registry import BASELINES
from alfred.data.market import Market
from alfred.envs.settings import PortfolioSettings
from alfred.errors import DataError
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.typing import Observation
from tests.conftest import make_random_market
from tests.test_lookahead import find_leak

KINDS = ("eg", "pamr", "olmar", "universal")
MARKET = make_random_market(160, 6, seed=4, late_listing=True)
FREE = PortfolioSettings(cost_bps=0.0, slippage_bps=0.0)


def make(kind: str, market: Market = MARKET, **settings: object) -> OnlinePolicy:
    policy = BASELINES.load(kind).model_validate({"kind": kind, **settings}).build(market, ())
    assert isinstance(policy, OnlinePolicy)
    return policy


def make_closed_market(n_symbols: int) -> Market:
    """A market of so many symbols and a benchmark, of which only the names matter."""
    names = [f"S{i}" for i in range(n_symbols)] + ["SPY"]
    return Market.from_arrays(pd.bdate_range("2020-01-01", periods=3), names, np.ones((3, len(names))), benchmark="SPY")


def observe(relatives: np.ndarray, tradable: np.ndarray | None = None) -> Observation:
    """What P portfolios see after price relatives `[P, U, L]` of the universe; the benchmark stands last."""
    count, n, lookback = relatives.shape
    returns = np.zeros((count, n + 1, lookback))
    returns[:, :n] = np.log(relatives)
    live = np.ones((count, n + 1)) if tradable is None else np.hstack([tradable, np.ones((count, 1))])
    return {"returns": returns.astype(np.float32), "tradable": live.astype(np.float32)}


def walk(policy: OnlinePolicy, market: Market = MARKET, **settings: object) -> Backtest:
    chosen = FREE.model_copy(update=settings)
    return backtest(policy, make_walk(market, None, chosen, policy))


def decide(policy: OnlinePolicy, days: list[list[float]]) -> np.ndarray:
    """Portfolio after each of some days for one book, `[T + 1, U]`, the first before any of them."""
    n = len(days[0])
    past = np.ones((1, n, policy.lookback))
    chosen = [policy.predict(observe(past))[0, :n]]
    for day in days:
        past = np.concatenate([past[:, :, 1:], np.reshape(day, (1, n, 1))], axis=2)
        chosen.append(policy.predict(observe(past))[0, :n])
    return np.array(chosen)


def test_exponentiated_gradient_by_hand() -> None:
    chosen = decide(make("eg", make_closed_market(2), eta=0.5), [[1.1, 0.9]])
    lead = np.exp(0.5 * 1.1 / 1.0), np.exp(0.5 * 0.9 / 1.0)
    np.testing.assert_allclose(chosen, [[0.5, 0.5], np.array(lead) / sum(lead)], atol=1e-7)


def test_pamr_by_hand() -> None:
    # It earned 1, half above 0.5; deviations are +-0.1: tau = 0.5 / 0.02 = 25, a move of 2.5, all into the loser.
    chosen = decide(make("pamr", make_closed_market(2)), [[1.1, 0.9]])
    np.testing.assert_allclose(chosen, [[0.5, 0.5], [0.0, 1.0]], atol=1e-7)
    # A tenth above 0.9: tau = 0.1 / 0.5 = 0.2, times the deviations of +-0.5.
    chosen = decide(make("pamr", make_closed_market(2), epsilon=0.9), [[1.5, 0.5]])
    np.testing.assert_allclose(chosen[1], [0.4, 0.6], atol=1e-7)
    # Below the threshold nothing moves.
    chosen = decide(make("pamr", make_closed_market(2), epsilon=1.2), [[1.5, 0.5]])
    np.testing.assert_allclose(chosen[1], [0.5, 0.5], atol=1e-7)


def test_olmar_by_hand() -> None:
    days = [[1.25, 0.8], [1.0, 1.0], [1.25, 0.8], [1.25, 0.8]]
    chosen = decide(make("olmar", make_closed_market(2), window=2, epsilon=1.05), days)
    np.testing.assert_allclose(chosen[:2], 0.5)  # nothing is expected before the third decision
    np.testing.assert_allclose(chosen[2], 0.5, atol=1e-6)  # the last relative once more: all alike, nothing to choose
    # The mean of the last two prices over the present one: (1 + 1 / 1.25) / 2 = 0.9 and (1 + 1 / 0.8) / 2 = 1.125.
    # Expected 1.0125, wanted 1.05: the gap 0.0375 over 0.0253125 times +-0.1125 moves a sixth.
    np.testing.assert_allclose(chosen[3], [0.5 - 1 / 6, 0.5 + 1 / 6], atol=1e-6)


def test_universal_by_hand() -> None:
    chosen = decide(make("universal", make_closed_market(2), n_grid=3), [[2.0, 1.0], [2.0, 1.0]])
    np.testing.assert_allclose(chosen[0], [0.5, 0.5])
    wealth = np.array([1.0, 1.5, 2.0])  # of the mixes 0, 1/2 and 1
    np.testing.assert_allclose(chosen[1][0], wealth @ [0, 0.5, 1] / wealth.sum(), atol=1e-7)
    np.testing.assert_allclose(chosen[2][0], wealth**2 @ [0, 0.5, 1] / (wealth**2).sum(), atol=1e-7)


def test_projection_is_the_nearest_portfolio() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 2, (200, 7))
    members = rng.random((200, 7)) < 0.7
    found = project(points, members)
    np.testing.assert_allclose(found.sum(axis=1), members.any(axis=1), atol=1e-12)
    assert (found >= 0).all()
    assert not found[~members].any()
    distance = np.where(members, (found - points) ** 2, 0.0).sum(axis=1)
    for _ in range(50):
        others = np.where(members, rng.dirichlet(np.full(7, 0.5), 200), 0.0)
        others /= np.maximum(others.sum(axis=1, keepdims=True), 1e-300)
        assert (np.where(members, (others - points) ** 2, 0.0).sum(axis=1) >= distance - 1e-9).all()
    np.testing.assert_allclose(project(points + 1e6, members), found, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_no_strategy_sees_ahead(kind: str) -> None:
    def hold(market: Market) -> dict[pd.Timestamp, np.ndarray]:
        record = walk(make(kind, market), market)
        return dict(zip(record.dates, record.weights, strict=True))

    assert find_leak(hold, MARKET, probes=(3, 60, 120)) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_portfolio_of_what_trades(kind: str) -> None:
    record = walk(make(kind), execution="close")
    np.testing.assert_allclose(record.weights.sum(axis=1), 1.0, atol=1e-12)
    assert (record.weights >= 0).all()
    assert not record.weights[:, MARKET.index_of("SPY")].any()
    unlisted = ~MARKET.tradable[:, 0]
    assert unlisted.any()
    assert not record.weights[unlisted[: len(record.weights)], 0].any()
    assert record.weights[~unlisted[: len(record.weights)], 0].any()


@pytest.mark.parametrize("kind", ["eg", "pamr", "olmar"])
def test_order_of_the_symbols_does_not_matter(kind: str) -> None:
    order = [3, 0, 4, 1, 2]
    turned = MARKET.select([MARKET.symbols[i] for i in order])
    np.testing.assert_allclose(
        walk(make(kind, turned), turned).weights[:, :5], walk(make(kind)).weights[:, order], atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_portfolios_of_their_own(kind: str) -> None:
    rng = np.random.default_rng(1)
    relatives = np.exp(rng.normal(0, 0.02, (12, 3, 5, 8)))
    market = make_closed_market(5)
    together, alone = make(kind, market), [make(kind, market) for _ in range(3)]
    for seen in relatives:
        each = [policy.predict(observe(seen[p : p + 1])) for p, policy in enumerate(alone)]
        np.testing.assert_allclose(together.predict(observe(seen)), np.vstack(each), atol=1e-12)
    with pytest.raises(DataError, match=r"has decided for 3 portfolio\(s\) and is asked for 1.*call reset\(\)"):
        together.predict(observe(relatives[0][:1]))


@pytest.mark.parametrize("kind", KINDS)
def test_reset_forgets(kind: str) -> None:
    policy = make(kind)
    first = walk(policy)
    again = walk(policy)  # a backtest resets what it walks
    np.testing.assert_array_equal(first.weights, again.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_may_forget_alone(kind: str) -> None:
    rng = np.random.default_rng(2)
    relatives = np.exp(rng.normal(0, 0.02, (16, 2, 5, 8)))
    market = make_closed_market(5)
    both, stays, anew = make(kind, market), make(kind, market), make(kind, market)
    for step, seen in enumerate(relatives):
        if step == 8:
            both.reset(np.array([1]))
        found = both.predict(observe(seen))
        np.testing.assert_allclose(found[:1], stays.predict(observe(seen[:1])), atol=1e-12)
        if step >= 8:
            np.testing.assert_allclose(found[1:], anew.predict(observe(seen[1:])), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_period_may_be_a_week(kind: str) -> None:
    """Decisions every five sessions are those of the same strategy on prices of every fifth session."""
    weekly = Market.from_arrays(
        pd.bdate_range("2010-01-04", periods=len(MARKET.dates[::5])),
        MARKET.symbols,
        MARKET.close[::5],
        benchmark="SPY",
    )
    slow = walk(make(kind, rebalance_every=5), execution="close").wealth[5::5]
    fast = walk(make(kind, weekly), weekly, execution="close").wealth[1:]
    np.testing.assert_allclose(slow[: len(fast)], fast[: len(slow)], rtol=1e-6)


@pytest.mark.parametrize("kind", ["pamr", "olmar"])
def test_a_day_without_moves_moves_nothing(kind: str) -> None:
    days = [[1.1, 0.9, 1.0], [0.9, 1.0, 1.2], *[[1.0, 1.0, 1.0]] * 6]
    chosen = decide(
        make(kind, make_closed_market(3), window=3) if kind == "olmar" else make(kind, make_closed_market(3)), days
    )
    np.testing.assert_array_equal(chosen[-1], chosen[-2])
    assert np.isfinite(chosen).all()


def test_who_leaves_and_who_enters() -> None:
    policy = make("eg", make_closed_market(3), eta=1e-9)
    still = np.ones((1, 3, 1))
    first = policy.predict(observe(still, np.array([[1, 1, 0]])))
    np.testing.assert_allclose(first, [[0.5, 0.5, 0, 0, 0]])
    entered = policy.predict(observe(still, np.array([[1, 1, 1]])))
    np.testing.assert_allclose(entered, [[1 / 3, 1 / 3, 1 / 3, 0, 0]], atol=1e-7)
    left = policy.predict(observe(still, np.array([[0, 1, 1]])))
    np.testing.assert_allclose(left, [[0, 0.5, 0.5, 0, 0]], atol=1e-7)
    nobody = policy.predict(observe(still, np.array([[0, 0, 0]])))
    np.testing.assert_allclose(nobody, [[0, 0, 0, 0, 1]])
    back = policy.predict(observe(still, np.array([[1, 0, 1]])))
    np.testing.assert_allclose(back, [[0.5, 0, 0.5, 0, 0]], atol=1e-7)
