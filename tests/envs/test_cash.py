"""What cash earns: a number, dated rates, a file, or what comes with the market; and an empty book earns just that."""

import numpy as np
import pandas as pd
import pytest

from alfred.agents.strategies.prices import FixedMix
from alfred.data import Market
from alfred.envs import PortfolioSettings
from alfred.errors import DataError
from alfred.evaluation.backtest import backtest, make_walk
from tests.conftest import make_random_market

MARKET = make_random_market(60, 3)
EMPTY = FixedMix("cash", np.zeros(3))


def earn(market: Market = MARKET, **settings):
    return backtest(EMPTY, make_walk(market, None, PortfolioSettings(**settings), EMPTY))


@pytest.mark.parametrize("execution", ["next_open", "next_close", "close"])
def test_an_empty_book_earns_what_cash_earns(execution) -> None:
    record = earn(cash_rate_pct=4.0, execution=execution)
    assert record.net[0] == 0.0
    np.testing.assert_allclose(record.net[1:], 1.04 ** (1 / 252) - 1, rtol=1e-12)
    np.testing.assert_allclose(record.excess, 0.0, atol=1e-15)


def test_a_year_of_weeks_earns_a_year() -> None:
    dates = pd.date_range("2010-01-08", periods=120, freq="W-FRI")
    close = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (120, 3)), axis=0))
    market = Market.from_arrays(dates, ["A", "B", "SPY"], close, benchmark="SPY")
    record = earn(market, cash_rate_pct=4.0)
    assert (record.periods_per_year, market.periods_per_year) == (52, 52)
    assert record.wealth[52] / record.wealth[0] == pytest.approx(1.04)


def test_dated_rates_hold_until_the_next(tmp_path) -> None:
    dates, change = MARKET.dates, MARKET.dates[30]
    record = earn(cash_rate_pct={dates[0].date(): 5.0, change.date(): 1.0})
    path = tmp_path / "rates.csv"
    path.write_text(f"date,yield_3m\n{dates[0].date()},5\n{dates[3].date()},\n{change.date()},1\n")
    from_file = earn(cash_rate_pct=path)
    assert record.net.tobytes() == from_file.net.tobytes()
    # What is known at the close of t is earned from there to the next close.
    expected = np.where(record.dates <= change, 1.05, 1.01) ** (1 / 252) - 1
    np.testing.assert_allclose(record.net[1:], expected[1:], rtol=1e-9)


def test_the_rate_of_the_market_is_taken_unless_another_is_named() -> None:
    rates = np.linspace(0.0, 0.06, MARKET.n_dates)
    market = Market.from_arrays(MARKET.dates, MARKET.symbols, MARKET.close, benchmark="SPY", cash_rate=rates)
    record = earn(market)
    np.testing.assert_allclose(record.net[1:], (1 + rates[1:-1]) ** (1 / 252) - 1, atol=1e-15)
    assert (earn(market, cash_rate_pct=0.0).net == 0).all()


def test_the_key_may_be_called_cash_rate() -> None:
    assert PortfolioSettings.model_validate({"cash_rate": 3}).cash_rate_pct == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,rate\n2011-01-03,4\n", "begin on 2011-01-03, after the first session 2010-01-04"),
        ("date,rate\n2010-01-01,400\n", "is 400 per cent a year: it must lie between -100 and 100"),
        ("date,rate,more\n2010-01-01,4,4\n", "must have the columns date and one of rates"),
        ("date,rate\n2010-01-01,4\n2010-01-01,5\n", "two rates for 2010-01-01"),
        ("date,rate\n2010-01-01,four\n", "'four' in row 1 of column 'rate'"),
        ("date,rate\n", "are empty"),
    ],
)
def test_bad_rates_are_named(tmp_path, text, message) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        earn(cash_rate_pct=path)
    with pytest.raises(DataError, match=r"there is no file .*absent\.csv"):
        earn(cash_rate_pct=tmp_path / "absent.csv")
