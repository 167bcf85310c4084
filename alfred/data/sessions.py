"""Sessions of an exchange, and which of them a table lacks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from alfred.errors import ConfigError, suggest

# A date beyond these is a slip of the pen; calendars cannot be made for it, and no session is expected there.
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")
_MARGIN = pd.Timedelta(days=14)


def find_missing_sessions(dates: pd.DatetimeIndex, calendar: str = "XNYS") -> pd.DatetimeIndex:
    """Return the sessions of an exchange between the first and the last date that are not among the dates.

    Args:
        dates: Sessions, ascending, `[T]`.
        calendar: A name of `exchange_calendars`: XNYS is New York, 24/7 every day.

    Raises:
        ConfigError: The calendar is unknown.
    """
    if not len(dates):
        return dates
    sessions = _load_calendar(dates, calendar).sessions.as_unit("s")
    inside = sessions[(sessions >= dates[0]) & (sessions <= dates[-1])]
    return pd.DatetimeIndex(inside.difference(dates))


def find_close_times(dates: pd.DatetimeIndex, calendar: str = "XNYS") -> pd.DatetimeIndex:
    """Return when each session closed on the exchange's own clock, early closes included, `[T]`.

    A date that is no session of the exchange (a crypto weekend) closes at its customary time.

    Args:
        dates: Sessions, ascending, `[T]`.
        calendar: A name of `exchange_calendars`.

    Raises:
        ConfigError: The calendar is unknown.
    """
    schedule = _load_calendar(dates, calendar)
    closes = schedule.closes.dt.tz_convert(schedule.tz).dt.tz_localize(None)
    closes.index = closes.index.as_unit("s")
    closes = closes.dt.as_unit("s")
    customary = dates + (closes - closes.index).mode().iloc[0]
    known = closes.reindex(dates)
    return pd.DatetimeIndex(known.where(known.notna(), customary))


def _load_calendar(dates: pd.DatetimeIndex, name: str) -> Any:
    """Return the calendar of an exchange around some dates."""
    # exchange_calendars takes a second to import, and only calendars need it.
    import exchange_calendars

    known = exchange_calendars.get_calendar_names()
    if name not in known:
        raise ConfigError(f"unknown calendar '{name}'; XNYS is New York.{suggest(name, known)}")
    first, last = (min(max(date, _EARLIEST), _LATEST) for date in (dates[0], dates[-1]))
    # The first and last session of a calendar are special to it, hence the margin.
    return exchange_calendars.get_calendar(name, start=first - _MARGIN, end=last + _MARGIN)
