"""The embedded market: the index with its dividends, and what cash earned."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.data.market import Market
from alfred.data.prices.sp500 import add_dividends
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import DataError


@pytest.fixture(scope="module")
def embedded() -> Market:
    return load_market(DataSettings())


def test_calendar_years_of_the_total_return(embedded: Market) -> None:
    level = pd.Series(embedded.close[:, embedded.index_of("SP500TR")], embedded.dates)
    years = level.resample("YE").last().pct_change().mul(100)
    by_year = {date.year: value for date, value in years.items()}
    assert by_year[2009] == pytest.approx(26.87, abs=0.005)
    assert by_year[2021] == pytest.approx(28.65, abs=0.005)
    # SPY's total returns; without dividends the index lacks about two points in each of them.
    spy = {2009: 26.37, 2021: 28.73}
    assert all(abs(by_year[year] - value) < 0.6 for year, value in spy.items())


def test_spy_itself_is_near(embedded: Market, market_dir: object) -> None:
    spy = load_market(DataSettings(path=market_dir, symbols=("SPY",), start="2005-01-03", end="2021-12-31"))
    held = pd.Series(spy.close[:, 0], spy.dates)
    index = pd.Series(embedded.close[:, embedded.index_of("SP500TR")], embedded.dates).reindex(held.index)
    years = (len(held) - 1) / 252
    difference = (index.iloc[-1] / index.iloc[0]) ** (1 / years) - (held.iloc[-1] / held.iloc[0]) ** (1 / years)
    assert abs(difference) < 0.002


def test_one_day_by_hand() -> None:
    dates = pd.DatetimeIndex(["2021-12-30", "2021-12-31"])
    # Shiller's dividend of December 2021 is 60.40 index points a year.
    grown = add_dividends(np.array([4000.0, 4040.0]), dates)
    assert grown[0] == 4000.0
    assert grown[1] == pytest.approx(4000 * (1.01 + 60.40 / 252 / 4000), rel=1e-6)
    with pytest.raises(DataError, match="no dividend of the S&P 500 for 2024-01-02"):
        add_dividends(np.array([1.0, 1.0]), pd.DatetimeIndex(["2023-06-30", "2024-01-02"]))


def test_cash_earns_the_treasury_bill(embedded: Market) -> None:
    assert embedded.cash_rate is not None
    assert embedded.cash_rate[0] == pytest.approx(0.0783)
    assert embedded.cash_rate.shape == (8313,)
    assert 0 <= embedded.cash_rate.min() < 0.001
    assert embedded.periods_per_year == 252
    assert embedded.until("2000-12-29").cash_rate[-1] == pytest.approx(0.0589, abs=0.001)


def test_the_dividends_are_no_field_that_a_signal_could_read(embedded: Market) -> None:
    assert embedded.extras == {}
    assert embedded.volume is None


def test_the_old_name_is_answered_with_the_new_one() -> None:
    with pytest.raises(DataError, match=r"unknown benchmark 'SP500'.*Did you mean 'SP500TR'\?"):
        load_market(DataSettings(benchmark="SP500"))


def test_notes_are_true(embedded: Market) -> None:
    notes = " ".join(embedded.notes)
    assert "SP500TR is the S&P 500 as a total return, approximated" in notes
    assert "0.2 percentage points a year off" in notes
    assert "Treasury bills" in notes
