"""Which rows of a long history are drawn.

Axes legend: T dates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

MAX_DAILY_POINTS = 500


def find_point_starts(dates: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return the first row of every point that is drawn: of each day, or of each week of a long history."""
    if len(dates) <= MAX_DAILY_POINTS:
        return np.arange(len(dates))
    weeks = dates.to_period("W").asi8
    return np.flatnonzero(np.diff(weeks, prepend=weeks[0] - 1))


def find_point_ends(dates: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return the last row of every point that is drawn."""
    return np.append(find_point_starts(dates)[1:], len(dates)) - 1
