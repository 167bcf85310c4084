"""Inputs that people have: each file went wrong once, and what is right stands here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import compute_market_checksum, load_market
from alfred.errors import DataError
from tests.data.tables import make_rows, write_rows

CASES = Path(__file__).parent / "cases"


def load(path: Path, **settings: object) -> Market:
    return load_market(DataSettings(path=path, **settings))


def measure(market: Market, symbol: str) -> tuple[float, float]:
    """Growth a year and Sharpe ratio by the market's own periods."""
    close = market.close[:, market.index_of(symbol)]
    returns = close[1:] / close[:-1] - 1
    growth = (close[-1] / close[0]) ** (market.periods_per_year / len(returns)) - 1
    return growth, returns.mean() / returns.std() * np.sqrt(market.periods_per_year)


# ---------------------------------------------------------------------------------------------------------- columns


def test_an_adjusted_close_by_another_name_is_one() -> None:
    market = load(CASES / "adjusted_close_by_another_name.csv")
    day = market.dates.get_loc(pd.Timestamp("2020-08-31"))
    returns = np.exp(market.log_returns()[:, market.index_of("AAPL")]) - 1
    assert returns[day] == pytest.approx(0.0339, abs=1e-4)  # -74 % when the split is booked as a loss
    assert not any("no adj_close" in note for note in market.notes)


SPELLINGS = [
    *("Adj. Close", "adjcp", "closeadj", "AdjustedClose", "adjusted_close", "Adj_Close", "ADJ CLOSE", "adj-close"),
    *("Adjusted Close", "adjClose", "close_adj", "Close (adj.)", "Adj Close Price", "adj close*"),
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_the_adjusted_close(tmp_path: Path, name: str) -> None:
    plain = compute_market_checksum(load(write_rows(make_rows(), tmp_path / "a.csv")))
    renamed = make_rows().rename(columns={"adj_close": name})
    assert compute_market_checksum(load(write_rows(renamed, tmp_path / "b.csv"))) == plain
    assert compute_market_checksum(load(write_rows(renamed, tmp_path / "b.parquet"))) == plain


@pytest.mark.parametrize("name", ["adj_factor", "Adj Open", "adjVolume", "closeunadj", "adjusted", "PRC.ADJ"])
def test_any_other_adjusted_column_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with_it = make_rows().assign(**{name: 1.0})
    for rows in (with_it, with_it.drop(columns="adj_close")):
        with pytest.raises(DataError, match=f"column '{name}', which is not known: call the close adjusted"):
            load(write_rows(rows, tmp_path / "a.csv"))


def test_a_symbol_column_called_tic() -> None:
    market = load(CASES / "symbol_called_tic.csv")
    assert market.symbols == ("AAPL", "SPY")
    assert market.n_dates == 86


@pytest.mark.parametrize("name", ["tic", "Ticker", "Name", "instrument", "asset", "code", "SYMBOL", "Asset ID"])
def test_words_for_the_symbol(tmp_path: Path, name: str) -> None:
    plain = compute_market_checksum(load(write_rows(make_rows(), tmp_path / "a.csv")))
    renamed = make_rows().rename(columns={"symbol": name})
    assert compute_market_checksum(load(write_rows(renamed, tmp_path / "b.csv"))) == plain


@pytest.mark.parametrize("name", ["Date", "datetime", "TimeStamp", "time", "day", "trade_date"])
def test_words_for_the_date(tmp_path: Path, name: str) -> None:
    market = load(write_rows(make_rows().rename(columns={"date": name}), tmp_path / "a.csv"))
    assert str(market.dates[0].date()) == "2020-01-06"


def test_a_company_name_beside_a_symbol_is_not_the_symbol(tmp_path: Path) -> None:
    rows = make_rows().assign(name="Some Company", time="16:00")
    assert load(write_rows(rows, tmp_path / "a.csv")).symbols == ("AAA", "SPY")


def test_two_words_for_the_symbol_are_refused(tmp_path: Path) -> None:
    rows = make_rows().rename(columns={"symbol": "asset"}).assign(stock="x")
    with pytest.raises(DataError, match="two columns for 'symbol': 'asset' and 'stock'"):
        load(write_rows(rows, tmp_path / "a.csv"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_unused_column_of_text_is_named(tmp_path: Path, ending: str) -> None:
    rows = make_rows().rename(columns={"symbol": "Kürzel"})
    with pytest.raises(DataError, match=r"no symbol column, and dates that stand more than once.*'Kürzel'"):
        load(write_rows(rows, tmp_path / f"a.{ending}"))
    one = make_rows(("SPY",)).rename(columns={"symbol": "Kürzel"})
    with pytest.raises(DataError, match=r"no 'SPY'.*if 'Kürzel' names the instrument, call it 'symbol'"):
        load(write_rows(one, tmp_path / f"b.{ending}"))
    # One symbol a file may still say more about it.
    assert load(write_rows(one, tmp_path / f"SPY.{ending}")).symbols == ("SPY",)


# ----------------------------------------------------------------------------------------------------------- volume


def test_volume_is_put_on_the_basis_of_the_adjusted_close() -> None:
    market = load(CASES / "raw_close_raw_volume.csv")
    raw = pd.read_csv(CASES / "raw_close_raw_volume.csv")
    for symbol in market.symbols:
        own, n = raw[raw["symbol"] == symbol], market.index_of(symbol)
        money = market.volume[:, n] * market.close[:, n]
        np.testing.assert_allclose(money, own["volume"] * own["close"], rtol=1e-12)
    # At the split of 2020-08-31 the number of shares jumped by 4.8, their trading by a fifth.
    day = market.dates.get_loc(pd.Timestamp("2020-08-31"))
    ratio = market.volume[day, 0] / market.volume[day - 1, 0]
    assert ratio == pytest.approx(1.203, abs=0.001)
    assert any("Volume is on the basis of the adjusted close" in note for note in market.notes)


def test_volume_that_needs_no_basis_stays_and_says_nothing(tmp_path: Path) -> None:
    rows = make_rows().assign(adj_close=lambda table: table["close"])
    market = load(write_rows(rows, tmp_path / "a.csv"))
    np.testing.assert_array_equal(market.volume, 1000.0)
    assert market.notes == ()


# --------------------------------------------------------------------------------------------------- reused tickers


def test_a_reused_ticker_is_two_listings() -> None:
    market = load(CASES / "reused_ticker.csv.gz")
    assert market.symbols == ("GM", "GM.1", "SPY", "XOM")
    returns = np.exp(market.log_returns()) - 1
    assert np.nanmax(returns) < 0.1  # +5,820 % across the gap
    new, old = market.tradable[:, 0], market.tradable[:, 1]
    assert not (new & old).any()
    assert (new | old).sum() == 888
    assert market.dates[old][-1] == pd.Timestamp("2014-05-30")
    assert market.dates[new][0] == pd.Timestamp("2015-11-18")
    assert any("'GM'" in note and "new one" in note for note in market.notes)
    # Before the new listing, nothing of it is known.
    assert not market.until("2015-11-17").tradable[:, 0].any()


@pytest.mark.parametrize(("missing", "columns"), [(126, 2), (127, 3)])
def test_half_a_year_of_sessions_ends_a_listing(tmp_path: Path, missing: int, columns: int) -> None:
    rows = make_rows(days=400)
    dates = rows["date"].unique()
    halted = rows[~((rows["symbol"] == "AAA") & rows["date"].isin(dates[100 : 100 + missing]))]
    market = load(write_rows(halted, tmp_path / "a.csv"))
    assert market.n_symbols == columns
    chosen = load(tmp_path / "a.csv", symbols=("AAA",))
    assert chosen.n_symbols == columns
    assert chosen.symbols[0] == "AAA"


def test_half_a_year_is_26_weeks(tmp_path: Path) -> None:
    rows = make_rows(days=120)
    weeks = pd.date_range("2020-01-03", periods=120, freq="W-FRI").strftime("%Y-%m-%d")
    rows["date"] = [*weeks, *weeks]
    for missing, columns in ((26, 2), (27, 3)):
        halted = rows[~((rows["symbol"] == "AAA") & rows["date"].isin(weeks[50 : 50 + missing]))]
        assert load(write_rows(halted, tmp_path / "a.csv")).n_symbols == columns


# ---------------------------------------------------------------------------------------------------------- spacing


def test_weekly_bars() -> None:
    market = load(CASES / "weekly.csv.gz")
    assert market.periods_per_year == 52
    assert measure(market, "SPY")[0] == pytest.approx(0.097, abs=0.001)


def test_coins_trade_every_day() -> None:
    market = load(CASES / "crypto_daily.csv.gz", benchmark="BTCUSD")
    assert market.periods_per_year == 365
    assert market.tradable.all()
    growth, sharpe = measure(market, "BTCUSD")
    assert growth == pytest.approx(0.432, abs=0.002)
    assert sharpe == pytest.approx(0.86, abs=0.005)
