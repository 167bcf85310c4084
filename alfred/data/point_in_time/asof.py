"""What was last known: values carried forward from the session on which they became known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.typing import FloatArray


def forward_fill(values: FloatArray) -> FloatArray:
    """Return the last finite value at or before each row, `[T, N]`; NaN before the first."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0)
    filled: FloatArray = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, filled, np.nan)


def find_first_session(
    sessions: pd.DatetimeIndex, days: pd.DatetimeIndex, *, same_day: npt.NDArray[np.bool_] | bool
) -> npt.NDArray[np.int64]:
    """Return the row of the first session at whose close something of `days` is known, `[R]`.

    Args:
        sessions: Sessions, ascending, `[T]`.
        days: Day of each publication, `[R]`.
        same_day: Whether it was out before the close of its own day, `[R]` or one for all; otherwise the first
            session after the day counts. T means that no session knows it yet.
    """
    at = sessions.searchsorted(days, side="left")
    after = sessions.searchsorted(days, side="right")
    rows: npt.NDArray[np.int64] = np.where(same_day, at, after).astype(np.int64)
    return rows


def spread_reports(
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    values: FloatArray,
    shape: tuple[int, ...],
    dtype: np.dtype[np.floating],
) -> FloatArray:
    """Return the panel in which each report holds from its row until the next one of its column, `[T, N]`.

    Args:
        rows: First row that knows the report, `[R]`; rows at or past T are not known inside the panel.
        columns: Symbol of each report, `[R]`; negative for a symbol outside the panel.
        values: The figure, `[R]`, in order of publication: of several in one cell the last counts. NaN is not a report.
        shape: T and N.
        dtype: Storage, the market's own.
    """
    panel = np.full(shape, np.nan, dtype=dtype)
    inside = (rows < shape[0]) & (columns >= 0) & np.isfinite(values)
    panel[rows[inside], columns[inside]] = values[inside]
    return forward_fill(panel)
