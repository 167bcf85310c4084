"""What is wrong with the rows of a price table: the loader refuses the first, `describe_market` lists all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import RANGE_TOLERANCE
from alfred.data.prices.long_table import PriceTable
from alfred.data.shifts import explain_shift
from alfred.errors import DataError

_FIXES = {
    "unsorted": "stands after a later row of the same symbol: sort each symbol by date",
    "duplicate": "stands more than once: drop one of the rows (bars within a day: make them one a session)",
    "intraday": "has several bars of one day, at different times: make them one bar a session first",
    "missing_value": "is not a finite number: correct the value, or drop the row (a missing row is not tradable)",
    "non_positive": "must be positive: correct the value or drop the row",
    "high_below_low": "the high is below the low, the two look swapped: correct the row",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or looks wrong, with the data of a symbol.

    Attributes:
        symbol: The symbol.
        date: The day it shows.
        kind: `unsorted`, `duplicate`, `intraday`, `shifted`, `missing_value`, `non_positive` or `high_below_low` from
            here; more kinds come from `alfred.data.quality.anomalies` and `alfred.data.quality.summary`.
        value: The number that gives it away; its meaning depends on the kind.
        field: The column, where one column is to blame.
        file: The file, where one file is to blame.
        reason: What is wrong and what to do, where the kind does not say it all.
    """

    symbol: str
    date: pd.Timestamp
    kind: str
    value: float
    field: str = ""
    file: Path | None = None
    reason: str = ""


def find_row_problems(table: PriceTable, *, sundays: bool = False) -> Iterator[Problem]:
    """Yield every row that a market would refuse: order first, then the days, then each column in turn.

    Args:
        table: The rows as read.
        sundays: Whether the exchange trades on Sundays and not on Fridays.

    Yields:
        One problem a row and column; `value` is the cell, for `high_below_low` the high over the low, for `shifted`
        (one a symbol) the number of its rows.
    """
    unsorted, repeated, before = _find_order_problems(table)
    close = table.column("close")
    for row in unsorted:
        yield _describe(table, int(row), "unsorted", float(close[row]), "close")
    for row, other in zip(repeated, before, strict=True):
        timed = table.seconds is not None and table.seconds[row] != table.seconds[other]
        yield _describe(table, int(row), "intraday" if timed else "duplicate", float(close[row]), "close")
    yield from _find_shifts(table, sundays=sundays)
    for name in table.fields:
        values = close if name == "close" else table.column(name)
        finite = np.isfinite(values)
        low = values < 0 if name == "volume" else values <= 0
        for kind, bad in (("missing_value", ~finite), ("non_positive", finite & low)):
            for row in np.flatnonzero(bad):
                yield _describe(table, int(row), kind, float(values[row]), name)
    if {"high", "low"} <= set(table.fields):
        high, low_price = table.column("high"), table.column("low")
        swapped = (high < low_price * (1 - RANGE_TOLERANCE)) & (low_price > 0)
        for row in np.flatnonzero(swapped):
            yield _describe(table, int(row), "high_below_low", float(high[row] / low_price[row]), "high")


def check_rows(table: PriceTable, *, sundays: bool = False) -> None:
    """Refuse a table with a bad row.

    Args:
        table: The rows as read.
        sundays: Whether the exchange trades on Sundays and not on Fridays.

    Raises:
        DataError: Names file, symbol, date, value and fix of the first problem.
    """
    for problem in find_row_problems(table, sundays=sundays):
        if problem.reason:
            raise DataError(f"'{problem.symbol}' in {problem.file} {problem.reason}")
        raise DataError(
            f"{problem.field} of '{problem.symbol}' on {problem.date.date()} in {problem.file} "
            f"({problem.value:.6g}): {_FIXES[problem.kind]}"
        )


def _find_order_problems(
    table: PriceTable,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows that stand after a later date of their symbol, and those that repeat a date with the row before.

    Returns:
        Unsorted rows; the second and later rows of a date; and for each of these the row that it repeats.
    """
    # Sorting by a 16-bit code is a radix sort, linear in the rows.
    codes = table.codes.astype(np.int16) if len(table.symbols) < 2**15 else table.codes
    order = np.argsort(codes, kind="stable")
    same = np.diff(table.codes[order]) == 0
    late = np.flatnonzero(same & (np.diff(table.days[order]) < 0)) + 1
    unsorted = order[late]
    if len(late):
        order = np.lexsort((table.days, table.codes))
        same = np.diff(table.codes[order]) == 0
    at = np.flatnonzero(same & (np.diff(table.days[order]) == 0))
    ranks = np.argsort(order[at + 1])
    return np.sort(unsorted), order[at + 1][ranks], order[at][ranks]


def _find_shifts(table: PriceTable, *, sundays: bool) -> Iterator[Problem]:
    """Yield the symbols whose days are one off; see `alfred.data.shifts`."""
    weekend = (table.days + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    suspects = np.unique(table.codes[weekend])
    if table.seconds is not None and table.utc is not None:
        suspects = np.union1d(suspects, table.codes[table.utc & (table.seconds > 0)])
    if not len(suspects):
        return
    rows = np.flatnonzero(np.isin(np.arange(len(table.symbols)), suspects)[table.codes])
    order = rows[np.lexsort((table.days[rows], table.codes[rows]))]
    starts = np.searchsorted(table.codes[order], suspects, side="left")
    stops = np.searchsorted(table.codes[order], suspects, side="right")
    for start, stop in zip(starts, stops, strict=True):
        rows = order[start:stop]
        seconds = None if table.seconds is None else table.seconds[rows]
        utc = table.utc is not None and bool(table.utc[rows].all())
        if seconds is not None and not seconds.any():
            seconds = None
        if reason := explain_shift(table.days[rows], seconds, utc=utc, sundays=sundays):
            problem = _describe(table, int(rows[0]), "shifted", float(len(rows)), "date")
            yield replace(problem, reason=reason)


def _describe(table: PriceTable, row: int, kind: str, value: float, field: str) -> Problem:
    symbol = table.symbols[int(table.codes[row])]
    return Problem(symbol, table.date_of(row), kind, value, field, table.path_of(row))
