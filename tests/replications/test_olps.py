"""The ledger and the baselines book what the literature of online portfolio selection prints, digit by digit.

Wealth is that of one unit at the close before the first day, decided and traded at closes (`execution: close`), as the
papers have it. `docs/replications.md` says what is published where, what is computed, and what differs.
"""

from __future__ import annotations

import numpy as np
import pytest

from alfred.agents.strategies.prices import FixedMix
from alfred.agents.strategies.registry import BASELINES
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from benchmarks.olps_sets import SETS, find_best_constant, make_market, read_relatives
from tests.replications import reference

QUICK = ("djia", "sp500")
EACH_SET = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SETS]
PRINTED = {
    "uniform, held": ("14.50", "18.06", "1.61", "1.34", "0.91", "0.76"),
    "best stock": ("54.14", "83.51", "6.28", "3.78", "1.50", "1.19"),
    "best constant": ("250.60", "120.32", "6.78", "4.07", "1.51", "1.24"),
    "uniform": ("27.08", "31.55", "1.60", "1.65", "0.93", "0.81"),
    "eg": ("27.09", "31.00", "1.59", "1.63", "0.93", "0.81"),
    "pamr": ("5.14e+15", "1.25e+06", "264.86", "5.09", "15.23", "0.68"),
    "olmar": ("7.21e+16", "4.14e+08", "58.51", "15.94", "14.94", "2.54"),
}
# Total return after the last day in the logs of the authors' toolbox (github.com/OLPS/OLPS, Log/Log/*-djia-*.txt).
LOGGED_ON_DJIA = {
    "uniform, held": "0.764361",
    "best stock": "1.188360",
    "best constant": "1.239928",
    "uniform": "0.812726",
    "eg": "0.810030",
    "pamr": "0.680050",
    "olmar": "2.537232",
}
PLAIN = {
    "uniform": reference.uniform,
    "eg": reference.exponentiated_gradient,
    "pamr": reference.pamr,
    "olmar": reference.olmar,
}


def book(relatives, policy: Policy, cost_bps: float = 0.0) -> Backtest:
    market = make_market(relatives)
    settings = PortfolioSettings(cost_bps=cost_bps, slippage_bps=0.0, execution="close")
    return backtest(policy, make_walk(market, None, settings, policy))


def make_policy(relatives, kind: str, **settings: object) -> Policy:
    return BASELINES.load(kind).model_validate({"kind": kind, **settings}).build(make_market(relatives), ())


def make_strategy(relatives, name: str) -> Policy:
    n = relatives.shape[1]
    if name == "uniform, held":
        return make_policy(relatives, "mix", hold=True)
    if name == "best stock":
        return FixedMix(name, np.append(np.eye(n)[np.argmax(relatives.prod())], 0.0), 1)
    if name == "best constant":
        return FixedMix(name, np.append(find_best_constant(relatives), 0.0), 1)
    return make_policy(relatives, "mix", rebalance_every=1) if name == "uniform" else make_policy(relatives, name)


def spell(wealth: float) -> str:
    return f"{wealth:.2f}" if wealth < 1e4 else f"{wealth:.2e}"


@pytest.mark.parametrize("name", EACH_SET)
def test_wealth_without_costs_is_what_is_printed(olps_dir, name: str) -> None:
    relatives = read_relatives(name, olps_dir)
    x = relatives.to_numpy()
    wealth = {strategy: float(book(relatives, make_strategy(relatives, strategy)).wealth[-1]) for strategy in PRINTED}
    printed = {strategy: row[SETS.index(name)] for strategy, row in PRINTED.items()}
    assert {strategy: spell(value) for strategy, value in wealth.items()} == printed
    for strategy, update in PLAIN.items():
        plain = reference.compute_wealth(x, reference.walk(x, update))
        # Observations are in single precision, and strategies that concentrate amplify its roundings.
        np.testing.assert_allclose(wealth[strategy], plain, rtol=1e-5, err_msg=strategy)
    np.testing.assert_allclose(wealth["uniform, held"], np.prod(x, axis=0).mean(), rtol=1e-9)
    if name == "djia":
        assert {strategy: f"{value:.6f}" for strategy, value in wealth.items()} == LOGGED_ON_DJIA


def test_best_constant_is_the_best(olps_dir) -> None:
    """No direction from it earns more: the condition of Kuhn and Tucker, which bounds what is left to gain."""
    x = read_relatives("sp500", olps_dir).to_numpy()
    best = find_best_constant(x)
    gains = (x / (x @ best)[:, None]).mean(axis=0)
    assert len(x) * np.log(gains.max()) < 1e-4
    np.testing.assert_allclose(best.sum(), 1.0)


def test_at_ten_basis_points_pamr_keeps_little(olps_dir) -> None:
    relatives = read_relatives("sp500", olps_dir)
    x = relatives.to_numpy()
    record = book(relatives, make_policy(relatives, "pamr"), 10.0)
    portfolios = reference.walk(x, reference.pamr)
    # The literature starts invested; the ledger starts in cash and pays once for getting in.
    np.testing.assert_allclose(record.costs[0], 1 - 1 / 1.001, rtol=1e-12)
    exact = reference.compute_wealth(x, portfolios, 10.0)
    np.testing.assert_allclose(record.wealth[-1] * 1.001, exact, rtol=1e-5)
    linear = reference.compute_wealth(x, portfolios, 10.0, exact=False)
    assert (spell(record.wealth[-1]), spell(exact), spell(linear)) == ("0.64", "0.64", "0.64")


@pytest.mark.slow
def test_charging_before_the_trade_costs_a_hundredth_over_25_years(olps_dir) -> None:
    """The literature charges what is traded at weights before the cost; to buy less with what is left costs less."""
    relatives = read_relatives("nyse_n", olps_dir)
    x = relatives.to_numpy()
    record = book(relatives, make_policy(relatives, "pamr"), 10.0)
    portfolios = reference.walk(x, reference.pamr)
    exact = reference.compute_wealth(x, portfolios, 10.0)
    np.testing.assert_allclose(record.wealth[-1] * 1.001, exact, rtol=1e-4)
    linear = reference.compute_wealth(x, portfolios, 10.0, exact=False)
    assert (f"{exact:.1f}", f"{linear:.1f}") == ("25.5", "25.3")


@pytest.mark.parametrize(
    ("first", "second", "printed"),
    [
        pytest.param("T", "W", "38.67", id="Iroquois and Kin Ark", marks=pytest.mark.slow),
        pytest.param("F", "W", "78.47", id="Commercial Metals and Kin Ark", marks=pytest.mark.slow),
        pytest.param("F", "Z", "72.63", id="Commercial Metals and Meicco", marks=pytest.mark.slow),
        pytest.param("R", "E", "14.18", id="IBM and Coca-Cola", marks=pytest.mark.slow),
    ],
)
def test_universal_portfolios_on_covers_pairs(olps_dir, first: str, second: str, printed: str) -> None:
    pair = read_relatives("nyse_o", olps_dir)[[first, second]]
    wealth = book(pair, make_policy(pair, "universal")).wealth[-1]
    assert spell(wealth) == printed
    np.testing.assert_allclose(wealth, reference.compute_universal_wealth(pair.to_numpy()), rtol=1e-6)


def test_universal_portfolio_is_wealth_split_over_a_grid(olps_dir) -> None:
    pair = read_relatives("djia", olps_dir).iloc[:, [3, 17]]
    wealth = book(pair, make_policy(pair, "universal", n_grid=11)).wealth[-1]
    np.testing.assert_allclose(wealth, reference.compute_universal_wealth(pair.to_numpy(), 11), rtol=1e-6)


def test_the_benchmark_is_uniform_and_held_and_nobody_invests_in_it(olps_dir) -> None:
    relatives = read_relatives("djia", olps_dir)
    record = book(relatives, make_policy(relatives, "olmar"))
    np.testing.assert_allclose(np.prod(1.0 + record.benchmark), np.prod(relatives.to_numpy(), axis=0).mean())
    assert not record.weights[:, -2].any()


def test_the_figures_need_the_close_that_decides(olps_dir) -> None:
    """Traded a day later they are others: the literature trades at prices that it has already seen."""
    relatives = read_relatives("djia", olps_dir)
    policy = make_policy(relatives, "olmar")
    settings = PortfolioSettings(cost_bps=0.0, slippage_bps=0.0, execution="next_close")
    late = backtest(policy, make_walk(make_market(relatives), None, settings, policy)).wealth[-1]
    assert abs(late / float(LOGGED_ON_DJIA["olmar"]) - 1.0) > 0.1
