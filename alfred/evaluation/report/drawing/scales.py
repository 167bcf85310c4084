"""From values to places on an axis, and the ticks between.

Axes legend: V values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.typing import Float

Kind = Literal["linear", "log", "time"]
Format = Literal["percent", "number"]

_DAY = 86_400.0
# Ticks of a wealth axis in each decade, by the ratio of the highest to the lowest wealth up to which they suit.
_WEALTH_STEPS = {
    3.0: (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    30.0: (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    3e4: (1.0, 2.0, 5.0),
    math.inf: (1.0,),
}
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where (0 is the low end, 1 the high one) and what is written there."""

    place: float
    text: str


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        low: Value at its low end; seconds since 1970 on an axis of time.
        high: Value at its high end.
        kind: How values between are spread.
        format: How values are written.
        digits: Digits after the point.
    """

    low: float
    high: float
    kind: Kind = "linear"
    format: Format = "number"
    digits: int = 2

    def place(self, values: npt.ArrayLike) -> Float:
        """Return where values stand, 0 at the low end and 1 at the high one, `[V]`; NaN has no place."""
        array = np.asarray(values, dtype=np.float64)
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                array = np.log(np.where(array > 0.0, array, np.nan))
            return np.asarray((array - math.log(self.low)) / math.log(self.high / self.low))
        return np.asarray((array - self.low) / (self.high - self.low))

    def write(self, value: float) -> str:
        """Return a value as it is written along the axis."""
        percent = self.format == "percent"
        text = f"{100 * value:.{self.digits}f}%" if percent else f"{value:.{self.digits}f}"
        return text.replace("-", "−")

    def find_ticks(self, most: int = 6) -> list[Tick]:
        """Return round values within the axis, at most about `most` of them."""
        if self.kind == "time":
            return _find_dates(self, most)
        if self.kind == "log":
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = next(steps for limit, steps in _WEALTH_STEPS.items() if self.high <= limit * self.low)
            values = [step * 10.0**decade for decade in decades for step in steps]
            inside = [value for value in values if self.low <= value <= self.high]
            return [Tick(float(self.place(value)), f"{value:g}") for value in inside]
        step = _round_step((self.high - self.low) / max(most - 1, 1))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        digits = _count_digits(100.0 * step if self.format == "percent" else step)
        fine = Scale(self.low, self.high, self.kind, self.format, digits)
        return [fine._mark((first + i) * step) for i in range(count)]

    def _mark(self, value: float) -> Tick:
        value = 0.0 if abs(value) < 1e-12 * max(abs(self.low), abs(self.high), 1e-300) else value
        return Tick(float(self.place(value)), self.write(value))


def fit(values: Sequence[npt.ArrayLike], *, zero: bool = False, format: Format = "number", digits: int = 2) -> Scale:  # noqa: A002
    """Return a linear axis that holds all values, with a little room.

    Args:
        values: Arrays; what is not finite does not count.
        zero: Whether zero has to be on it.
        format: How values are written.
        digits: Digits after the point when a single value is read off.
    """
    joined = np.concatenate([np.ravel(np.asarray(item, dtype=np.float64)) for item in values] or [np.zeros(0)])
    finite = joined[np.isfinite(joined)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.04 * (high - low) or max(abs(high), 1e-6) * 0.1
    bottom = low if zero and low == 0.0 else low - room
    top = high if zero and high == 0.0 and low < 0.0 else high + room
    return Scale(bottom, top, "linear", format, digits)


def fit_wealth(values: Sequence[npt.ArrayLike]) -> Scale:
    """Return a logarithmic axis that holds all wealth; zero (after ruin) has no place on it."""
    joined = np.concatenate([np.ravel(np.asarray(item, dtype=np.float64)) for item in values])
    drawn = joined[joined > 0.0]
    low, high = (float(drawn.min()), float(drawn.max())) if len(drawn) else (1.0, 1.0)
    room = (high / low) ** 0.04 if high > low else 1.1
    return Scale(low / room, high * room, "log", "number", 3)


def fit_dates(dates: pd.DatetimeIndex) -> Scale:
    """Return an axis of time from the first date to the last."""
    seconds = to_seconds(dates)
    first, last = float(seconds[0]), float(seconds[-1])
    return Scale(first, last if last > first else first + _DAY, "time")


def to_seconds(dates: pd.DatetimeIndex) -> Float:
    """Return dates as seconds since 1970, `[V]`."""
    return np.asarray(dates.to_numpy(dtype="datetime64[s]").astype(np.float64))


def _count_digits(step: float) -> int:
    """Return the digits after the point that multiples of a round step need: 2.5 needs one."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return digits + (abs(step * 10.0**digits - round(step * 10.0**digits)) > 1e-6)


def _round_step(step: float) -> float:
    decade = 10.0 ** math.floor(math.log10(step))
    return next(factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if step <= factor * decade * (1 + 1e-9)) * decade


def _find_dates(scale: Scale, most: int) -> list[Tick]:
    first, last = (np.datetime64(int(end), "s").astype("datetime64[M]").astype(int) for end in (scale.low, scale.high))
    step = next((item for item in _MONTH_STEPS if (last - first) / item <= most), _MONTH_STEPS[-1])
    months = np.arange(-(-first // step) * step, last + 1, step)
    # Years are counted from 1970; steps of several years stand on round ones.
    if step > 12:
        years = step // 12
        from_year, to_year = first // 12 + 1970, last // 12 + 1970
        months = (np.arange(-(-from_year // years) * years, to_year + 1, years) - 1970) * 12
    marks = months.astype("datetime64[M]").astype("datetime64[s]").astype(np.float64)
    texts = [
        str(month.astype("datetime64[Y]" if step >= 12 else "datetime64[M]"))
        for month in months.astype("datetime64[M]")
    ]
    places = scale.place(marks)
    return [Tick(float(place), text) for place, text in zip(places, texts, strict=True) if 0.0 <= place <= 1.0]
