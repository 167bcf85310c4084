"""A file of any other tool as rows with dates: CSV with any separator, or Parquet."""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from alfred.data.files import open_unpacked, read_parquet
from alfred.data.prices.columns import squeeze
from alfred.data.prices.date_parsing import Stamps, read_stamps
from alfred.data.shifts import explain_shift
from alfred.errors import DataError, suggest_path
from alfred.typing import FloatArray

_DATE_WORDS = ("date", "datetime", "timestamp", "tradedate", "tradingdate", "tradingday", "time", "day", "ds", "index")
_NAMELESS = ("", "unnamed0", "level0", "indexleveltwo", "indexlevel0")
_SEPARATORS = ",;\t|"
_SNIFFED = 4096  # characters of a CSV in which its separator is looked for


@dataclass(frozen=True, eq=False)
class OutsideTable:
    """The rows of one file.

    Axes legend: R rows.

    Attributes:
        path: The file.
        days: Day of each row, `[R]`; in the order of the file.
        cells: The other columns, as they are in the file.
        notes: How it was read, where that is not plain, one sentence each.
    """

    path: Path
    days: pd.DatetimeIndex
    cells: pd.DataFrame
    notes: tuple[str, ...] = ()

    def has_percent_signs(self, column: str) -> bool:
        """Whether cells of a column end with a sign of per cent, which `read_numbers` divides by itself."""
        cells = self.cells[column]
        return bool(not pd.api.types.is_numeric_dtype(cells) and cells.astype("string").str.contains("%").any())

    def read_numbers(self, column: str) -> FloatArray:
        """Return a column as numbers, `[R]`: NaN where a cell is empty, `1.5%` as 0.015.

        Raises:
            DataError: A cell is neither empty nor a number.
        """
        cells = self.cells[column]
        if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            return np.asarray(cells.to_numpy(dtype=np.float64, na_value=np.nan))
        texts = cells.astype("string").fillna("").str.strip()
        texts = texts.mask(texts.str.lower().isin(("nan", "na", "n/a", "null", "none", "-")), "")
        percent = texts.str.endswith("%")
        numbers = pd.to_numeric(texts.str.removesuffix("%").mask(texts == ""), errors="coerce")
        values: FloatArray = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.isnan(values) & (texts != "").to_numpy(dtype=bool)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"'{texts.iloc[row]}' on {self.days[row].date()} in column '{column}' of {self.path} is not a number; "
                "correct or empty it"
            )
        return np.where(percent.to_numpy(dtype=bool), values / 100.0, values)

    def is_numeric(self, column: str) -> bool:
        """Whether `read_numbers` takes every cell of a column, and one of them is not empty."""
        try:
            return bool(np.isfinite(self.read_numbers(column)).any())
        except DataError:
            return False


def read_outside_table(path: Path | str, time_zone: str | None = None) -> OutsideTable:
    """Read a file and find its dates.

    Args:
        path: A CSV (`.csv`, `.csv.gz`, `.txt`, `.tsv`) or Parquet file.
        time_zone: Zone on whose clock stamps with a zone are dated; a stamp's own date counts when left out.

    Raises:
        DataError: The file is absent or damaged, has no rows or no column of dates, or its stamps may be another day.
    """
    source = Path(path)
    frame, notes = _read_file(source)
    if not len(frame):
        raise DataError(f"{source} has no rows; it needs a row a session")
    column = _find_dates(frame, source)
    stamps = _read_stamps(frame[column], source, time_zone)
    days = pd.DatetimeIndex(stamps.days.astype("datetime64[D]").astype("datetime64[s]"))
    _check_shift(stamps, source)
    found = [*notes, *([stamps.note] if stamps.note else [])]
    return OutsideTable(source, days, frame.drop(columns=column), tuple(found))


def check_sessions(days: pd.DatetimeIndex, path: Path) -> None:
    """Refuse days that are not one session each, from the first to the last.

    Raises:
        DataError: A day stands twice, or the days are not ascending.
    """
    if not days.is_unique:
        twice = days[days.duplicated()][0]
        raise DataError(
            f"{path} has {int((days == twice).sum())} rows of {twice.date()}: it needs one row a session; drop the "
            "duplicates, or keep the last row of each day"
        )
    if days.is_monotonic_increasing:
        return
    if days.is_monotonic_decreasing:
        raise DataError(f"the dates of {path} descend, newest first; sort the rows by date")
    row = int(np.argmax(np.diff(days.to_numpy()).astype(np.int64) < 0))
    raise DataError(
        f"the dates of {path} are not sorted: {days[row + 1].date()} stands after {days[row].date()}; sort the rows "
        "by date"
    )


def _read_file(path: Path) -> tuple[pd.DataFrame, list[str]]:
    if not path.exists():
        raise DataError(f"there is no file {path}; name a CSV or Parquet file.{suggest_path(path)}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name one CSV or Parquet file in it")
    try:
        if path.suffix == ".parquet":
            frame = read_parquet(path)
            frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
            return frame.rename(columns=str), []
        if path.suffix in (".json", ".zip", ".pkl", ".pickle", ".xlsx", ".xls", ".feather"):
            raise DataError(f"{path} is neither CSV nor Parquet; write it as one of these (pandas: to_csv(path))")
        return _read_csv(path)
    except (OSError, ValueError, EOFError, csv.Error, zlib.error, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())}); it must be a CSV with a header, or Parquet"
        ) from error


def _read_csv(path: Path) -> tuple[pd.DataFrame, list[str]]:
    with open_unpacked(path) as file:
        head = file.read(_SNIFFED).decode("utf-8-sig", errors="replace")
    separator = _find_separator(head) if head else ","
    options = {"dtype": str, "keep_default_na": False, "sep": separator, "encoding": "utf-8-sig", "index_col": False}
    with open_unpacked(path) as file:
        frame = pd.read_csv(file, **options)
    if separator != ";":
        return frame, []
    # Where semicolons separate, a comma is what English writes as a point.
    decimal = frame.map(lambda text: isinstance(text, str) and text.count(",") == 1 and "." not in text)
    if not decimal.to_numpy().any():
        return frame, []
    return frame.mask(decimal, frame.map(lambda text: str(text).replace(",", "."))), ["Commas are read as points."]


def _find_separator(head: str) -> str:
    """Return what separates the columns of a CSV: a comma, unless its header has none and another separator."""
    header = next(iter(next(csv.reader(head.splitlines()[:1], delimiter="\n"), [])), "")
    counts = {separator: header.count(separator) for separator in _SEPARATORS}
    return "," if counts[","] else max(counts, key=lambda separator: counts[separator])


def _find_dates(frame: pd.DataFrame, path: Path) -> str:
    """Return the column of dates: one that is called so, or the first one where it has no name."""
    words = {str(name): squeeze(str(name)) for name in frame.columns}
    for word in _DATE_WORDS:
        matching = [name for name, own in words.items() if own == word]
        if matching:
            return matching[0]
    first = str(frame.columns[0])
    if words[first] in _NAMELESS or pd.api.types.is_datetime64_any_dtype(frame[first]):
        return first
    raise DataError(
        f"{path} has no column of dates; it has {', '.join(words)}: call the dates 'date' and write them as YYYY-MM-DD"
    )


def _read_stamps(column: pd.Series, path: Path, time_zone: str | None) -> Stamps:
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        texts = column.astype("string").str.strip()
        return read_stamps(pa.chunked_array([pa.array(texts.mask(texts == ""), pa.string())]), path, time_zone)
    return read_stamps(pa.chunked_array([pa.Array.from_pandas(column)]), path, time_zone)


def _check_shift(stamps: Stamps, path: Path) -> None:
    days = np.sort(stamps.days.astype(np.int64))
    order = np.argsort(stamps.days, kind="stable")
    seconds = None if stamps.seconds is None else stamps.seconds.astype(np.int64)[order]
    if reason := explain_shift(np.asarray(days), seconds, utc=stamps.utc):
        told = reason.split(", or set data.sunday_sessions")[0]
        told = told.replace("set data.time_zone=", "pass --time-zone ").replace("data.time_zone=", "--time-zone ")
        raise DataError(f"{path}: the strategy {told}")
