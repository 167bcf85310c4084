"""Drawdowns, calendar years, parts and regimes of a record, against plain recomputations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.evaluation.breakdown.drawdowns import find_drawdowns
from alfred.evaluation.breakdown.periods import find_regimes, list_years, measure_span, split_parts, split_regimes
from alfred.evaluation.portfolio_metrics import compute_max_drawdown, compute_sharpe
from tests.evaluation.conftest import draw_returns, make_backtest

DAYS = pd.bdate_range("2015-01-02", periods=9)


def test_drawdowns_typed_by_hand() -> None:
    returns = np.array([-0.1, 0.2, 0.0, -0.5, 0.5, 1.0, 0.1, -0.2, 0.1])
    reference = np.full(9, 0.01)
    deep, last, first = find_drawdowns(returns, DAYS, reference)
    # Wealth: 0.9, 1.08, 1.08, 0.54, 0.81, 1.62, 1.782, 1.4256, 1.568
    assert (deep.start, deep.trough, deep.end) == tuple(str(DAYS[i].date()) for i in (2, 3, 5))
    assert deep.depth == pytest.approx(-0.5) and (deep.fall_days, deep.rise_days) == (1, 2)
    assert deep.reference == pytest.approx(0.01)
    assert (last.start, last.end) == (str(DAYS[6].date()), None) and last.depth == pytest.approx(-0.2)
    assert (last.fall_days, last.rise_days) == (1, 1)
    assert first.start is None and first.depth == pytest.approx(-0.1) and first.end == str(DAYS[1].date())


def test_the_deepest_is_the_worst_drawdown_and_ten_are_enough() -> None:
    returns = draw_returns(2000, [0.5, 0.4], 0.7, seed=3)
    dates = pd.bdate_range("2010-01-01", periods=2000)
    found = find_drawdowns(returns[:, 0], dates, returns[:, 1])
    assert len(found) == 10 and found[0].depth == compute_max_drawdown(returns[:, 0])
    assert [item.depth for item in found] == sorted(item.depth for item in found)
    # Plainly: walk to the recovery of the deepest.
    wealth = pd.Series(np.cumprod(1 + returns[:, 0]), index=dates)
    deepest = found[0]
    assert deepest.start is not None
    after = wealth[deepest.trough :]
    back = after[after >= wealth[deepest.start]]
    assert deepest.end == (str(back.index[0].date()) if len(back) else None)
    assert find_drawdowns(np.full(5, 0.01), dates[:5], np.zeros(5)) == []


def test_years_are_compounded() -> None:
    returns = draw_returns(600, [0.5, 0.4], 0.7, seed=4)
    records = [make_backtest(series, name) for name, series in zip(("agent", "SPY"), returns.T, strict=True)]
    for year in list_years(records):
        inside = records[0].dates.year == int(year.label)
        assert year.n_days == inside.sum()
        assert year.returns == pytest.approx([np.prod(1 + record.net[inside]) - 1 for record in records])
        assert year.worst == pytest.approx(compute_max_drawdown(records[0].net[inside]))


def test_parts_cover_the_test_once() -> None:
    returns = draw_returns(601, [0.5, 0.4, 0.3], 0.7, seed=4)
    records = [make_backtest(series, name) for name, series in zip("abc", returns.T, strict=True)]
    parts = split_parts(records)
    assert sum(part.n_days for part in parts) == 601 and len(parts) == 4
    first = parts[0]
    rows = slice(0, first.n_days)
    assert first.gains == pytest.approx([25_200 * (returns[rows, 0] - returns[rows, i]).mean() for i in (1, 2)])
    assert first.sharpe == pytest.approx([compute_sharpe(returns[rows, i]) for i in range(3)])
    gap = returns[rows, 0] - returns[rows, 1]
    assert first.errors[0] == pytest.approx(25_200 * gap.std() / np.sqrt(len(gap)), rel=0.35)
    none = measure_span("none", records, np.zeros(601, bool))
    assert none.n_days == 0 and np.isnan(none.gains).all()


def test_regimes_are_known_at_the_close_before() -> None:
    rng = np.random.default_rng(5)
    market = 0.01 * rng.standard_normal(900)
    whole = find_regimes(market, 252)
    for cut in (300, 555, 899):
        changed = market.copy()
        changed[cut:] = rng.standard_normal(900 - cut) * 0.05
        other = find_regimes(changed, 252)
        for name, inside in whole.items():
            assert (inside[: cut + 1] == other[name][: cut + 1]).all(), name
    assert any((inside != find_regimes(changed * 0 + 0.001, 252)[name]).any() for name, inside in whole.items())


def test_regimes_are_those_of_a_plain_loop() -> None:
    market = 0.012 * np.random.default_rng(6).standard_normal(700)
    found = find_regimes(market, 252)
    for t in range(700):
        if t < 252:
            assert not any(found[name][t] for name in ("bull market", "sideways market", "bear market"))
            continue
        year = np.prod(1 + market[t - 252 : t]) - 1
        state = "bull market" if year > 0.10 else "bear market" if year < 0 else "sideways market"
        states = ("bull market", "sideways market", "bear market")
        assert [found[name][t] for name in states] == [name == state for name in states]
        vols = [market[s - 63 : s].std(ddof=1) for s in range(63, t + 1)]
        assert found["high volatility"][t] == (vols[-1] > np.median(vols))
        assert found["low volatility"][t] != found["high volatility"][t]


def test_a_short_test_has_no_regime() -> None:
    records = [make_backtest(np.full(100, 0.001), name) for name in ("agent", "SPY")]
    assert split_regimes(records) == []
