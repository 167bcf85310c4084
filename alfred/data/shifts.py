"""Days that are one off: midnights of one zone written on the clock of another.

A midnight in Berlin is 22:00 or 23:00 of the day before in UTC. Whoever takes the UTC date then reads the close of
Tuesday under Monday's date: the future is reachable, and nothing looks wrong but the weekdays.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.typing import IntArray

DAY_SECONDS = 86_400
UTC_NAMES = ("utc", "etc/utc", "gmt", "z", "zulu", "+00:00", "+0000", "+00", "-00:00")
_NOON, _LATE, _LAST_MINUTE = 12 * 3600, 22 * 3600, 24 * 3600 - 60
# 1970-01-01 was a Thursday; 1970-01-04 a Sunday, 1970-01-05 a Monday.
_SUNDAY, _MONDAY = 3, 4
_FEWEST_SHIFTED = 0.5
_FEWEST_WEEKDAYS = 3
# One zone for each offset east of Greenwich, those with summer time first, as they say most.
_ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Athens",
    "Europe/Istanbul",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
)


def count_shifted_weeks(days: IntArray) -> tuple[int, int]:
    """Count the weeks that look shifted by a day.

    A week counts when it has a Sunday but neither Friday nor Saturday (dated early), or a Saturday but neither Sunday
    nor Monday (dated late), and trading on three other days at least. Weeks with Sunday and Friday (currencies) or all
    days (coins), and bars a week or a month, do not; nor does the last week, which may not be over. Zones with summer
    time shift a part of the year only: weeks count against those with a weekend day, not against all.

    Args:
        days: Days since 1970-01-01 of one symbol, ascending, `[R]`.

    Returns:
        Weeks dated early and weeks dated late; zero where they are the exception.
    """
    counts = []
    for first, weekend, absent, others in ((_SUNDAY, 0, (5, 6), (1, 2, 3, 4)), (_MONDAY, 5, (0, 6), (1, 2, 3, 4))):
        weeks = (days - first) // 7
        present = np.zeros((int(weeks[-1] - weeks[0]) + 1, 7), dtype=bool)
        present[weeks - weeks[0], (days - first) % 7] = True
        over = present[:-1]
        shifted = over[:, weekend] & ~over[:, absent].any(axis=1)
        shifted &= over[:, others].sum(axis=1) >= _FEWEST_WEEKDAYS
        enough = shifted.sum() >= max(1, _FEWEST_SHIFTED * over[:, weekend].sum())
        counts.append(int(shifted.sum()) if enough else 0)
    return counts[0], counts[1]


def explain_shift(days: IntArray, seconds: IntArray | None, *, utc: bool, sundays: bool = False) -> str | None:
    """Return why the dates of one symbol cannot be taken as they stand, or None when they can.

    Args:
        days: Days since 1970-01-01, ascending, `[R]`.
        seconds: Time of day, `[R]`; None when there is none.
        utc: Whether day and time are read from a UTC clock rather than the exchange's own.
        sundays: Whether the exchange trades from Sunday to Thursday: then weekdays prove nothing.
    """
    if not len(days):
        return None
    early, late = count_shifted_weeks(days)
    if early and not sundays:
        sunday = pd.Timestamp(np.datetime64(int(days[np.argmax((days - _SUNDAY) % 7 == 0)]), "D")).date()
        advice = "date the bars on the exchange's own clock"
        if seconds is not None:
            advice = f"set data.time_zone={find_zone(days, seconds) or 'Europe/Berlin (or the right zone)'}"
        return (
            f"trades on Sundays (first {sunday}) and not on Fridays: these dates are a day early, as midnights of "
            f"{_format_zone(days, seconds)} written as UTC are; {advice}, or set data.sunday_sessions=true if the "
            "exchange does open on Sundays"
        )
    if late:
        return (
            "trades on Saturdays and not on Mondays: these dates are a day late; date the bars on the exchange's own "
            "clock"
        )
    if not utc or seconds is None:
        return None
    weekdays = (days - _MONDAY) % 7
    five = {0, 4} <= set(weekdays.tolist()) and not (weekdays >= 5).any()
    evening = (seconds >= (_NOON if (weekdays >= 5).any() else _LATE)) & (seconds < _LAST_MINUTE)
    if five or not evening.any():
        return None
    clock = f"{int(seconds[np.argmax(evening)]) // 3600:02d}:{int(seconds[np.argmax(evening)]) // 60 % 60:02d}"
    return (
        f"is stamped at {clock} UTC, which is the next day already in {_format_zone(days, seconds)}: say whose day "
        f"counts with data.time_zone={find_zone(days, seconds) or 'Europe/Berlin'} (or UTC)"
    )


def find_zone(days: IntArray, seconds: IntArray) -> str | None:
    """Return a zone in which every stamp, read as UTC, is a midnight; None when there is none."""
    stamps = pd.DatetimeIndex(np.unique(days.astype(np.int64) * DAY_SECONDS + seconds).astype("datetime64[s]"))
    for zone in _ZONES:
        local = stamps.tz_localize("UTC").tz_convert(zone)
        if bool((local == local.normalize()).all()):
            return zone
    return None


def _format_zone(days: IntArray, seconds: IntArray | None) -> str:
    zone = None if seconds is None else find_zone(days, seconds)
    return zone or "a zone east of it (Europe/Berlin)"
