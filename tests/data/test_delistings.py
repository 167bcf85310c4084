"""What `symbols.csv` says about listings that ended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.delisting import Delisting
from alfred.data.market import Market
from alfred.data.prices.listings import find_listings
from alfred.data.prices.symbols import read_delistings
from alfred.data.quality.summary import describe_market
from alfred.data.settings import DataSettings
from alfred.data.sources import compute_market_checksum, load_market
from alfred.errors import DataError
from alfred.settings import check_name
from tests.data.tables import make_rows, write_rows


def write_table(folder: Path, symbols_csv: str, *, last: int = 20, days: int = 40) -> Path:
    """AAA ends after `last` sessions, SPY goes on; sessions from 2020-01-06."""
    rows = make_rows(days=days)
    ended = (rows["symbol"] == "AAA") & (rows.groupby("symbol").cumcount() >= last)
    write_rows(rows[~ended], folder / "prices.csv")
    (folder / "symbols.csv").write_text(symbols_csv)
    return folder


def load(folder: Path, **settings: object) -> Market:
    return load_market(DataSettings(path=folder, **settings))


def test_date_and_return_reach_the_market(tmp_path: Path) -> None:
    table = "symbol,sector,delisted,delisting_return\nAAA,Energy,2020-01-31,-0.3\nSPY,,,\nZZZ,,2019-01-01,-1\n"
    market = load(write_table(tmp_path, table))
    assert market.delistings == {"AAA": Delisting(pd.Timestamp("2020-01-31"), 0.7)}
    assert market.sectors == {"AAA": "Energy"}
    assert load(tmp_path / "prices.csv").delistings == market.delistings


def test_before_the_date_nothing_is_known(tmp_path: Path) -> None:
    table = "symbol,delisted,delisting_return\nAAA,2020-02-05,-0.3\n"
    market = load(write_table(tmp_path, table))
    assert market.until("2020-02-04").delistings == {}
    assert set(market.until("2020-02-05").delistings) == {"AAA"}
    # Neither does the market that was loaded up to the day before, nor the checksum of the past.
    before = load(tmp_path, end="2020-02-04")
    assert before.delistings == {}
    (tmp_path / "symbols.csv").write_text("symbol\nAAA\n")
    assert compute_market_checksum(load(tmp_path, end="2020-02-04")) == compute_market_checksum(before)


def test_a_return_that_is_not_given_is_not_known(tmp_path: Path) -> None:
    for table in ("symbol,delisted\nAAA,2020-01-31\n", "symbol,delisted,delisting_return\nAAA,2020-01-31,\n"):
        market = load(write_table(tmp_path, table))
        assert market.delistings["AAA"].payout is None
    assert load(write_table(tmp_path, "symbol,delisted,delisting_return\nAAA,2020-01-31,-1\n")).delistings[
        "AAA"
    ].payout == pytest.approx(0.0)


WRONG = {
    "prices after the date": ("AAA,2020-01-30,-0.3", r"'AAA' is delisted on 2020-01-30, but has a price on 2020-01-31"),
    "prices before the date only": (
        "AAA,2019-12-31,",
        r"'AAA' is delisted on 2019-12-31, but has a price on 2020-01-0",
    ),
    "per cent": ("AAA,2020-01-31,-30", r"delisting_return of 'AAA' is -30: it is a fraction"),
    "infinite": ("AAA,2020-01-31,inf", r"delisting_return of 'AAA' is inf"),
    "no date": ("AAA,,-0.3", r"'AAA' has a delisting_return -0.3 but no date"),
    "bad date": ("AAA,31.01.2020,-0.3", r"'31.01.2020' in row 1 of column 'delisted'"),
    "bad return": ("AAA,2020-01-31,half", r"'half' in row 1 of column 'delisting_return'"),
    "twice": ("AAA,2020-01-31,-0.3\nAAA,2020-01-31,-0.4", r"'AAA' is delisted twice on 2020-01-31"),
}


@pytest.mark.parametrize("case", WRONG)
def test_entries_that_contradict_themselves_or_the_prices(tmp_path: Path, case: str) -> None:
    row, text = WRONG[case]
    folder = write_table(tmp_path, f"symbol,delisted,delisting_return\n{row}\n")
    with pytest.raises(DataError, match=text):
        load(folder)
    # The description goes on and lists it.
    found = describe_market(DataSettings(path=folder), calendar=None)
    assert [item.kind for item in found.problems] == ["delisting"]
    assert len(found.symbols) == 2


def test_a_return_needs_a_column_of_dates(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no 'delisted'; add the dates"):
        read_delistings(write_table(tmp_path, "symbol,delisting_return\nAAA,-0.3\n"))


def test_each_listing_of_a_reused_ticker_has_its_own_end(tmp_path: Path) -> None:
    rows = make_rows(days=400)
    dates = rows["date"].unique()
    halted = rows[~((rows["symbol"] == "AAA") & rows["date"].isin(dates[100:300]))]
    write_rows(halted, tmp_path / "prices.csv")
    first, last = dates[99], dates[-1]
    (tmp_path / "symbols.csv").write_text(f"symbol,delisted,delisting_return\nAAA,{first},-1\nAAA,{last},0.2\n")
    market = load(tmp_path)
    assert market.symbols == ("AAA", "AAA.1", "SPY")
    assert market.delistings["AAA.1"] == Delisting(pd.Timestamp(first), 0.0)
    assert market.delistings["AAA"].payout == pytest.approx(1.2)
    # From a start after the first listing its end is no contradiction, and of no interest.
    assert set(load(tmp_path, start=dates[300]).delistings) == {"AAA"}


def test_the_description_tells_the_ends_and_the_periods(tmp_path: Path) -> None:
    folder = write_table(tmp_path, "symbol,delisted,delisting_return\nAAA,2020-01-31,-0.3\n")
    found = describe_market(DataSettings(path=folder), calendar=None)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["coverage"]["AAA"]["delisted"] == "2020-01-31"
    assert plain["coverage"]["AAA"]["payout"] == pytest.approx(0.7)
    assert "delisted" not in plain["coverage"]["SPY"]
    assert plain["dates"]["periods_per_year"] == 252


def test_the_description_of_irregular_sessions_goes_on(tmp_path: Path) -> None:
    rows = make_rows(days=300)
    rng = np.random.default_rng(0)
    kept = rng.choice(rows["date"].unique(), 200, replace=False)
    write_rows(rows[rows["date"].isin(kept)], tmp_path / "a.csv")
    found = describe_market(DataSettings(path=tmp_path / "a.csv"), calendar=None)
    assert found.periods_per_year is None
    assert "irregular" in {item.kind for item in found.problems}


def test_the_description_shows_a_reused_ticker() -> None:
    path = Path(__file__).parent / "cases" / "reused_ticker.csv.gz"
    found = describe_market(DataSettings(path=path), calendar=None)
    assert [(item.symbol, item.kind, item.value) for item in found.problems] == [("GM", "new_listing", 371.0)]


def test_the_name_of_an_earlier_listing_is_neutral_and_free() -> None:
    dates = pd.date_range("2015-01-02", periods=60, freq="W-FRI")
    rows = np.array([0, 1, 20, 21, 40, 41])
    pairs = [("GM", rows), ("GM.1", np.arange(60))]
    listings = find_listings(iter(pairs), dates, longest=10)
    assert [item.name for item in listings] == ["GM", "GM.2", "GM.3", "GM.1"]
    assert [item.first for item in listings] == [40, 0, 20, 0]
    assert all(check_name(item.name, "symbol") == item.name for item in listings)


def test_both_listings_of_a_reused_ticker_have_its_sector(tmp_path: Path) -> None:
    """A sector cap that the earlier listing escaped let its sector hold 80 % instead of 30."""
    days = pd.bdate_range("2010-01-04", periods=600)
    rows = [(day, "SPY", 100.0) for day in days] + [(day, "OLD", 10.0) for day in (*days[:200], *days[400:])]
    table = pd.DataFrame(rows, columns=["date", "symbol", "close"])
    table.to_csv(tmp_path / "prices.csv", index=False)
    (tmp_path / "symbols.csv").write_text("symbol,sector\nOLD,Tech\n", encoding="utf-8")
    market = load_market(DataSettings(path=tmp_path / "prices.csv"))
    assert market.sectors == {"OLD": "Tech", "OLD.1": "Tech"}
