"""Sessions: how many make a year, which an exchange held, and which of them a table lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from alfred.data.shifts import UTC_NAMES, explain_shift
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


_DAILY = Spacing("daily on weekdays", 252, 0.9, 1.9, 30)
_EVERY_DAY = Spacing("daily, weekends included", 365, 0.9, 1.9, 30)
_SPACINGS = (
    Spacing("weekly", 52, 6, 8, 22),
    Spacing("monthly", 12, 27, 32, 63),
    Spacing("quarterly", 4, 88, 94, 125),
    Spacing("yearly", 1, 358, 372, 400),
)
# How far the number of sessions may lie from what the calendar of the spacing has. Exchanges close for 9 days a year
# (New York: 252 sessions) or for 18 (Shanghai: 243), and a table made of weekdays for none (261); holidays that fall
# together (the golden weeks) weigh on a short range, hence the number of sessions beside the share.
_COUNT_SHARE = 0.05
_COUNT_DAYS, _COUNT_PERIODS = 8, 2
_FEWEST_TO_COUNT = 30
# With fewer sessions than these nothing can be called irregular: the nearest spacing is taken.
_FEWEST_TO_JUDGE = 8
_WEEK = 7
# Gaps whose median must be that of the whole: a table that turns from daily to weekly is neither.
_BLOCK = 15


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
    if median < _DAILY.shortest:
        raise DataError(
            f"the bars are {median * 24:.3g} hours apart in the median: intraday bars are not supported; make them one "
            "bar a session"
        )
    if median <= _DAILY.longest:
        # Seven days a week, or five: a holiday list cannot tell, the weekdays that occur can.
        counts = np.bincount(dates.day_of_week, minlength=7)
        whole = (counts > 0.5 * len(dates) / _WEEK).all() if len(dates) >= _WEEK else (counts[5:] > 0).all()
        spacing = _EVERY_DAY if whole else _DAILY
    elif len(dates) < _FEWEST_TO_JUDGE:
        return _guess_spacing(median).periods_per_year
    else:
        fitting = [spacing for spacing in _SPACINGS if spacing.shortest <= median <= spacing.longest]
        if not fitting:
            raise DataError(
                f"the sessions are spaced irregularly: {median:.3g} days lie between them in the median, which is none "
                "of daily, weekly, monthly, quarterly or yearly; resample the prices to one of these"
            )
        spacing = fitting[0]
    if len(dates) >= _FEWEST_TO_JUDGE:
        _check_spacing(dates, gaps, spacing)
    return spacing.periods_per_year


def to_session_dates(dates: pd.DatetimeIndex | Sequence[str]) -> pd.DatetimeIndex:
    """Return the dates of sessions without times and zones, `[T]`.

    A time of day is dropped: the close of 16:00 belongs to the session of its date. A stamp with a zone is dated on the
    clock of that zone.

    Args:
        dates: Dates or time stamps, ascending, `[T]`.

    Raises:
        DataError: They are no dates, two of them are on one day, or they are midnights of another zone written as UTC.
    """
    try:
        index = pd.DatetimeIndex(dates)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"the dates of the market cannot be read ({error}); give days such as 2020-01-31") from error
    if index.hasnans:
        raise DataError(f"date {int(np.argmax(index.isna()))} of the market is empty; give every row a date")
    utc = index.tz is not None and str(index.tz).lower() in UTC_NAMES
    local = index.tz_localize(None)
    sessions = local.normalize()
    if index.tz is None and sessions.equals(local):
        return index
    repeated = sessions.duplicated() & ~local.duplicated()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise DataError(
            f"the market has several bars on {sessions[row].date()}, one at {local[row].time()}: intraday bars are not "
            "supported; make them one bar a session"
        )
    seconds = ((local - sessions) // pd.Timedelta(seconds=1)).to_numpy().astype(np.int64)
    days = sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    order = np.argsort(days, kind="stable")
    reason = explain_shift(days[order], seconds[order] if seconds.any() else None, utc=utc)
    if reason is not None and seconds.any():
        raise DataError(
            f"the market's index {reason.replace('set data.time_zone=', 'convert it first: tz_convert to ')}"
        )
    return sessions


def to_day(date: pd.Timestamp | str) -> pd.Timestamp:
    """Return the day of a date or time stamp, on the stamp's own clock.

    Raises:
        DataError: It is none.
    """
    try:
        stamp = pd.Timestamp(date)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{date!r} is not a date; write YYYY-MM-DD") from error
    if stamp is pd.NaT:
        raise DataError(f"{date!r} is not a date; write YYYY-MM-DD")
    return stamp.tz_localize(None).normalize()


def _guess_spacing(median: float) -> Spacing:
    """Return the spacing whose median gap is nearest, on a scale of ratios."""
    return min((_DAILY, *_SPACINGS), key=lambda item: abs(np.log(median * item.periods_per_year / 365.25)))


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
    starts = np.arange(0, len(gaps) - _BLOCK + 1, _BLOCK)
    typical = np.array([np.median(gaps[start : start + _BLOCK]) for start in starts])
    other = (typical < 0.5 * spacing.shortest) | (typical > 2 * spacing.longest)
    if other.any():
        first = int(starts[np.argmax(other)])
        raise DataError(
            f"the sessions are spaced irregularly: they look {spacing.name}, but from {dates[first].date()} to "
            f"{dates[first + _BLOCK].date()} they are {typical[np.argmax(other)]:.3g} days apart; resample the prices "
            "to one spacing, or cut the data with start or end"
        )
    if len(dates) < _FEWEST_TO_COUNT:
        return
    expected = float(gaps.sum()) / 365.25 * spacing.periods_per_year
    if spacing.periods_per_year == _DAILY.periods_per_year:
        expected = float(np.busday_count(dates[0].date(), dates[-1].date())) * 252 / 261
    slack = _COUNT_SHARE * expected + (_COUNT_DAYS if spacing in (_DAILY, _EVERY_DAY) else _COUNT_PERIODS)
    weekend = int((dates.day_of_week >= 5).sum())
    if spacing is _DAILY and weekend and len(gaps) - expected > slack:
        raise DataError(
            f"the sessions are spaced irregularly: {weekend} of {len(dates)} lie on weekends, but not all weekends are "
            "there; drop them, or give every day"
        )
    if abs(len(gaps) - expected) > slack:
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

    A date that is not a session of the exchange (a crypto weekend) closes at its customary time.

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


def find_close_before(dates: pd.DatetimeIndex, calendar: str, periods_per_year: int) -> pd.Timestamp:
    """Return when the session before the first one closed, on the exchange's own clock.

    It is the last one of the exchange before the first date; of markets that are not daily on weekdays, the day that
    lies the median gap before it, at its closing time.

    Args:
        dates: Sessions, ascending, `[T]`.
        calendar: A name of `exchange_calendars`.
        periods_per_year: Sessions in a year.

    Raises:
        ConfigError: The calendar is unknown.
    """
    if periods_per_year == _DAILY.periods_per_year:
        held = pd.DatetimeIndex(_load_calendar(dates, calendar).closes.index).as_unit("s")
        before = held[held < dates[0]][-1:]
    else:
        gap = (dates[1:] - dates[:-1]).median() if len(dates) > 1 else pd.Timedelta(days=1)
        before = pd.DatetimeIndex([(dates[0] - gap).normalize()]).as_unit("s")
    return find_close_times(before, calendar)[0]


def list_sessions_before(dates: pd.DatetimeIndex, count: int, periods_per_year: int) -> pd.DatetimeIndex:
    """Return the sessions that lie before the first one, `[count]`.

    Those of New York; of markets that are not daily on weekdays, days that lie the median gap apart.

    Args:
        dates: Sessions, ascending, `[T]`.
        count: How many.
        periods_per_year: Sessions in a year.
    """
    if not count:
        return dates[:0]
    if periods_per_year == _DAILY.periods_per_year:
        # Of seven days five are sessions, but for holidays.
        around = pd.DatetimeIndex([dates[0] - pd.Timedelta(days=2 * count), dates[0]])
        held = pd.DatetimeIndex(_load_calendar(around, "XNYS").closes.index).as_unit("s")
        return held[held < dates[0]][-count:]
    gap = (dates[1:] - dates[:-1]).median() if len(dates) > 1 else pd.Timedelta(days=1)
    return pd.DatetimeIndex([(dates[0] - step * gap).normalize() for step in range(count, 0, -1)]).as_unit("s")


def find_time_zone(dates: pd.DatetimeIndex, calendar: str = "XNYS") -> str:
    """Return the name of the zone on whose clock an exchange opens and closes.

    Args:
        dates: Any dates.
        calendar: A name of `exchange_calendars`.

    Raises:
        ConfigError: The calendar is unknown.
    """
    return str(_load_calendar(dates, calendar).tz)


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
