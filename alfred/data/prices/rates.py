"""What cash earns: a rate that holds until the next one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.prices.parsing import parse_days, parse_numbers, read_csv_text
from alfred.errors import DataError

CashRate = float | Path | Mapping[date, float] | None


def read_rates(path: Path | str) -> pd.Series:
    """Read dated yearly rates in per cent from a CSV file with the columns `date` and one of rates.

    Args:
        path: The file; rows without a rate are left out.

    Returns:
        Rates by date, ascending.

    Raises:
        DataError: The file cannot be read, has other columns, a cell is wrong, or a date stands twice.
    """
    source = Path(path)
    table = read_csv_text(source, ("date",))
    names = [name for name in table.columns if name != "date"]
    if len(names) != 1:
        raise DataError(f"{source} must have the columns date and one of rates, it has {', '.join(table.columns)}")
    rates = pd.Series(parse_numbers(table[names[0]], names[0], source), index=parse_days(table["date"], "date", source))
    rates = rates.dropna().sort_index()
    if rates.index.has_duplicates:
        twice = rates.index[rates.index.duplicated()][0]
        raise DataError(f"{source} has two rates for {twice.date()}; keep one")
    return rates


def align_rates(rates: pd.Series, dates: pd.DatetimeIndex, source: str) -> npt.NDArray[np.float64]:
    """Return the rate that holds at each session, as a fraction a year, `[T]`.

    Args:
        rates: Yearly rates in per cent by date, ascending.
        dates: Sessions, `[T]`.
        source: Where the rates come from, for the message.

    Raises:
        DataError: There is no rate yet at the first session, or a rate is out of range.
    """
    rows = rates.index.searchsorted(dates, side="right") - 1
    if not len(rates) or rows[0] < 0:
        begin = f"begin on {rates.index[0].date()}" if len(rates) else "are empty"
        raise DataError(
            f"the cash rates of {source} {begin}, after the first session {dates[0].date()}; give earlier ones, or "
            "cut the data with data.start"
        )
    values: npt.NDArray[np.float64] = rates.to_numpy(dtype=np.float64)[rows] / 100.0
    bad = ~(np.isfinite(values) & (values > -1.0) & (values <= 1.0))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"the cash rate of {source} at {dates[row].date()} is {values[row] * 100:g} per cent a year: it must lie "
            "between -100 and 100"
        )
    return values


def resolve_cash_rate(market: Market, setting: CashRate) -> npt.NDArray[np.float64]:
    """Return what cash earns from each session to the next, as a fraction a year, `[T]`.

    Args:
        market: Its own rate is taken when `setting` is None; zero when it has none.
        setting: A rate in per cent a year, rates by date, or a file of them.

    Raises:
        DataError: The rates cannot be read or begin too late.
    """
    if setting is None:
        return np.zeros(market.n_dates) if market.cash_rate is None else np.asarray(market.cash_rate, dtype=np.float64)
    if isinstance(setting, Path):
        return align_rates(read_rates(setting), market.dates, str(setting))
    if isinstance(setting, Mapping):
        rates = pd.Series({pd.Timestamp(day): float(rate) for day, rate in setting.items()}, dtype=float).sort_index()
        return align_rates(rates, market.dates, "env.cash_rate_pct")
    return np.full(market.n_dates, float(setting) / 100.0)
