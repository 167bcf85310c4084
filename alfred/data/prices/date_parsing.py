"""From the cells of a date column to sessions: dates, time stamps with and without a zone, and epochs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from alfred.data.prices.parsing import refuse_empty, take_codes
from alfred.data.shifts import DAY_SECONDS, UTC_NAMES
from alfred.errors import DataError
from alfred.typing import IntArray

_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?\s*(Z|[+-]\d\d(?::?\d\d)?|[A-Za-z][\w/+-]*)?)?"
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
# Seconds from 1900 to 2100 are below 4.2e9 in size, milliseconds below 4.2e12, and so on: no number fits two units,
# except within seven weeks of 1970-01-01.
_LARGEST_SECOND = 4.2e9
# A column whose numbers all lie within three years of 1970-01-01 counts days or rows, not seconds.
_SMALLEST_SECOND = 1e8
_EARLIEST, _LATEST = 19_000_101, 21_001_231
_FIRST_DAY, _LAST_DAY = (int(np.datetime64(day, "D").astype(np.int64)) for day in ("0001-01-01", "9999-12-31"))


@dataclass(frozen=True, eq=False)
class Stamps:
    """Dates of the rows of one file.

    Axes legend: R rows.

    Attributes:
        days: Days since 1970-01-01, `[R]` int32.
        seconds: Time of day, `[R]` int32; None where there is none.
        utc: Whether day and time stand on a UTC clock; otherwise on the exchange's own.
        note: How the dates were read, where they were not just dates.
    """

    days: npt.NDArray[np.int32]
    seconds: npt.NDArray[np.int32] | None = None
    utc: bool = False
    note: str = ""


def read_stamps(column: Any, path: Path, time_zone: str | None = None) -> Stamps:
    """Read a pyarrow column of dates, time stamps, ISO texts or epochs.

    A date is that day, and so is a time stamp without a zone, whatever its time: the close of 16:00 belongs to the
    session of its date. A time stamp with a zone is the day on the clock of that zone. Numbers are YYYYMMDD, or an
    epoch in seconds, milliseconds, microseconds or nanoseconds, told apart by their size, cell by cell.

    Args:
        column: The cells.
        path: The file, for messages.
        time_zone: Read every instant on the clock of this zone. Stamps without a zone are UTC then, unless all of them
            are midnights: those are dates.

    Raises:
        DataError: A cell is empty, not a date, or in a year that no price is of.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        encoded = column.combine_chunks().dictionary_encode()
        refuse_empty(encoded.null_count, "date", path)
        texts = [text.strip() for text in encoded.dictionary.to_pylist()]
        local, zone = _parse_texts(texts, path, to_utc=time_zone is not None)
        _check_range(local // DAY_SECONDS, path, time_zone)
        stamps = _make_stamps(local, zone, time_zone)
        times = None if stamps.seconds is None else take_codes(stamps.seconds, encoded)
        return Stamps(take_codes(stamps.days, encoded), times, stamps.utc, stamps.note)
    refuse_empty(column.null_count, "date", path)
    if pa.types.is_date(kind):
        return Stamps(
            _check_range(column.to_numpy().astype("datetime64[D]").astype(np.int64), path, time_zone).astype(np.int32)
        )
    if pa.types.is_timestamp(kind):
        utc = kind.tz is not None and kind.tz.lower() in UTC_NAMES
        if kind.tz is not None and not utc and time_zone is None:
            column = pc.local_timestamp(column)
        values = column.to_numpy()
        days = values.astype("datetime64[D]")
        whole = _check_range(days.astype(np.int64), path, time_zone)
        if kind.tz is None and not (days != values).any():  # dates; the usual case, and a large table is slow enough
            return Stamps(whole.astype(np.int32))
        zone = "utc" if kind.tz is not None and (utc or time_zone is not None) else "none"
        return _make_stamps(values.astype("datetime64[s]").astype(np.int64), zone, time_zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        refuse_empty(int(np.isnan(numbers).sum()), "date", path)
        return _make_stamps(*_parse_numbers(numbers, path), time_zone)
    raise DataError(f"column 'date' of {path} has type {kind}; write dates as YYYY-MM-DD")


def _make_stamps(local: IntArray, zone: str, time_zone: str | None) -> Stamps:
    """Split seconds since 1970-01-01 `[R]`, on the clock that `zone` says (`utc`, `local`, `none`)."""
    days, seconds = np.divmod(local, DAY_SECONDS)
    timed = bool(seconds.any())
    if time_zone is not None and (zone == "utc" or (zone == "none" and timed)):
        codes, distinct = pd.factorize(local)
        moved = pd.DatetimeIndex(distinct.astype("datetime64[s]")).tz_localize("UTC").tz_convert(time_zone)
        days, seconds = np.divmod(moved.tz_localize(None).to_numpy().astype(np.int64)[codes], DAY_SECONDS)
        note = f"Time stamps are dated on the clock of {time_zone}."
        return Stamps(days.astype(np.int32), seconds.astype(np.int32) if seconds.any() else None, note=note)
    if not timed:
        return Stamps(days.astype(np.int32))
    clock = "on the clock of UTC" if zone == "utc" else "as they are written"
    note = f"Time stamps are dated {clock}; the time of day is dropped, a bar belongs to the session of its date."
    return Stamps(days.astype(np.int32), seconds.astype(np.int32), zone == "utc", note)


def _parse_numbers(numbers: npt.NDArray[np.float64], path: Path) -> tuple[IntArray, str]:
    """Return seconds since 1970-01-01, `[R]`, and whose clock they stand on."""
    whole = (numbers >= _EARLIEST) & (numbers <= _LATEST) & (numbers == np.floor(numbers))
    if len(numbers) and whole.all():
        dates = numbers.astype(np.int64)
        try:
            codes, distinct = pd.factorize(dates)
            texts = [f"{date // 10000:04d}-{date // 100 % 100:02d}-{date % 100:02d}" for date in distinct]
            days = np.array(texts, dtype="datetime64[D]").astype(np.int64)[codes]
        except ValueError as error:
            raise DataError(f"column 'date' of {path}: {error}; write dates as YYYY-MM-DD or YYYYMMDD") from error
        return days * DAY_SECONDS, "none"
    size = np.abs(numbers)
    if len(numbers) and not (size.max() >= _SMALLEST_SECOND and size.max() < _LARGEST_SECOND * 1e9):
        raise DataError(
            f"{numbers[int(np.argmax(size))]:.15g} in column 'date' of {path} is not a date: neither YYYYMMDD nor an "
            "epoch in seconds, milliseconds, microseconds or nanoseconds; write it as YYYY-MM-DD"
        )
    scale = np.ones_like(size)
    for unit in (1e3, 1e6, 1e9):
        scale[size >= _LARGEST_SECOND * unit / 1e3] = unit
    return np.floor(numbers / scale).astype(np.int64), "utc"


def _count_seconds(hours: int, minutes: int, seconds: int) -> int:
    """Return the seconds since midnight.

    Raises:
        ValueError: No clock shows this. A leap second is one that some do, and counts as the next minute.
    """
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError
    return hours * 3600 + minutes * 60 + seconds


def _check_range(days: IntArray, path: Path, time_zone: str | None) -> IntArray:
    """Return the days as they are.

    Raises:
        DataError: One lies outside the years 1 to 9999, where clocks and calendars end.
    """
    # An instant is moved by up to a day between clocks.
    margin = 0 if time_zone is None else 1
    outside = (days < _FIRST_DAY + margin) | (days > _LAST_DAY - margin)
    if outside.any():
        date = np.datetime64(int(days[int(np.argmax(outside))]), "D")
        raise DataError(f"{date} in column 'date' of {path} lies outside the years 1 to 9999; mend the date")
    return days


def _parse_texts(texts: list[str], path: Path, *, to_utc: bool) -> tuple[IntArray, str]:
    """Return seconds since 1970-01-01 of distinct texts and whose clock they stand on.

    Stamps with an offset keep their own clock; with `to_utc` they are moved to UTC.
    """
    if texts and all(_NUMBER.fullmatch(text) for text in texts):
        return _parse_numbers(np.array(texts, dtype=np.float64), path)
    seconds, zones = np.empty(len(texts), dtype=np.int64), set()
    for position, text in enumerate(texts):
        cleaned = f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text
        found = _STAMP.fullmatch(cleaned)
        try:
            if found is None:
                raise ValueError
            day, hours, minutes, rest, zone = found.groups()
            clock = _count_seconds(int(hours or 0), int(minutes or 0), int(rest or 0))
            seconds[position] = int(np.datetime64(day, "D").astype(np.int64)) * DAY_SECONDS + clock
        except ValueError:
            raise DataError(f"'{text}' in column 'date' of {path} is not a date; write it as YYYY-MM-DD") from None
        offset = _OFFSET.fullmatch(zone or "")
        if to_utc and offset is not None:
            sign, hours, minutes = offset.groups()
            seconds[position] -= (int(hours) * 3600 + int(minutes or 0) * 60) * (-1 if sign == "-" else 1)
            zone = "utc"
        zones.add("none" if zone is None else "utc" if zone.lower() in UTC_NAMES else zone)
    if len(zones) == 1 and zones <= {"none", "utc"}:
        return seconds, zones.pop()
    return seconds, "local"
