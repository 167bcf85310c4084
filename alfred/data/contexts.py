"""Point-in-time windows: what an analyst is handed when it forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.data.market import Market
from alfred.data.point_in_time.headlines import HEADLINES, WindowHeadlines, gather_headlines
from alfred.data.point_in_time.members import find_members
from alfred.errors import DataError
from alfred.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Contexts:
    """A batch of windows, each ending at the close of its own date and holding nothing later.

    Axes legend: B batch, C context length, F fields. Batching over symbols and dates stays leak-free because the
    windows are copied out of the market before an analyst sees them.

    Attributes:
        values: Prices, volume or extra fields, `[B, C, F]`, oldest first; NaN before a listing and on halts.
        fields: Names of the last axis, `[F]`.
        symbols: The symbol of each window, `[B]`.
        dates: The date of the last bar of each window, `[B]`.
        timestamps: The date of every bar, `[B, C]`, datetime64; NaT before the first session of the market.
        headlines: The news of each window, where `headlines` was asked for; else None.
    """

    values: FloatArray
    fields: tuple[str, ...]
    symbols: tuple[str, ...]
    dates: pd.DatetimeIndex
    timestamps: npt.NDArray[np.datetime64]
    headlines: WindowHeadlines | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            DataError: An axis disagrees with the others.
        """
        b, c, f = self.values.shape
        if (f, b, b, (b, c)) != (len(self.fields), len(self.symbols), len(self.dates), self.timestamps.shape):
            raise DataError(
                f"contexts disagree: values {self.values.shape}, {len(self.fields)} fields, {len(self.symbols)} "
                f"symbols, {len(self.dates)} dates, timestamps {self.timestamps.shape}"
            )
        if self.headlines is not None and self.headlines.n_windows != b:
            raise DataError(f"contexts disagree: {b} windows, but headlines of {self.headlines.n_windows}")

    def __len__(self) -> int:
        """Return the batch size B."""
        return len(self.symbols)

    @property
    def context_length(self) -> int:
        """Number of bars C in each window."""
        return int(self.values.shape[1])

    def field(self, name: str) -> FloatArray:
        """Return one field, `[B, C]`.

        Raises:
            DataError: The field is not in these contexts.
        """
        if name not in self.fields:
            raise DataError(f"these contexts hold {', '.join(self.fields)}, not '{name}'; list it in `fields`")
        return self.values[:, :, self.fields.index(name)]


def make_contexts(
    market: Market,
    rows: npt.NDArray[np.integer],
    columns: npt.NDArray[np.integer],
    *,
    length: int,
    fields: Sequence[str] = ("close",),
) -> Contexts:
    """Copy windows out of a market.

    Args:
        market: The market, already cut at the last date that the caller may know.
        rows: Row of the last bar of each window, `[B]`.
        columns: Symbol of each window, `[B]`.
        length: Bars in a window, C. Rows before the first session are NaN.
        fields: Fields to copy, F. `headlines` among them brings the texts, which are no field of `values`.

    Raises:
        DataError: A row or column lies outside the market, or a field is missing.
    """
    rows, columns = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= market.n_dates or columns.max() >= market.n_symbols):
        raise DataError(f"contexts lie outside the market of {market.n_dates} dates and {market.n_symbols} symbols")
    steps = rows[:, None] + np.arange(-length + 1, 1)
    inside = steps >= 0
    steps = np.maximum(steps, 0)
    numbers = tuple(name for name in fields if name != HEADLINES)
    # Fields are gathered one by one, so that a memory-mapped market is read only where a window lies.
    values = np.empty((len(rows), length, len(numbers)), dtype=market.close.dtype)
    for position, name in enumerate(numbers):
        values[:, :, position] = np.where(inside, market.field(name)[steps, columns[:, None]], np.nan)
    stamps = np.where(inside, market.dates.to_numpy(dtype="datetime64[s]")[steps], np.datetime64("NaT"))
    texts = None
    if HEADLINES in fields:
        if market.headlines is None:
            raise DataError("this market has no headlines; name a file of them: data.news.path")
        texts = gather_headlines(market.headlines, market.dates, market.symbols, rows, columns, length)
    return Contexts(
        values=values,
        fields=numbers,
        symbols=tuple(market.symbols[column] for column in columns),
        dates=market.dates[rows],
        timestamps=stamps,
        headlines=texts,
    )


def iterate_contexts(
    market: Market,
    rows: npt.NDArray[np.integer],
    *,
    length: int,
    fields: Sequence[str] = ("close",),
    min_history: int | None = None,
    batch_size: int = 4096,
) -> Iterator[tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], Contexts]]:
    """Yield contexts for every tradable symbol that is a member on some rows, in batches ordered by date.

    Args:
        market: The market.
        rows: Rows to forecast from, ascending, `[R]`.
        length: Bars in a window, C.
        fields: Fields to copy.
        min_history: Tradable sessions that a symbol needs up to the row; `length` when left out.
        batch_size: Windows in one batch at most, B.

    Yields:
        The row `[B]` and column `[B]` of each window, and the windows.
    """
    needed = length if min_history is None else min_history
    rows = np.asarray(rows, dtype=np.int64)
    history = np.cumsum(market.tradable, axis=0, dtype=np.int32)[rows]
    t, n = np.nonzero(market.tradable[rows] & find_members(market)[rows] & (history >= needed))
    for start in range(0, len(t), batch_size):
        chunk = slice(start, start + batch_size)
        yield rows[t[chunk]], n[chunk], make_contexts(market, rows[t[chunk]], n[chunk], length=length, fields=fields)
