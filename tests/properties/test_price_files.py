"""A market written by any provider is the same market; what is no market ends in an error that says so."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.data.prices.columns import match_columns, squeeze
from alfred.data.prices.long_table import PriceTable, read_price_table
from alfred.data.prices.parsing import parse_days, parse_numbers, read_csv_text
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import AlfredError, DataError
from tests.data.tables import make_rows

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
# How providers write one day: what a cell holds, given a Timestamp at midnight.
DATES = {
    "iso": lambda day: f"{day:%Y-%m-%d}",
    "digits": lambda day: f"{day:%Y%m%d}",
    "stamp": lambda day: f"{day:%Y-%m-%d} 16:00:00",
    "zoned": lambda day: f"{day:%Y-%m-%d}T16:00:00.000-05:00",
    "minutes": lambda day: f"{day:%Y-%m-%d} 09:30",
    "seconds": lambda day: str(int(day.timestamp())),
    "milliseconds": lambda day: str(int(day.timestamp()) * 1_000),
    "nanoseconds": lambda day: str(int(day.timestamp()) * 10**9),
}
DATE_NAMES = ["date", "Date", " DATE ", "datetime", "timestamp", "Trade Date", "tradingDay"]
SYMBOL_NAMES = ["symbol", "Ticker", "tic", "instrument", "stock_code"]
ADJUSTED_NAMES = ["adj_close", "Adj Close", "adjClose", "Adj. Close*", "adjusted-close", "closeadj"]


@QUICK
@given(
    st.sampled_from(sorted(DATES)),
    st.sampled_from(DATE_NAMES),
    st.sampled_from(SYMBOL_NAMES),
    st.sampled_from(ADJUSTED_NAMES),
    st.sampled_from([str.upper, str.title, str.lower]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([".csv", ".csv.gz"]),
    st.booleans(),
)
def test_every_spelling_is_the_same_market(
    dates: str, day: str, symbol: str, adjusted: str, case: object, seed: int, ending: str, marked: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = make_rows(("AAA", "B.B", "SPY"), days=int(rng.integers(2, 9)))
    rows[["open", "high", "low", "close", "adj_close"]] *= np.exp(rng.normal())
    spelt = rows.assign(date=[DATES[dates](pd.Timestamp(text)) for text in rows["date"]])
    names = {"date": day, "symbol": symbol, "adj_close": adjusted}
    spelt = spelt.rename(columns=lambda name: names.get(name, case(name)))  # type: ignore[operator]
    # The order of the columns means nothing, and rows have an order only within their symbol.
    shuffled = rng.permutation(len(spelt))
    ordered = shuffled[np.argsort(rows["date"].to_numpy()[shuffled], kind="stable")]
    spelt = spelt.iloc[ordered, rng.permutation(spelt.shape[1])]
    text = ("\N{ZERO WIDTH NO-BREAK SPACE}" if marked else "") + spelt.to_csv(index=False)
    with tempfile.TemporaryDirectory() as folder:
        plain, other = Path(folder) / "plain.csv", Path(folder) / f"other{ending}"
        rows.to_csv(plain, index=False)
        data = text.encode()
        other.write_bytes(gzip.compress(data) if ending == ".csv.gz" else data)
        first, second = (load_market(DataSettings(path=path)) for path in (plain, other))
    assert list(first.dates) == list(second.dates)
    assert sorted(first.symbols) == sorted(second.symbols)
    again = second.select([name for name in first.symbols if name != "SPY"], benchmark="SPY")
    first = first.select([name for name in first.symbols if name != "SPY"], benchmark="SPY")
    for field in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(first.field(field), again.field(field))


@QUICK
@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(["_", " ", "-", ".", ""]))
def test_a_name_forgets_case_and_punctuation(first: str, second: str, between: str) -> None:
    assert squeeze(squeeze(first)) == squeeze(first)
    assert squeeze(f"{first}{between}{second}") == squeeze(first + second)
    assert squeeze("Adj" + between + "CLOSE") == "adjclose"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["date", "Close", "adj", "time", "name"])), max_size=6))
def test_any_header_is_matched_or_refused(names: list[str]) -> None:
    try:
        found = match_columns(names, Path("x.csv"))
    except DataError as error:
        assert "x.csv" in str(error)
    else:
        assert {"date", "close"} <= set(found) and set(found.values()) <= set(names)
        assert len(set(found.values())) == len(found)


def read_text(text: str, zone: str | None = None) -> PriceTable:
    """Read a text as a file would be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return read_price_table(path, zone)


CELLS = st.one_of(
    st.from_regex(
        r"[0-9]{1,4}-[0-9]{1,2}-[0-9]{1,2}([T ][0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:?[0-9]{2})?)?", fullmatch=True
    ),
    st.from_regex(r"[+-]?[0-9]{1,22}(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    st.text("0123456789٣۷²½-: TZ", max_size=12),
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.lists(CELLS, min_size=1, max_size=3), CELLS, st.sampled_from([None, "America/New_York", "Asia/Tokyo"]))
def test_any_cell_is_a_date_and_a_number_or_a_clear_error(days: list[str], price: str, zone: str | None) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in days]
    text = "date,symbol,close\n" + "".join(f'{cell},A,"{price.replace(chr(34), "")}"\n' for cell in quoted)
    try:
        table = read_text(text, zone)
        assert table.n_rows >= 1
        assert table.column("close").dtype == np.float64
    except AlfredError as error:
        assert "x.csv" in str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.booleans(), st.sampled_from([".csv", ".csv.gz", ".parquet"]))
def test_any_bytes_are_a_market_or_a_clear_error(content: bytes, headed: bool, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{ending}"
        path.write_bytes((b"date,symbol,close\n" if headed else b"") + content)
        try:
            load_market(DataSettings(path=path))
        except AlfredError as error:
            assert str(error).strip()
        try:
            read_csv_text(path, ["date"])
        except DataError as error:
            assert str(path) in str(error)


@QUICK
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_small_tables_name_the_first_cell_at_fault(cells: list[str]) -> None:
    texts, path = pd.Series(cells, dtype="str"), Path("x.csv")
    for parse in (parse_days, parse_numbers):
        try:
            assert len(parse(texts, "c", path)) == len(cells)
        except DataError as error:
            assert any(
                f"'{cell}' in row {row + 1} of column 'c' of x.csv" in str(error) for row, cell in enumerate(cells)
            )


def test_numbers_by_hand() -> None:
    found = parse_numbers(pd.Series(["1", "", "-2.5e1"], dtype="str"), "c", Path("x.csv"))
    np.testing.assert_array_equal(found, [1.0, np.nan, -25.0])
    with pytest.raises(DataError, match="'x' in row 2 of column 'c'"):
        parse_numbers(pd.Series(["", "x", "y"], dtype="str"), "c", Path("x.csv"))
