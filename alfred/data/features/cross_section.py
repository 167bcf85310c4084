"""What all symbols, or those of a sector, did together: the declared second input of analysts that read one window.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alfred.data.features.names import LEVELS
from alfred.typing import BoolArray, Float, FloatArray


def compute_levels(close: FloatArray, tradable: BoolArray, sectors: Sequence[str]) -> dict[str, Float]:
    """Return the index of all symbols and that of each symbol's sector by the name of the field, each `[T, N]`."""
    everybody, sector = LEVELS
    return {
        everybody: compute_group_levels(close, tradable, [""] * len(sectors)),
        sector: compute_group_levels(close, tradable, sectors),
    }


def compute_group_levels(close: FloatArray, tradable: BoolArray, groups: Sequence[object]) -> Float:
    """Return an index of each symbol's group, `[T, N]`: the mean return of its symbols that traded, compounded from 1.

    A row knows itself and earlier rows only. A symbol counts from its second session on; over a halt its return is that
    since it last traded.

    Args:
        close: Adjusted closes, `[T, N]`.
        tradable: Whether the symbol traded, `[T, N]`.
        groups: The group of each symbol, `[N]`.
    """
    known = np.where(tradable, close, np.nan).astype(np.float64)
    rows = np.where(tradable, np.arange(len(known))[:, None], 0)
    np.maximum.accumulate(rows, axis=0, out=rows)
    latest = np.take_along_axis(known, rows, axis=0)
    returns = np.full(known.shape, np.nan)
    returns[1:] = known[1:] / latest[:-1] - 1
    levels = np.ones(known.shape)
    for group in dict.fromkeys(groups):
        members = np.array([other == group for other in groups])
        own = returns[:, members]
        counted = np.isfinite(own)
        mean = np.where(counted, own, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        levels[:, members] = np.cumprod(1 + mean)[:, None]
    return levels
