"""A year has as many sessions as the market has, and what cash earns is no skill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.agents.strategies.prices import FOREVER, FixedMix
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.errors import DataError
from alfred.evaluation import portfolio_metrics as metrics
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.report.page import MarketFacts, ReportInput, write_report
from alfred.evaluation.results import compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.bootstrap import make_stationary_indices, resample_metrics
from tests.conftest import make_random_market
from tests.evaluation.conftest import draw_returns, make_backtest

QUICK = IntervalSettings(n_replicates=200)
FREE = PortfolioSettings(cost_bps=0, slippage_bps=0, execution="close")


def walk(market: Market, settings: PortfolioSettings, name: str, share: float, every: int = FOREVER) -> Backtest:
    shares = np.zeros(market.n_symbols)
    shares[market.index_of(market.benchmark)] = share
    policy: Policy = FixedMix(name, shares, rebalance_every=every)
    return backtest(policy, make_walk(market, None, settings, policy))


@pytest.fixture(scope="module")
def spy(market_dir: Path) -> Market:
    market = load_market(DataSettings(path=market_dir, symbols=["SPY", "AAPL"], benchmark="SPY", start="2005-01-01"))
    return market.until("2023-12-31")


def resample(market: Market, rule: str) -> Market:
    frame = pd.DataFrame(market.close, index=market.dates)
    last = frame.groupby(market.dates.to_period(rule)).tail(1)
    return Market.from_arrays(pd.DatetimeIndex(last.index), market.symbols, last.to_numpy(), benchmark=market.benchmark)


@pytest.mark.parametrize(("rule", "periods"), [("D", 252), ("W", 52), ("M", 12)])
def test_growth_of_spy_is_the_same_at_every_spacing(spy: Market, rule: str, periods: int) -> None:
    """Weekly bars gave 38 per cent a year, monthly ones 337."""
    market = resample(spy, rule)
    row = compute_results([walk(market, FREE, "SPY", 1.0)], intervals=QUICK)[0]
    assert row.periods_per_year == periods == market.periods_per_year
    assert 0.070 <= row.cagr <= 0.100
    assert 0.13 <= row.volatility <= 0.20
    assert 0.5 <= row.sharpe <= 0.75
    low, high = row.cagr_ci
    assert low < row.cagr < high < 0.25


def test_a_little_spy_and_much_cash_is_no_better_than_spy(spy: Market) -> None:
    """With cash at 4 per cent it 'beat' SPY by 1.87; in excess of cash it is SPY at a tenth of the size."""
    settings = FREE.model_copy(update={"cash_rate_pct": 4.0})
    held, mixed = walk(spy, settings, "SPY", 1.0), walk(spy, settings, "a tenth", 0.1, every=21)
    rows = compute_results([mixed, held], benchmark="SPY", intervals=QUICK)
    assert rows[0].sharpe == pytest.approx(0.36, abs=0.03) and rows[1].sharpe == pytest.approx(0.37, abs=0.03)
    assert abs(rows[0].sharpe_minus_benchmark) < 0.03
    assert rows[0].versus_benchmark.outcome != "beats"
    assert rows[0].beta == pytest.approx(0.1, abs=0.01) and abs(rows[0].alpha) < 0.002
    assert abs(rows[0].sortino - rows[1].sortino) < 0.05
    assert rows[0].cagr > 0.04


@pytest.mark.parametrize("rate", [0.0, 4.0, {"2009-01-01": 1.0, "2010-06-01": 5.0}])
def test_cash_has_no_sharpe_ratio(rate: object) -> None:
    market = make_random_market()
    settings = PortfolioSettings.model_validate({"cash_rate_pct": rate})
    cash, held = walk(market, settings, "cash", 0.0), walk(market, settings, "SPY", 1.0)
    row = compute_results([cash, held], benchmark="SPY", n_trials=5, intervals=QUICK)[0]
    assert np.isnan(row.sharpe) and np.isnan(row.sortino) and np.isnan(row.deflated_sharpe)
    assert np.isnan(row.sharpe_ci[0]) and np.isnan(row.sharpe_minus_benchmark)
    assert row.versus_benchmark.outcome == "cannot tell"
    assert row.to_json()["sharpe"] is None
    json.dumps(row.to_json(), allow_nan=False)


@pytest.mark.parametrize("size", [0.0, 1e-5, 0.04 / 252, 0.3])
def test_rounding_is_no_spread(size: float) -> None:
    """An all-cash book had a Sharpe ratio of 390."""
    noise = np.random.default_rng(0).standard_normal(1000) * 1e-17
    assert metrics.is_constant(size + noise)
    assert np.isnan(metrics.compute_sharpe(size + noise))
    indices = make_stationary_indices(1000, 20, 5.0, np.random.default_rng(1))
    assert np.isnan(resample_metrics((size + noise)[:, None], indices).sharpe).all()


def test_small_positions_keep_their_sharpe_ratio() -> None:
    returns = draw_returns(1000, [0.8], 0.0, seed=2)[:, 0]
    for share in (1.0, 1e-3, 1e-7):
        assert metrics.compute_sharpe(share * returns) == pytest.approx(metrics.compute_sharpe(returns))


def test_ratios_are_in_excess_of_cash_and_growth_is_not() -> None:
    returns = draw_returns(800, [0.9, 0.6], 0.7, seed=3)
    cash = np.full(800, 0.05 / 252) + np.linspace(0, 1e-4, 800)
    plain = [make_backtest(series, name) for name, series in zip("ab", returns.T, strict=True)]
    raised = [replace(item, net=item.net + cash, gross=item.net + cash, cash_return=cash) for item in plain]
    before = compute_results(plain, benchmark="b", n_trials=3, intervals=QUICK)[0]
    after = compute_results(raised, benchmark="b", n_trials=3, intervals=QUICK)[0]
    for name in ("sharpe", "sortino", "beta", "alpha", "information_ratio", "deflated_sharpe", "sharpe_error"):
        assert getattr(after, name) == pytest.approx(getattr(before, name)), name
    assert after.sharpe_ci == pytest.approx(before.sharpe_ci)
    assert after.versus_benchmark.interval == pytest.approx(before.versus_benchmark.interval)
    assert after.versus_benchmark.deflated == pytest.approx(before.versus_benchmark.deflated)
    assert after.cagr > before.cagr + 0.04 and after.cagr_ci[0] > before.cagr_ci[0] + 0.04


def test_everything_annual_follows_the_year() -> None:
    returns = draw_returns(520, [0.9, 0.6], 0.7, seed=4)
    daily = [make_backtest(series, name) for name, series in zip("ab", returns.T, strict=True)]
    weekly = [replace(item, periods_per_year=52) for item in daily]
    one, other = (compute_results(items, benchmark="b", n_trials=3, intervals=QUICK)[0] for items in (daily, weekly))
    scale = np.sqrt(52 / 252)
    for name in (
        "sharpe",
        "sortino",
        "volatility",
        "tracking_error",
        "information_ratio",
        "sharpe_error",
        "detectable",
    ):
        assert getattr(other, name) == pytest.approx(scale * getattr(one, name)), name
    for name in ("alpha", "turnover", "cost"):
        assert getattr(other, name) == pytest.approx(scale**2 * getattr(one, name)), name
    assert np.log1p(other.cagr) == pytest.approx(scale**2 * np.log1p(one.cagr))
    assert other.sharpe_ci == pytest.approx(tuple(scale * np.array(one.sharpe_ci)))
    assert other.versus_benchmark.interval == pytest.approx(tuple(scale * np.array(one.versus_benchmark.interval)))
    # Probabilities know no year.
    assert other.deflated_sharpe == pytest.approx(one.deflated_sharpe)
    assert other.versus_benchmark.p_value == one.versus_benchmark.p_value
    with pytest.raises(DataError, match="'b' has 52 sessions a year, but 'a' 252"):
        compute_results([daily[0], weekly[1]], intervals=QUICK)


@pytest.mark.parametrize("periods", [1, 12, 365])
def test_a_page_of_any_year(periods: int, tmp_path: Path) -> None:
    returns = draw_returns(60, [0.9, 0.6], 0.7, seed=5)
    records = [
        replace(make_backtest(series, name), periods_per_year=periods)
        for name, series in zip(("agent", "SPY"), returns.T, strict=True)
    ]
    facts = MarketFacts.from_market(make_random_market(30, 2))
    write_report(tmp_path, ReportInput("A year", records, facts, benchmark="SPY", intervals=QUICK))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{60 / periods:.1f} years of test can only show" in text
    assert "in excess of cash" in text
