"""Macroeconomic series, known a publication lag after their date."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.data.features.names import LEVELS
from alfred.data.market import FIELDS, Market
from alfred.data.point_in_time.asof import spread_reports
from alfred.data.point_in_time.headlines import HEADLINES
from alfred.data.prices.parsing import parse_days, parse_numbers, read_csv_text
from alfred.data.sessions import list_sessions_before
from alfred.data.settings import MacroSettings
from alfred.errors import DataError

# A series of such a name would stand in place of what is computed from prices or headlines, or be replaced by it.
_RESERVED = (*FIELDS, *LEVELS, HEADLINES, "news_count")


def read_macro(path: Path | str) -> pd.DataFrame:
    """Return the series by date, sorted, one column each, NaN where a series has no value on the day.

    Raises:
        DataError: The file is damaged or has no series, a date stands twice, or a cell is not a date or number.
    """
    file = Path(path)
    table = read_csv_text(file, ("date",))
    names = [name for name in table.columns if name != "date"]
    if not names:
        raise DataError(f"{file} has no column besides 'date'; it needs one a series")
    dates = parse_days(table["date"], "date", file)
    if dates.has_duplicates:
        raise DataError(f"{dates[dates.duplicated()][0].date()} stands more than once in {file}; keep one row")
    return pd.DataFrame({name: parse_numbers(table[name], name, file) for name in names}, index=dates).sort_index()


def join_macro(market: Market, settings: MacroSettings) -> Market:
    """Return the market with the last known value of every series on every session as extra fields.

    The fields carry the names of the columns and are the same for all symbols (one column in memory, not N).

    Args:
        market: The market.
        settings: Which series.

    Raises:
        DataError: The file cannot be read, or a series has the name of a field that every market has.
    """
    series = read_macro(settings.path)
    for name in series.columns:
        if name in _RESERVED:
            raise DataError(f"column '{name}' of {settings.path} has the name of a field of the market; rename it")
    # The lag of a value from before the market runs through sessions that the market does not hold.
    before = list_sessions_before(market.dates, max(settings.lag_days - 1, 0), market.periods_per_year)
    sessions = before.append(market.dates)
    last = sessions.searchsorted(series.index, side="right") - 1
    # A value of a closed day is never known before the first session on or after that day, whatever the lag.
    rows = np.maximum(last + settings.lag_days, sessions.searchsorted(series.index, side="left")) - len(before)
    # What was out before the first session is known on it.
    rows = np.maximum(rows, 0).astype(np.int64)
    extras = dict(market.extras)
    for name in series.columns:
        column = spread_reports(
            rows, np.zeros_like(rows), series[name].to_numpy(), (market.n_dates, 1), market.close.dtype
        )
        extras[str(name)] = np.broadcast_to(column, market.close.shape)
    joined = replace(market, extras=extras)
    joined.validate()
    return joined
