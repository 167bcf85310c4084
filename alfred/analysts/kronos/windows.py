"""From markets and contexts to the candles that the networks read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from alfred.analysts.kronos.candles import Candles, Float32, compute_stamp_parts, scale_columns_freely
from alfred.data.contexts import Contexts
from alfred.data.market import PRICE_FIELDS, Market
from alfred.data.point_in_time.members import find_members
from alfred.errors import DataError
from alfred.typing import BoolArray, FloatArray

REBUILT_NOTE = (
    "Kronos reads candles that were rebuilt from closes alone: open is the previous close, high and low are the "
    "larger and the smaller of the two, volume is zero."
)
# Bars that the validation part must hold beyond one window, so that it is more than a single window a symbol.
_MIN_VALIDATION_STARTS = 20


def choose_fields(market: Market) -> tuple[str, ...]:
    """Return the fields that a context of this market must hold: all prices and volume, as far as they are known."""
    if not market.has_ohlc:
        return ("close",)
    return PRICE_FIELDS if market.volume is None else (*PRICE_FIELDS, "volume")


def build_columns(fields: Mapping[str, FloatArray]) -> Float32:
    """Return the six columns of candles, `[..., L, 6]`.

    Args:
        fields: Prices and volume by name, `[..., L]`. With closes alone candles are rebuilt, see `REBUILT_NOTE`; the
            first open is then its own close. Without volume it is zero, and so is the amount.
    """
    return _stack_columns(fields).astype(np.float32)


def _stack_columns(fields: Mapping[str, FloatArray]) -> FloatArray:
    """Return what `build_columns` returns before it is rounded."""
    close = fields["close"].astype(np.float64)
    if "open" in fields:
        opened, high, low = (fields[name].astype(np.float64) for name in PRICE_FIELDS[:3])
    else:
        opened = np.concatenate([close[..., :1], close[..., :-1]], axis=-1)
        high, low = np.maximum(opened, close), np.minimum(opened, close)
    volume = fields["volume"].astype(np.float64) if "volume" in fields else np.zeros_like(close)
    amount = volume * (opened + high + low + close) / 4
    return np.stack([opened, high, low, close, volume, amount], axis=-1)


def make_candles(contexts: Contexts) -> tuple[Candles | None, npt.NDArray[np.intp]]:
    """Return the candles of contexts, and which contexts have any.

    Bars on which a symbol did not trade are left out, so that the candles that stay are neighbours; what time passed
    between them is told by their time stamps.

    Returns:
        Candles of the contexts with two bars or more, or None when no context has; and their rows, `[B']`.
    """
    traded: BoolArray = np.asarray(np.isfinite(contexts.values).all(axis=2))
    lengths = traded.sum(axis=1)
    rows = np.flatnonzero(lengths >= 2)
    if not len(rows):
        return None, rows
    order = np.argsort(~traded[rows], axis=1, kind="stable")
    values = np.take_along_axis(contexts.values[rows], order[:, :, None], axis=1)
    times = np.take_along_axis(contexts.timestamps[rows], order, axis=1)
    after = np.arange(values.shape[1]) >= lengths[rows, None]
    columns = build_columns({name: values[:, :, i] for i, name in enumerate(contexts.fields)})
    columns[after] = 0.0
    return Candles(columns, times.astype("datetime64[s]"), lengths[rows].astype(np.int64)), rows


def iterate_passes(
    candles: Candles, *, context_length: int, batch_size: int
) -> Iterator[tuple[npt.NDArray[np.intp], Candles]]:
    """Yield candles in passes of exactly `batch_size`, filled up by repetition, and the rows that stand first in each.

    A matrix product of another shape may round differently. Full windows need no mask and those with gaps do, which
    rounds differently as well: they never share a pass.
    """
    is_full = candles.lengths == context_length
    for part in (np.flatnonzero(is_full), np.flatnonzero(~is_full)):
        for start in range(0, len(part), batch_size):
            rows = part[start : start + batch_size]
            filled = np.resize(rows, batch_size)
            yield rows, Candles(candles.values[filled], candles.timestamps[filled], candles.lengths[filled])


@dataclass(frozen=True, eq=False)
class WindowExamples:
    """Windows of a market for training, cut and scaled when they are asked for.

    Axes: R bars of all symbols one after the other, W windows, T bars in a window.

    Attributes:
        values: Candles, float64 `[R, 6]`, so that prices in another unit give the same windows to the last bit but one.
        stamps: Parts of their time stamps, `[R, 5]`.
        starts: First bar of each window, `[W]`.
        length: Bars in a window, T.
        history: Bars at its start that the scale is computed from; the others are what a forecast does not know.
    """

    values: FloatArray
    stamps: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    length: int
    history: int

    def __len__(self) -> int:
        """Return the number of windows W."""
        return len(self.starts)

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scaled candles `[B, T, 6]` and time stamps `[B, T, 5]` of some windows."""
        index = self.starts[rows.numpy()][:, None] + np.arange(self.length)
        scaled, _, _ = scale_columns_freely(self.values[index], self.history)
        return torch.from_numpy(scaled), torch.from_numpy(self.stamps[index])


def split_windows(
    market: Market, *, history: int, horizon: int, validation_fraction: float, max_validation: int
) -> tuple[WindowExamples, WindowExamples]:
    """Cut a market into training and validation windows that share no bar; the validation bars are the later ones.

    Args:
        market: Everything that may be known.
        history: Bars that a forecast reads.
        horizon: Bars that follow in a window.
        validation_fraction: Part of the dates kept for validation; more are kept when they would not hold a window.
        max_validation: Validation windows at most, spread evenly.

    Raises:
        DataError: The history is too short for both parts.
    """
    length = history + horizon
    n_validation = max(round(validation_fraction * market.n_dates), length + _MIN_VALIDATION_STARTS)
    split = market.n_dates - n_validation
    fields = choose_fields(market)
    values, stamps, train, validation = [], [], [], []
    n_bars, members = 0, find_members(market)
    for column in range(market.n_symbols):
        rows = np.flatnonzero(market.tradable[:, column])
        values.append(_stack_columns({name: market.field(name)[rows, column] for name in fields}))
        stamps.append(market.dates.to_numpy(dtype="datetime64[s]")[rows])
        starts = np.arange(max(len(rows) - length + 1, 0))
        # A window is learnt from when its symbol is a member on the date that it would be forecast at.
        starts = starts[members[rows[starts + history - 1], column]]
        train.append(n_bars + starts[rows[starts + length - 1] < split])
        validation.append(n_bars + starts[rows[starts] >= split])
        n_bars += len(rows)
    chosen = np.concatenate(validation)
    if len(chosen) > max_validation:
        chosen = chosen[np.linspace(0, len(chosen) - 1, max_validation).round().astype(int)]
    first = np.concatenate(train)
    if not len(first) or not len(chosen):
        raise DataError(
            f"the market has {market.n_dates} dates; training windows of {history} + {horizon} bars and validation "
            f"windows apart from them need {2 * length + _MIN_VALIDATION_STARTS} dates of some symbol at least: give "
            "a longer history, or a shorter context_length or horizon"
        )
    table, parts = np.concatenate(values), compute_stamp_parts(np.concatenate(stamps))
    return (
        WindowExamples(table, parts, first.astype(np.int64), length, history),
        WindowExamples(table, parts, chosen.astype(np.int64), length, history),
    )
