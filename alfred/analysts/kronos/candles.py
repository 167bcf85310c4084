"""Candles in and out: checks, scaling, time stamps, repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.analysts.kronos.config import COLUMNS
from alfred.data.market import PRICE_FIELDS
from alfred.errors import DataError, suggest
from alfred.typing import FloatArray

Float32 = npt.NDArray[np.float32]
Stamps = npt.NDArray[np.datetime64]
MIN_BARS = 2
_CLIP = np.float32(5.0)
_SCALE_FLOOR = np.float32(1e-5)
# The released floor is in price units. Below this spread it is more than one per cent of it and bends a forecast, so
# that prices of a level below 100 get the same part of their level instead.
_ORDINARY_SPREAD = np.float32(2.0**-10)
_ORDINARY_LEVEL = 100.0
_RELATIVE_FLOOR = float(_SCALE_FLOOR) / _ORDINARY_LEVEL
TIME_COLUMN = "timestamps"


@dataclass(frozen=True, eq=False)
class Candles:
    """A batch of histories, aligned at their first bar.

    Axes: B series, L bars of the longest, six columns: open, high, low, close, volume, amount.

    Attributes:
        values: Float32 `[B, L, 6]`; rows after the length of a series are not read.
        timestamps: Time of each bar, `[B, L]` datetime64.
        lengths: Bars of each series, `[B]`.
    """

    values: Float32
    timestamps: Stamps
    lengths: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse what would give a forecast of nonsense.

        Raises:
            DataError: The shapes disagree, a history is too short, a value is not finite, or time does not increase.
        """
        b, n = self.timestamps.shape
        if self.values.shape != (b, n, len(COLUMNS)) or self.lengths.shape != (b,) or not b:
            raise DataError(
                f"candles disagree: values {self.values.shape}, timestamps {self.timestamps.shape}, lengths "
                f"{self.lengths.shape}; they must be [B, L, 6], [B, L] and [B] with at least one series"
            )
        if self.lengths.min() < MIN_BARS or self.lengths.max() > n:
            i = int(self.lengths.argmin())
            raise DataError(
                f"series {i} has a context of {self.lengths[i]} bars: it needs {MIN_BARS} at least, to have a scale, "
                "and hundreds to say much; give more history"
            )
        inside = np.arange(n) < self.lengths[:, None]
        bad = ~np.isfinite(self.values) & inside[:, :, None]
        if bad.any():
            i, t, c = np.argwhere(bad)[0]
            raise DataError(
                f"{COLUMNS[c]} of series {i} is {self.values[i, t, c]} in bar {t}: fill or drop the bars that did not "
                "trade before forecasting"
            )
        late = inside[:, 1:] & ~(self.timestamps[:, 1:] > self.timestamps[:, :-1])
        if late.any():
            i, t = np.argwhere(late)[0]
            raise DataError(
                f"timestamps of series {i} do not increase: {self.timestamps[i, t]} is followed by "
                f"{self.timestamps[i, t + 1]}; sort the bars by time and drop repeated ones"
            )

    @classmethod
    def from_frames(cls, frames: Sequence[pd.DataFrame]) -> Candles:
        """Build a batch from tables, one a series.

        Args:
            frames: Tables with open, high, low and close, and times in a column `timestamps` or in the index. Without
                volume, volume and amount are zero; without amount, it is volume times the mean of the four prices.
                A time zone is dropped: times mean what the clock of the exchange shows.

        Raises:
            DataError: A column is missing, there is no table, or anything that the class refuses.
        """
        if not len(frames):
            raise DataError("there is nothing to forecast: give at least one table of candles")
        lengths = np.array([len(frame) for frame in frames], dtype=np.int64)
        values = np.zeros((len(frames), int(lengths.max()), len(COLUMNS)), dtype=np.float32)
        timestamps = np.full(values.shape[:2], np.datetime64("NaT"), dtype="datetime64[s]")
        for i, frame in enumerate(frames):
            values[i, : len(frame)] = _read_columns(frame, i)
            times = frame.get(TIME_COLUMN, frame.index)
            timestamps[i, : len(frame)] = to_stamps(times)
        return cls(values, timestamps, lengths)

    @property
    def last_times(self) -> Stamps:
        """Time of the last bar of each series, `[B]`."""
        return np.asarray(self.timestamps[np.arange(len(self.lengths)), self.lengths - 1])

    @property
    def last_closes(self) -> Float32:
        """Close of the last bar of each series, `[B]`."""
        return np.asarray(self.values[np.arange(len(self.lengths)), self.lengths - 1, COLUMNS.index("close")])

    def normalize(self, *, unit_free: bool = False) -> tuple[Float32, Float32, Float32]:
        """Scale each column of each series by its own history.

        Args:
            unit_free: Whether by `scale_freely`, so that the unit of a price changes nothing, instead of by
                `scale_columns`, which is the released formula for ordinary prices.

        Returns:
            Scaled candles, `[B, L, 6]` with zeros after each length; means and scales, `[B, 6]` each.
        """
        scaled = np.zeros_like(self.values)
        means = np.empty((len(self.lengths), len(COLUMNS)), dtype=np.float32)
        scales = np.empty_like(means)
        for length in np.unique(self.lengths):
            rows = np.flatnonzero(self.lengths == length)
            values = self.values[rows, :length]
            parts = scale_columns_freely(values, length) if unit_free else scale_columns(values, length)
            scaled[rows, :length], means[rows], scales[rows] = parts
        return scaled, means, scales


def scale_columns(values: Float32, history: int) -> tuple[Float32, Float32, Float32]:
    """Scale candles by the mean and the population standard deviation of their first bars, column by column.

    A column with a standard deviation of 1/1024 or more, or a value of 100 or more, is scaled as released, bit for bit:
    (x - mean) / (std + 1e-5), all in float32, since a sign decides a bit. In a smaller one, such as a coin at 1e-8 or
    a volume of fractions, that floor would be most of the scale; it is scaled by `scale_freely`.

    Args:
        values: Float32 `[B, T, 6]`.
        history: Bars that the scale is computed from.

    Returns:
        Scaled candles clipped to +-5, `[B, T, 6]`; their means and scales, `[B, 6]` each.
    """
    # Columns one after the other in memory: numpy then sums by pairs, as the released code's tables make it.
    columns = np.ascontiguousarray(values[:, :history].transpose(0, 2, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        means, spreads = columns.mean(axis=2), columns.std(axis=2)
        scales = spreads + _SCALE_FLOOR
        scaled = np.clip((values - means[:, None]) / scales[:, None], -_CLIP, _CLIP)
        peaks = np.abs(columns).max(axis=2)
        small = (spreads < _ORDINARY_SPREAD) & (peaks < _ORDINARY_LEVEL) & (peaks > 0)
        rows, parts = np.nonzero(small | ~np.isfinite(spreads))
    if len(rows):
        freely = scale_freely(values[rows, :, parts], history)
        scaled[rows, :, parts], means[rows, parts], scales[rows, parts] = (part.astype(np.float32) for part in freely)
    return scaled, means, scales


def scale_columns_freely(values: npt.NDArray[np.floating], history: int) -> tuple[Float32, Float32, Float32]:
    """Return what `scale_columns` does, every column scaled by `scale_freely`."""
    b, n, c = values.shape
    scaled, means, scales = scale_freely(values.transpose(0, 2, 1).reshape(-1, n), history)
    candles = np.ascontiguousarray(scaled.reshape(b, c, n).transpose(0, 2, 1), dtype=np.float32)
    return candles, means.reshape(b, c).astype(np.float32), scales.reshape(b, c).astype(np.float32)


def scale_freely(series: npt.NDArray[np.floating], history: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scale series so that their unit does not matter: the floor of the scale is 1e-7 of the mean absolute value.

    At a level of 100 that is the released floor.

    Args:
        series: `[M, T]`.
        history: Bars that the scale is computed from.

    Returns:
        Scaled series clipped to +-5, `[M, T]`; means and scales, `[M]` each, all float64. Zeros have the scale 1e-5,
        as released.
    """
    wide = series.astype(np.float64)
    past = wide[:, :history]
    means, levels = past.mean(axis=1), np.abs(past).mean(axis=1)
    scales = np.where(levels > 0, past.std(axis=1) + _RELATIVE_FLOOR * levels, float(_SCALE_FLOOR))
    return np.clip((wide - means[:, None]) / scales[:, None], -_CLIP, _CLIP), means, scales


def to_stamps(times: pd.Series | pd.Index | Sequence[object] | Stamps) -> Stamps:
    """Return times as datetime64 without a zone.

    Raises:
        DataError: They are not times.
    """
    try:
        index = pd.DatetimeIndex(times)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"timestamps are not times ({error}); put them into a column '{TIME_COLUMN}' or into the index"
        ) from error
    stamps: Stamps = index.tz_localize(None).to_numpy(dtype="datetime64[s]")
    return stamps


def compute_stamp_parts(timestamps: Stamps) -> npt.NDArray[np.int64]:
    """Return minute, hour, weekday (Monday 0), day and month of times, `[...] -> [..., 5]`; zeros where NaT."""
    flat = pd.DatetimeIndex(np.where(np.isnat(timestamps), np.datetime64(0, "s"), timestamps).ravel())
    parts = np.stack([flat.minute, flat.hour, flat.day_of_week, flat.day, flat.month], axis=-1)
    return parts.astype(np.int64).reshape(*timestamps.shape, -1)


def next_business_days(last_times: Stamps, horizon: int) -> Stamps:
    """Return the coming weekdays after each time, at the same hour, `[B] -> [B, H]`."""
    days = last_times.astype("datetime64[D]")
    coming = np.busday_offset(days[:, None], np.arange(1, horizon + 1), roll="backward")
    times: Stamps = coming.astype("datetime64[s]") + (last_times - days)[:, None]
    return times


def repair_candles(paths: Float32) -> Float32:
    """Return paths, `[..., 6]`, with high and low around open and close, and no negative volume or amount."""
    fixed = paths.copy()
    fixed[..., 1] = paths[..., :4].max(axis=-1)
    fixed[..., 2] = paths[..., :4].min(axis=-1)
    fixed[..., 4:] = np.maximum(paths[..., 4:], 0.0)
    return fixed


def _read_columns(frame: pd.DataFrame, series: int) -> npt.NDArray[np.float64]:
    missing = [name for name in PRICE_FIELDS if name not in frame]
    if missing:
        raise DataError(
            f"series {series} has no column '{missing[0]}'; it needs {', '.join(PRICE_FIELDS)}."
            f"{suggest(missing[0], frame.columns)}"
        )
    prices = frame[list(PRICE_FIELDS)].to_numpy(dtype=np.float64)
    volume = frame["volume"].to_numpy(dtype=np.float64) if "volume" in frame else np.zeros(len(frame))
    # An amount without a volume is not used: the released networks have seen both or neither.
    if "volume" in frame and "amount" in frame:
        amount = frame["amount"].to_numpy(dtype=np.float64)
    else:
        amount = volume * prices.mean(axis=1)
    return np.column_stack([prices, volume, amount])
