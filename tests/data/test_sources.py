from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from alfred.data.settings import DataSettings
from alfred.data.sources import compute_market_checksum, load_market
from alfred.errors import DataError
from tests.data.tables import make_rows, write_rows


def load(path: Path, **settings: object):
    return load_market(DataSettings(path=path, **settings))


@pytest.mark.parametrize("name", ["prices.csv", "prices.csv.gz", "prices.parquet"])
def test_a_long_table_becomes_a_market_on_a_total_return_basis(tmp_path: Path, name: str) -> None:
    market = load(write_rows(make_rows(), tmp_path / name))
    assert market.symbols == ("AAA", "SPY")
    assert market.benchmark == "SPY"
    np.testing.assert_allclose(market.close[:, 0], [5, 5.5, 6, 6.5, 7])
    np.testing.assert_allclose(market.open[:, 0], [4.75, 5.25, 5.75, 6.25, 6.75])
    np.testing.assert_allclose(market.high[:, 1], [10.5, 11, 11.5, 12, 12.5])
    # The adjusted close is half of the close, so that twice the shares make the same money.
    np.testing.assert_allclose(market.volume, 2000)
    assert market.tradable.all()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_one_file_a_symbol_equals_the_long_table(tmp_path: Path, ending: str) -> None:
    rows = make_rows(("BRK.B", "SPY"))
    long = load(write_rows(rows, tmp_path / "all.csv"))
    folder = tmp_path / "folder"
    folder.mkdir()
    for symbol, part in rows.groupby("symbol"):
        write_rows(part.drop(columns="symbol"), folder / f"{symbol}.{ending}")
    assert compute_market_checksum(load(folder)) == compute_market_checksum(long)


def test_a_folder_with_symbols_csv_gives_sectors(tmp_path: Path) -> None:
    write_rows(make_rows(), tmp_path / "prices.csv.gz")
    (tmp_path / "symbols.csv").write_text("symbol,sector\nAAA,Energy\nSPY,\nZZZ,Gone\n")
    assert load(tmp_path).sectors == {"AAA": "Energy"}
    assert load(tmp_path / "prices.csv.gz").sectors == {"AAA": "Energy"}
    (tmp_path / "symbols.csv").write_text("symbol,name\nAAA,Aaa\n")
    assert load(tmp_path).sectors == {}
    (tmp_path / "symbols.csv").write_text("ticker\nAAA\n")
    with pytest.raises(DataError, match=r"symbols\.csv has no column 'symbol'"):
        load(tmp_path)


def test_column_names_in_any_case_and_the_words_of_other_providers(tmp_path: Path) -> None:
    rows = make_rows()
    plain = compute_market_checksum(load(write_rows(rows, tmp_path / "a.csv")))
    renamed = rows.rename(columns={"date": "Date", "symbol": "Ticker", "adj_close": "Adj Close", "open": "OPEN"})
    assert compute_market_checksum(load(write_rows(renamed, tmp_path / "b.csv"))) == plain


def test_without_adj_close_the_closes_are_taken_as_adjusted_and_a_note_says_so(tmp_path: Path) -> None:
    market = load(write_rows(make_rows()[["date", "symbol", "close"]], tmp_path / "a.csv"))
    np.testing.assert_allclose(market.close[:, 0], [10, 11, 12, 13, 14])
    assert market.open is None and market.volume is None
    assert "no adj_close" in market.notes[0]


def test_tickers_that_look_like_other_things_stay_tickers(tmp_path: Path) -> None:
    market = load(write_rows(make_rows(("TRUE", "NA", "0700", "SPY")), tmp_path / "a.csv"))
    assert market.symbols == ("0700", "NA", "SPY", "TRUE")


def test_dates_as_stamps_with_a_zone_keep_their_local_day(tmp_path: Path) -> None:
    rows = make_rows()
    rows["date"] = pd.to_datetime(rows["date"]).dt.tz_localize("America/New_York")
    market = load(write_rows(rows, tmp_path / "a.parquet"))
    assert str(market.dates[0].date()) == "2020-01-06"
    texts = rows.assign(date=rows["date"].astype(str))
    assert load(write_rows(texts, tmp_path / "b.csv")).dates.equals(market.dates)


def test_missing_rows_are_untradable_and_foreign_sessions_are_left_out(tmp_path: Path) -> None:
    rows = make_rows(("AAA", "BTC", "SPY"))
    halted = rows[~((rows["symbol"] == "AAA") & (rows["date"] == "2020-01-08"))]
    saturday = rows[rows["symbol"] == "BTC"].tail(1).assign(date="2020-01-11")
    market = load(write_rows(pd.concat([halted, saturday]), tmp_path / "a.csv"))
    assert market.n_dates == 5
    assert market.tradable[:, 0].tolist() == [True, True, False, True, True]
    assert np.isnan(market.close[2, 0])
    assert any("1 rows on days that are no session" in note for note in market.notes)


def test_symbols_dates_and_storage_are_chosen(tmp_path: Path) -> None:
    path = write_rows(make_rows(("AAA", "BBB", "SPY")), tmp_path / "a.csv")
    market = load(path, symbols=("BBB",), start="2020-01-07", end="2020-01-09", dtype="float32")
    assert market.symbols == ("BBB", "SPY")
    assert [str(day.date()) for day in market.dates] == ["2020-01-07", "2020-01-08", "2020-01-09"]
    assert {market.close.dtype, market.volume.dtype} == {np.dtype(np.float32)}


def test_the_embedded_market_says_what_it_is() -> None:
    market = load_market(DataSettings())
    assert market.close.shape == (8313, 21)
    assert market.benchmark == "SP500TR"
    assert not market.has_ohlc
    notes = " ".join(market.notes)
    assert "total return, approximated" in notes
    assert "without dividends" not in notes


def test_the_checksum_sees_every_part(tmp_path: Path) -> None:
    rows = make_rows()
    base = load(write_rows(rows, tmp_path / "a.csv"))
    sums = {compute_market_checksum(base)}
    for column in ("open", "close", "adj_close", "volume"):
        changed = rows.copy()
        changed.loc[3, column] *= 1.01
        sums.add(compute_market_checksum(load(write_rows(changed, tmp_path / "b.csv"))))
    sums.add(compute_market_checksum(base.until("2020-01-09")))
    sums.add(compute_market_checksum(base.select(("SPY", "AAA"))))
    sums.add(compute_market_checksum(load(tmp_path / "a.csv", dtype="float32")))
    assert len(sums) == 8
    assert compute_market_checksum(load(tmp_path / "a.csv")) in sums


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"source": "files"}, "needs a path"),
        ({"source": "embedded", "path": "x.csv"}, "reads no path"),
        ({"start": "2020-02-01", "end": "2020-01-01"}, "is after end"),
        ({"symbols": ()}, "symbols is empty"),
        ({"pth": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        DataSettings(**settings)


def test_ranges_without_data(tmp_path: Path) -> None:
    path = write_rows(make_rows(), tmp_path / "a.csv")
    with pytest.raises(DataError, match="benchmark 'SPY' has no row from 2021-01-01 to the end"):
        load(path, start="2021-01-01")
    with pytest.raises(DataError, match="the data start 1990-01-02"):
        load_market(DataSettings(end="1980-01-01"))
