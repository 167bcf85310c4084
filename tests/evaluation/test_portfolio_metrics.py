from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from alfred.errors import DataError
from alfred.evaluation import portfolio_metrics as metrics
from tests.evaluation.conftest import draw_returns, make_backtest


@pytest.fixture(scope="module")
def returns() -> np.ndarray:
    return draw_returns(900, [0.8, 0.5], 0.7, seed=3)


def test_hand_typed_series() -> None:
    # Wealth 1.10, 0.88, 0.968, 1.0648: the worst fall is from 1.10 to 0.88.
    net = np.array([0.10, -0.20, 0.10, 0.10])
    np.testing.assert_allclose(metrics.compute_wealth(net), [1.10, 0.88, 0.968, 1.0648])
    np.testing.assert_allclose(metrics.compute_drawdowns(net), [0, -0.2, 0.968 / 1.1 - 1, 1.0648 / 1.1 - 1])
    assert metrics.compute_max_drawdown(net) == pytest.approx(-0.2)
    assert metrics.compute_cagr(net) == pytest.approx(1.0648**63 - 1)
    # Mean 0.025, deviations 0.075 and -0.225: variance (3 * 0.075^2 + 0.225^2) / 3 = 0.0225.
    assert metrics.compute_volatility(net) == pytest.approx(0.15 * np.sqrt(252))
    assert metrics.compute_sharpe(net) == pytest.approx(0.025 / 0.15 * np.sqrt(252))
    # One loss of 0.2 in four days: downside sqrt(0.04 / 4) = 0.1.
    assert metrics.compute_sortino(net) == pytest.approx(0.025 / 0.1 * np.sqrt(252))
    assert metrics.compute_calmar(net) == pytest.approx((1.0648**63 - 1) / 0.2)


def test_loss_on_the_first_day_is_a_drawdown() -> None:
    assert metrics.compute_max_drawdown(np.array([-0.1, 0.05])) == pytest.approx(-0.1)


def test_agrees_with_quantstats(returns: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = pytest.importorskip("quantstats.stats")
        net = pd.Series(returns[:, 0], index=pd.bdate_range("2015-01-02", periods=len(returns)))
        expected = {
            "sharpe": stats.sharpe(net),
            "sortino": stats.sortino(net),
            "calmar": stats.calmar(net),
            "cagr": stats.cagr(net),
            "volatility": stats.volatility(net),
            "max_drawdown": stats.max_drawdown(net),
        }
    row = metrics.compute_portfolio_metrics(make_backtest(returns[:, 0], benchmark=returns[:, 1]))
    for name, value in expected.items():
        assert getattr(row, name) == pytest.approx(float(value), rel=1e-9), name


def test_against_the_benchmark_agrees_with_regression(returns: np.ndarray) -> None:
    net, rival = returns.T
    row = metrics.compute_portfolio_metrics(make_backtest(net, benchmark=rival))
    slope, intercept = np.polyfit(rival, net, 1)
    assert row.beta == pytest.approx(slope)
    assert row.alpha == pytest.approx(intercept * 252)
    assert row.tracking_error == pytest.approx(np.std(net - rival, ddof=1) * np.sqrt(252))
    assert row.information_ratio == pytest.approx(np.mean(net - rival) * 252 / row.tracking_error)
    assert row.win_rate == pytest.approx(sum(a > b for a, b in zip(net, rival, strict=True)) / len(net))


def test_win_rate_of_months_and_years_by_plain_loop(returns: np.ndarray) -> None:
    record = make_backtest(returns[:, 0], benchmark=returns[:, 1])
    row = metrics.compute_portfolio_metrics(record)
    for attribute, key in (("win_rate_months", lambda d: (d.year, d.month)), ("win_rate_years", lambda d: d.year)):
        grown: dict[object, list[float]] = {}
        for date, own, rival in zip(record.dates, record.net, record.benchmark, strict=True):
            pair = grown.setdefault(key(date), [1.0, 1.0])
            pair[0] *= 1 + own
            pair[1] *= 1 + rival
        wins = [own > rival for own, rival in grown.values()]
        assert getattr(row, attribute) == pytest.approx(sum(wins) / len(wins))


def test_turnover_cost_and_concentration() -> None:
    weights = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.3, 0.1, 0.6], [0.0, 0.0, 1.0]])
    row = metrics.compute_portfolio_metrics(make_backtest([0.0, 0.01, 0, 0], costs=[0, 0.001, 0, 0], weights=weights))
    # Half the sums of absolute changes are 0.5, 0.7 (0.7 + 0.1 + 0.6 halved) and 0.4.
    assert row.turnover == pytest.approx((0.5 + 0.7 + 0.4) / 4 * 252)
    assert row.cost == pytest.approx(0.001 / 4 * 252)
    assert row.cash == pytest.approx(1.6 / 4)
    assert row.gross_exposure == pytest.approx(2.4 / 4)
    # Shares of the invested part on the three days that hold something: halves, one, three quarters and one.
    assert row.concentration == pytest.approx((0.5 + 1.0 + (0.75**2 + 0.25**2)) / 3)
    assert row.effective_names == pytest.approx((2 + 1 + 1 / (0.75**2 + 0.25**2)) / 3)


def test_short_positions_count_by_their_size() -> None:
    weights = np.array([[0.8, -0.3, 0.5], [0.8, -0.3, 0.5]])
    row = metrics.compute_portfolio_metrics(make_backtest([0.01, 0.02], weights=weights))
    assert row.gross_exposure == pytest.approx(1.1)


@pytest.mark.parametrize("net", [[0.001] * 50, [0.0] * 50, [0.02]])
def test_ratios_without_a_denominator_are_nan(net: list[float]) -> None:
    row = metrics.compute_portfolio_metrics(make_backtest(net))
    assert np.isnan(row.sharpe) and np.isnan(row.sortino) and np.isnan(row.calmar) and np.isnan(row.beta)
    assert row.max_drawdown == 0


def test_one_day_has_growth_but_no_volatility() -> None:
    row = metrics.compute_portfolio_metrics(make_backtest([0.01]))
    assert np.isnan(row.volatility)
    assert row.cagr == pytest.approx(1.01**252 - 1)


def test_ruin_is_final() -> None:
    net = np.array([0.1, -1.0, 0.5])
    np.testing.assert_array_equal(metrics.compute_wealth(net), [1.1, 0.0, 0.0])
    assert metrics.compute_cagr(net) == -1
    assert metrics.compute_max_drawdown(net) == -1
    assert metrics.compute_wealth(np.array([-1.3, -1.3]))[-1] == 0


def test_all_cash_has_no_concentration() -> None:
    row = metrics.compute_portfolio_metrics(make_backtest([0.0, 0.0], weights=np.array([[0.0, 0, 1], [0, 0, 1]])))
    assert np.isnan(row.concentration) and np.isnan(row.effective_names)


def test_a_return_that_is_not_finite_is_named() -> None:
    with pytest.raises(DataError, match=r"net return of backtest 'agent' is nan on 2015-01-05"):
        metrics.compute_portfolio_metrics(make_backtest([0.0, np.nan, 0.0]))


def test_benchmark_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match=r"has 2 days and its benchmark 3"):
        metrics.compute_portfolio_metrics(make_backtest([0.0, 0.1]), np.zeros(3))
