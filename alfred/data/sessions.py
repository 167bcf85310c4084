"""Sessions of an exchange, and which of them a table lacks."""

from __future__ import annotations

import pandas as pd

from alfred.errors import ConfigError, import_extra, suggest


def find_missing_sessions(dates: pd.DatetimeIndex, calendar: str = "XNYS") -> pd.DatetimeIndex:
    """Return the sessions of an exchange between the first and the last date that are not among the dates.

    Args:
        dates: Sessions, ascending, `[T]`.
        calendar: A name of `exchange_calendars`: XNYS is New York, 24/7 every day.

    Raises:
        ConfigError: The calendar is unknown.
        MissingExtraError: exchange_calendars is not installed.
    """
    if not len(dates):
        return dates
    calendars = import_extra("exchange_calendars", "calendars")
    known = calendars.get_calendar_names()
    if calendar not in known:
        raise ConfigError(f"unknown calendar '{calendar}'; XNYS is New York.{suggest(calendar, known)}")
    # The calendar must not start at its own first session, hence the margin.
    margin = pd.Timedelta(days=14)
    sessions = calendars.get_calendar(calendar, start=dates[0] - margin, end=dates[-1] + margin).sessions
    inside = sessions[(sessions >= dates[0]) & (sessions <= dates[-1])]
    return pd.DatetimeIndex(inside.difference(dates))
