"""Daily returns of another tool, checked: what must be true before a statistic of them means anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.quality.jumps import LARGEST_FACTOR
from alfred.data.sessions import infer_periods_per_year
from alfred.errors import DataError
from alfred.evaluation.outside.kinds import Kind, Layout, check_one_symbol, detect_layout, says_logarithm, says_percent
from alfred.evaluation.outside.table import OutsideTable, check_sessions, read_outside_table
from alfred.typing import FloatArray

# Half of all days beyond a tenth: no portfolio does that, and per cent look like it.
_MOST_TYPICAL = 0.1
# Under a twentieth of a per cent a session in the median is more likely a fraction than a return in per cent.
_LEAST_PERCENT = 0.05
# Changes of wealth that are so many times the usual one stand out; six of them, all one way and alike, are no luck.
_STANDS_OUT, _FEWEST_PAYMENTS, _ALIKE = 6.0, 6, 0.3
_OFTEN = 52  # periods a year from which that holds


@dataclass(frozen=True, eq=False)
class OutsideSeries:
    """The returns of one strategy or benchmark.

    Axes legend: T sessions.

    Attributes:
        name: Name in tables.
        dates: Sessions, `[T]`.
        returns: Simple returns from the session before, `[T]`.
        layout: What the file holds.
        path: The file.
        cash: What cash earned, `[T]`, where the file says so.
        benchmark: Returns of the benchmark, `[T]`, where the file has them.
        notes: How it was read, one sentence each.
        warnings: What makes it too good to be true, one sentence each.
    """

    name: str
    dates: pd.DatetimeIndex
    returns: FloatArray
    layout: Layout
    path: Path
    cash: FloatArray | None = None
    benchmark: FloatArray | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def periods_per_year(self) -> int:
        """Sessions in a year, read off the dates.

        Raises:
            DataError: The sessions are spaced irregularly.
        """
        try:
            return infer_periods_per_year(self.dates)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from error


def read_series(
    path: Path | str,
    *,
    kind: Kind | None = None,
    column: str | None = None,
    name: str | None = None,
    percent: bool = False,
    time_zone: str | None = None,
) -> OutsideSeries:
    """Read returns or wealth from a file.

    Args:
        path: CSV or Parquet.
        kind: What it holds; found out when left out.
        column: The column; found out when left out.
        name: Name in tables; that of the file when left out.
        percent: Whether returns are in per cent.
        time_zone: See `read_outside_table`.

    Raises:
        DataError: The file cannot be judged; the text names the date, the value and the remedy.
    """
    table = read_outside_table(path, time_zone)
    layout = detect_layout(table, kind, column)
    return make_series(table, layout, name=name, percent=percent)


def make_series(
    table: OutsideTable, layout: Layout, *, name: str | None = None, percent: bool = False
) -> OutsideSeries:
    """Return the returns that a file holds, as `layout` says.

    Raises:
        DataError: It holds weights, or numbers that are no returns or no wealth.
    """
    if layout.kind == "weights":
        raise DataError(f"{table.path} holds {layout.describe()}, where returns or wealth are needed")
    check_one_symbol(table)
    check_sessions(table.days, table.path)
    column = layout.columns[0]
    values = table.read_numbers(column)
    notes, warnings = [*table.notes], list[str]()
    if layout.kind == "wealth":
        if percent:
            raise DataError(
                f"--percent is for returns, and {table.path} holds {layout.describe()}; leave it out, or say "
                "--kind returns"
            )
        _check_wealth(values, table, column)
        kept = slice(1, None)
        returns: FloatArray = values[1:] / values[:-1] - 1.0
        notes += _check_steps(returns, table.days[kept], table.path, column)
        paid_in, paid_out = _suspect_payments(values, column)
        warnings += paid_in
        notes += paid_out
    else:
        first = 1 if len(values) and np.isnan(values[0]) else 0
        if first:
            notes.append("The first row has no return and is left out.")
        kept = slice(first, None)
        returns, told = _convert(values[kept], table, column, percent=percent)
        notes += told
        _check_returns(returns, table.days[kept], table.path, column)
    dates = table.days[kept]
    return OutsideSeries(
        name or name_file(table.path),
        dates,
        returns,
        layout,
        table.path,
        cash=_read_beside(table, layout.cash, kept, percent=percent),
        benchmark=_read_beside(table, layout.benchmark, kept, percent=percent),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def name_file(path: Path) -> str:
    """Return the name of a strategy whose file says nothing else."""
    return path.name.split(".")[0]


def _read_beside(table: OutsideTable, column: str | None, kept: slice, *, percent: bool) -> FloatArray | None:
    if column is None:
        return None
    values, _ = _convert(table.read_numbers(column)[kept], table, column, percent=percent)
    _check_returns(values, table.days[kept], table.path, column)
    return values


def _convert(values: FloatArray, table: OutsideTable, column: str, *, percent: bool) -> tuple[FloatArray, list[str]]:
    """Return simple returns as fractions, and what was done to them.

    Cells such as `1.5%` are divided already. What the name of a column says of its unit holds for its numbers.

    Raises:
        DataError: The name says per cent, and the numbers look like fractions.
    """
    notes = []
    if not table.has_percent_signs(column) and (percent or says_percent(column)):
        moves = np.abs(values[np.isfinite(values) & (values != 0.0)])
        if not percent and len(moves) and float(np.median(moves)) < _LEAST_PERCENT:
            raise DataError(
                f"the column '{column}' of {table.path} says per cent, and its numbers ({np.median(moves):.2g} in the "
                "median) look like fractions; pass --percent if they are per cent, or call the column 'returns'"
            )
        values = values / 100.0
        if not percent:
            notes.append(f"The column '{column}' is taken to be in per cent, as its name says.")
    if says_logarithm(column):
        values = np.expm1(values)
        notes.append(f"The column '{column}' is taken to hold log returns, as its name says.")
    return values, notes


def _suspect_payments(values: FloatArray, column: str) -> tuple[list[str], list[str]]:
    """Say so where what stands out in wealth goes one way by like amounts, as money that is paid in or out does.

    Returns:
        A sentence where money looks paid in, and one where it looks paid out.
    """
    amounts = np.diff(values)
    size = np.abs(amounts / values[:-1])
    usual = float(np.median(size[size > 0])) if (size > 0).any() else 0.0
    out = amounts[size > _STANDS_OUT * usual]
    one_way = len(out) >= _FEWEST_PAYMENTS and abs(np.sign(out).sum()) == len(out)
    if not one_way or float(out.std()) > _ALIKE * abs(float(out.mean())):
        return [], []

    def tell(way: str, what: str) -> str:
        return (
            f"'{column}' {way} {len(out)} times by more than {_STANDS_OUT:g} times what is usual, by about "
            f"{abs(float(out.mean())):.3g} each time, and never the other way: that looks like {what}; where it is "
            "not, give returns"
        )

    if out[0] > 0:
        return [f"{tell('rises', 'deposits, which count as gains here')}."], []
    return [], [f"{tell('falls', 'withdrawals, which count as losses here')}."]


def _check_steps(returns: FloatArray, dates: pd.DatetimeIndex, path: Path, column: str) -> list[str]:
    """Return a sentence where wealth more than doubles within a session.

    Raises:
        DataError: It goes up by a factor that no news makes.
    """
    worst = int(np.argmax(returns))
    if returns[worst] + 1.0 >= LARGEST_FACTOR:
        raise DataError(
            f"the wealth in column '{column}' of {path} goes up by {returns[worst]:.0%} on {dates[worst].date()}: that "
            "looks like a deposit or another unit; give wealth without money that was paid in"
        )
    if returns[worst] <= 1.0:
        return []
    return [f"'{column}' goes up by {returns[worst]:.0%} on {dates[worst].date()}: make sure that nothing was paid in."]


def _check_wealth(values: FloatArray, table: OutsideTable, column: str) -> None:
    if len(values) < 2:
        raise DataError(f"{table.path} has {len(values)} row(s) of wealth; two make one return, give more")
    wrong = ~(np.isfinite(values) & (values > 0.0))
    if wrong.any():
        row = int(np.argmax(wrong))
        told = "is empty" if np.isnan(values[row]) else f"is {values[row]:g}"
        raise DataError(
            f"the wealth in column '{column}' of {table.path} {told} on {table.days[row].date()}: wealth must be a "
            "positive number on every session; fill or cut the rows, or say --kind returns if these are returns"
        )


def _check_returns(returns: FloatArray, dates: pd.DatetimeIndex, path: Path, column: str) -> None:
    if not len(returns):
        raise DataError(f"{path} has no return in column '{column}'; give a row a session")
    missing = ~np.isfinite(returns)
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(
            f"the return in column '{column}' of {path} is {'empty' if np.isnan(returns[row]) else returns[row]} on "
            f"{dates[row].date()} ({int(missing.sum())} such rows): write 0 where nothing was held, or give the return"
        )
    size = np.abs(returns)
    worst = int(np.argmax(size))
    if size[worst] > 1.0:
        raise DataError(
            f"the return in column '{column}' of {path} is {returns[worst]:g} on {dates[worst].date()}, which is "
            f"{returns[worst]:.0%}: returns are fractions (0.01 is one per cent); pass --percent if they are per cent, "
            "or --kind wealth if it is wealth"
        )
    often = len(dates) > 1 and (dates[-1] - dates[0]).days / (len(dates) - 1) < 365.25 / _OFTEN + 1
    if often and float(np.median(size)) > _MOST_TYPICAL:
        raise DataError(
            f"the returns in column '{column}' of {path} are {np.median(size):.0%} a session in the median, which look "
            "like per cent; pass --percent, or divide them by 100"
        )
