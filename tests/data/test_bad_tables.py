"""Each kind of bad input has its own clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.errors import DataError
from tests.data.tables import HEADER, make_rows, write_rows


def load(path: Path, **settings: object):
    return load_market(DataSettings(path=path, **settings))


def _set(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.astype({column: object})
        rows.loc[2, column] = value
        return rows

    return change


BAD_ROWS = {
    "missing column": (lambda rows: rows.drop(columns="close"), "has no column 'close'"),
    "no date": (lambda rows: rows.drop(columns="date"), "has no column 'date'"),
    "two spellings": (lambda rows: rows.assign(Close=1.0), "two columns for 'close'"),
    "duplicate": (lambda rows: pd.concat([rows[:3], rows[2:]]), "'AAA' on 2020-01-08 in .* stands more than once"),
    "unsorted": (lambda rows: rows.iloc[[1, 0, *range(2, 10)]], "'AAA' on 2020-01-06 in .*: sort each symbol by date"),
    "zero price": (_set("close", 0.0), r"close of 'AAA' on 2020-01-08 in .* \(0\): must be positive"),
    "negative price": (_set("open", -3.0), r"open of 'AAA' on 2020-01-08 in .* \(-3\): must be positive"),
    "negative volume": (_set("volume", -1.0), "volume of 'AAA' on 2020-01-08"),
    "not a number": (_set("adj_close", np.nan), "adj_close of 'AAA' on 2020-01-08 in .* not a finite number"),
    "infinite": (_set("low", np.inf), "low of 'AAA' on 2020-01-08 in .* not a finite number"),
    "high below low": (_set("high", 5.0), "'AAA' on 2020-01-08 in .* the high is below the low"),
    "text in a price": (_set("close", "n.m."), "'n.m.' in row 3 of column 'close' of .* is not a number"),
    "text in a date": (_set("date", "soon"), "'soon' in column 'date' of .* write it as YYYY-MM-DD"),
    "american date": (_set("date", "01/08/2020"), "'01/08/2020' in column 'date'"),
    "empty symbol": (_set("symbol", ""), "column 'symbol' of .* has 1 empty cell"),
}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named(tmp_path: Path, case: str, ending: str) -> None:
    change, text = BAD_ROWS[case]
    rows = change(make_rows())
    if ending == "parquet":  # a Parquet column has one type, so a mixed one is text
        mixed = [name for name in rows if rows[name].dtype == object]
        rows = rows.astype(
            {name: str if name in ("date", "symbol") or case.startswith("text") else float for name in mixed}
        )
    path = write_rows(rows, tmp_path / f"prices.{ending}")
    with pytest.raises(DataError, match=text):
        load(path)


def test_a_bad_row_names_its_own_file_in_a_folder(tmp_path: Path) -> None:
    write_rows(make_rows(("SPY",)), tmp_path / "SPY.csv")
    rows = make_rows(("AAA",))
    rows.loc[4, "close"] = -1
    write_rows(rows, tmp_path / "AAA.csv")
    with pytest.raises(DataError, match=r"close of 'AAA' on 2020-01-10 in .*/AAA\.csv"):
        load(tmp_path)


def test_a_bad_symbol_does_not_stand_in_the_way_of_the_others(tmp_path: Path) -> None:
    rows = make_rows(("AAA", "BBB", "SPY"))
    rows.loc[2, "close"] = -1
    path = write_rows(rows, tmp_path / "a.csv")
    assert load(path, symbols=("BBB",)).symbols == ("BBB", "SPY")
    with pytest.raises(DataError, match="close of 'AAA'"):
        load(path)


def test_the_cell_that_is_no_number_is_named_not_the_empty_one_before(tmp_path: Path) -> None:
    rows = make_rows().astype({"close": object})
    rows.loc[1, "close"], rows.loc[3, "close"] = "NaN", "10.5 USD"
    with pytest.raises(DataError, match=r"'10\.5 USD' in row 4 of column 'close'"):
        load(write_rows(rows, tmp_path / "a.csv"))


FILES = {
    "empty": ("a.csv", b"", "is empty"),
    "header only": ("a.csv", HEADER.encode(), "is empty: it needs at least one row"),
    "ragged": ("a.csv", HEADER.encode() + b"2020-01-06,AAA,1,2\n", "cannot be read"),
    "not gzip": ("a.csv.gz", b"date,close\n", "cannot be read"),
    "cut gzip": ("a.csv.gz", b"\x1f\x8b\x08\x00\x00", "cannot be read"),
    "not parquet": ("a.parquet", b"PAR1 and then nothing", "cannot be read"),
    "not text": ("a.csv", b"\xff\xfe\x00d\x00a", "cannot be read"),
    "semicolons": (
        "a.csv",
        b"date;symbol;adj_close\n2020-01-06;A;1,5\n",
        "separated by semicolons; write them with commas",
    ),
    "tabs": ("a.csv", b"date\tclose\n2020-01-06\t1\n", "separated by tabs"),
    "ending": ("a.xlsx", b"", "unknown ending"),
}


@pytest.mark.parametrize("case", FILES)
def test_unreadable_files(tmp_path: Path, case: str) -> None:
    name, content, text = FILES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=text):
        load(tmp_path / name)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        load(tmp_path / "absent.csv")
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match="holds no price table"):
        load(tmp_path)


def test_files_of_a_folder_must_have_the_same_columns(tmp_path: Path) -> None:
    write_rows(make_rows(("AAA",)), tmp_path / "AAA.csv")
    write_rows(make_rows(("SPY",)).drop(columns="open"), tmp_path / "SPY.csv")
    with pytest.raises(DataError, match=r"SPY\.csv and .*AAA\.csv differ in column 'open'"):
        load(tmp_path)


def test_unknown_names(tmp_path: Path) -> None:
    path = write_rows(make_rows(("AAPL", "SPY")), tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"unknown symbol 'APPL'; the data have AAPL, SPY. Did you mean 'AAPL'"):
        load(path, symbols=("APPL",))
    with pytest.raises(DataError, match=r"unknown benchmark 'SPX'.*Did you mean 'SPY'"):
        load(path, benchmark="SPX")
    with pytest.raises(DataError, match=r"stands twice"):
        load(path, symbols=("AAPL", "AAPL"))
    with pytest.raises(DataError, match=r"the data hold no 'SPY'; name the benchmark: data.benchmark=AAPL"):
        load(write_rows(make_rows(("AAPL",)), tmp_path / "b.csv"))
