"""Facts that the folder's README states, seen through the market that we make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market

CRYPTO = ("BTCUSD", "ETHUSD", "UNIUSD")

# Total return of the day on which a split took effect.
SPLIT_DAYS = {
    ("AAPL", "2014-06-09"): 1.60,
    ("AAPL", "2020-08-31"): 3.39,
    ("NVDA", "2021-07-20"): -0.89,
    ("TSLA", "2020-08-31"): 12.57,
    ("TSLA", "2022-08-25"): -0.35,
    ("GOOG", "2014-04-03"): 0.48,
    ("GOOG", "2022-07-18"): -2.53,
    ("AMZN", "2022-06-06"): 1.99,
    ("GE", "2021-08-02"): -2.90,
    ("NFLX", "2015-07-15"): -2.23,
}


@pytest.fixture(scope="module")
def table(market_dir: Path) -> pd.DataFrame:
    return pd.read_csv(market_dir / "prices.csv.gz", parse_dates=["date"])


@pytest.fixture(scope="module")
def real(market_dir: Path) -> Market:
    return load_market(DataSettings(path=market_dir))


def test_the_panel_holds_the_table(real: Market, table: pd.DataFrame) -> None:
    assert (real.n_dates, real.n_symbols, real.benchmark) == (6037, 84, "SPY")
    adjusted = table.pivot_table(index="date", columns="symbol", values="adj_close").loc[real.dates, list(real.symbols)]
    np.testing.assert_allclose(real.close, adjusted.to_numpy(), rtol=1e-12)
    ratio = table.assign(ratio=table["open"] / table["close"]).pivot_table(
        index="date", columns="symbol", values="ratio"
    )
    np.testing.assert_allclose(real.open / real.close, ratio.loc[real.dates, list(real.symbols)].to_numpy(), rtol=1e-12)
    assert real.sectors["AAPL"] == "Information Technology"


def test_spy_is_there_on_every_session(real: Market) -> None:
    assert real.tradable[:, real.index_of("SPY")].all()


def test_total_return_of_apple_over_a_decade(real: Market, table: pd.DataFrame) -> None:
    rows = table[(table["symbol"] == "AAPL") & table["date"].between("2010-01-01", "2020-12-31")]
    stated = rows["adj_close"].iloc[-1] / rows["adj_close"].iloc[0]
    decade = real.until("2020-12-31").since("2010-01-01")
    close = decade.close[:, decade.index_of("AAPL")]
    assert close[-1] / close[0] == pytest.approx(stated, rel=1e-12)
    # Dividends are in: the price alone made less.
    assert close[-1] / close[0] > rows["close"].iloc[-1] / rows["close"].iloc[0] * 1.1


@pytest.mark.parametrize(("symbol", "date"), SPLIT_DAYS)
def test_no_split_shows_as_a_return(real: Market, symbol: str, date: str) -> None:
    t, n = real.dates.get_loc(date), real.index_of(symbol)
    assert (real.close[t, n] / real.close[t - 1, n] - 1) * 100 == pytest.approx(SPLIT_DAYS[symbol, date], abs=0.005)


def test_no_return_beyond_the_documented_events(real: Market, table: pd.DataFrame) -> None:
    own_days = table.sort_values(["symbol", "date"])
    move = own_days.groupby("symbol")["adj_close"].pct_change().abs()
    limit = np.where(own_days["symbol"].isin(CRYPTO), 0.35, 0.25)
    assert (move > limit).sum() == 136
    returns = np.abs(real.close[1:] / real.close[:-1] - 1)
    equities = [n for n, symbol in enumerate(real.symbols) if symbol not in CRYPTO]
    assert (returns[:, equities] > 0.25).sum() == ((move > limit) & ~own_days["symbol"].isin(CRYPTO)).sum()
    assert np.nanmax(returns[:, equities]) == pytest.approx(move[~own_days["symbol"].isin(CRYPTO)].max(), rel=1e-9)


@pytest.mark.parametrize(("year", "percent"), [(2008, -36.8), (2013, 32.3), (2019, 31.2), (2022, -18.2), (2023, 26.2)])
def test_spy_made_what_is_commonly_quoted(real: Market, year: int, percent: float) -> None:
    close = pd.Series(real.close[:, real.index_of("SPY")], real.dates)
    made = close[str(year)].iloc[-1] / close[str(year - 1)].iloc[-1] - 1
    assert made * 100 == pytest.approx(percent, abs=0.1)


def test_crypto_is_held_over_the_weekend(real: Market, table: pd.DataFrame) -> None:
    monday = real.dates.get_loc("2020-03-16")
    bitcoin = table[table["symbol"] == "BTCUSD"].set_index("date")["adj_close"]
    made = real.close[monday, real.index_of("BTCUSD")] / real.close[monday - 1, real.index_of("BTCUSD")]
    assert made == pytest.approx(bitcoin["2020-03-16"] / bitcoin["2020-03-13"], rel=1e-12)
    assert any("1818 rows on days that are no session" in note for note in real.notes)
