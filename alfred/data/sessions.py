"""Sessions: how many make a year, which an exchange held, and which of them a table lacks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from alfred.errors import ConfigError, DataError, suggest

# A date beyond these is a slip of the pen; calendars cannot be made for it, and no session is expected there.
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")
_MARGIN = pd.Timedelta(days=14)


class Spacing(NamedTuple):
    """What a regular calendar looks like.

    Attributes:
        name: For messages.
        periods_per_year: Sessions in a year, the field's round number.
        shortest: Smallest median gap between sessions, in days.
        longest: Largest median gap, in days.
        widest: Largest single gap, in days: the longest closures on record, with room to spare.
    """

    name: str
    periods_per_year: int
    shortest: float
    longest: float
    widest: float


_DAILY = Spacing("daily on weekdays", 252, 0.9, 1.9, 15)
_EVERY_DAY = Spacing("daily, weekends included", 365, 0.9, 1.9, 15)
_SPACINGS = (
    Spacing("weekly", 52, 6, 8, 22),
    Spacing("monthly", 12, 27, 32, 63),
    Spacing("quarterly", 4, 88, 94, 125),
    Spacing("yearly", 1, 358, 372, 400),
)
# How far the number of sessions may lie from what the calendar of the spacing has. Exchanges close for 9 days a year
# (New York: 252 sessions) or for 18 (Shanghai: 243), and a table made of weekdays for none (261).
_COUNT_TOLERANCE = 0.08
_FEWEST_TO_COUNT = 30
# With fewer sessions than these nothing can be called irregular: the nearest spacing is taken.
_FEWEST_TO_JUDGE = 8


def infer_periods_per_year(dates: pd.DatetimeIndex) -> int:
    """Return how many sessions make a year: 252, 365, 52, 12, 4 or 1.

    Args:
        dates: Sessions, ascending and unique, `[T]`.

    Raises:
        DataError: The sessions are spaced irregularly, so that no number of them makes a year; the text says where.
    """
    if len(dates) < 2:
        return _DAILY.periods_per_year
    gaps = np.diff(dates.to_numpy().astype("datetime64[s]").astype(np.int64)) / 86400.0
    median = float(np.median(gaps))
    if _DAILY.shortest <= median <= _DAILY.longest:
        # Seven days a week, or five: a holiday list cannot tell, the weekdays that occur can.
        share = np.bincount(dates.day_of_week, minlength=7) / len(dates)
        whole = len(dates) >= 7 and bool((share > 0.5 / 7).all())
        spacing = _EVERY_DAY if whole else _DAILY
    elif len(dates) < _FEWEST_TO_JUDGE:
        return _guess_spacing(median).periods_per_year
    else:
        fitting = [spacing for spacing in _SPACINGS if spacing.shortest <= median <= spacing.longest]
        if not fitting:
            raise DataError(
                f"the sessions are {median:.3g} days apart in the median, which is none of daily, weekly, monthly, "
                "quarterly or yearly; resample the prices to one of these"
            )
        spacing = fitting[0]
    if len(dates) >= _FEWEST_TO_JUDGE:
        _check_spacing(dates, gaps, spacing)
    return spacing.periods_per_year


def _guess_spacing(median: float) -> Spacing:
    """Return the spacing whose median gap is nearest, on a scale of ratios."""
    return min((_DAILY, *_SPACINGS), key=lambda item: abs(np.log(max(median, 0.1) * item.periods_per_year / 365.25)))


def _check_spacing(dates: pd.DatetimeIndex, gaps: np.ndarray[Any, Any], spacing: Spacing) -> None:
    widest = int(np.argmax(gaps))
    if gaps[widest] > spacing.widest:
        raise DataError(
            f"the sessions are spaced irregularly: they look {spacing.name}, but {gaps[widest]:.0f} days lie between "
            f"{dates[widest].date()} and {dates[widest + 1].date()}; fill the hole, or cut the data with start or end"
        )
    narrowest = int(np.argmin(gaps))
    if gaps[narrowest] < 0.5 * spacing.shortest:
        raise DataError(
            f"the sessions are spaced irregularly: they look {spacing.name}, but only {gaps[narrowest]:.2g} days lie "
            f"between {dates[narrowest]} and {dates[narrowest + 1]}; resample the prices to one bar a period"
        )
    if len(dates) < _FEWEST_TO_COUNT:
        return
    expected = float(gaps.sum()) / 365.25 * spacing.periods_per_year
    if spacing.periods_per_year == _DAILY.periods_per_year:
        expected = float(np.busday_count(dates[0].date(), dates[-1].date())) * 252 / 261
    if abs(len(gaps) / expected - 1.0) > _COUNT_TOLERANCE:
        raise DataError(
            f"the sessions are spaced irregularly: they look {spacing.name}, which would be about {expected:.0f} "
            f"sessions from {dates[0].date()} to {dates[-1].date()}, but there are {len(dates)}; give the benchmark "
            "every session, or resample the prices"
        )


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
