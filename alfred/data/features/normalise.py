"""Normalisation that reads the same day or the past, never later."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.typing import FloatArray


def rank_across(values: FloatArray) -> FloatArray:
    """Return the rank of each symbol on its day, from -1 (lowest) to 1, `[T, N]`.

    Ties share their mean rank, a lone value is 0, NaN stays NaN.
    """
    ranks: FloatArray = pd.DataFrame(values).rank(axis=1).to_numpy()
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    return np.where(count > 1, 2 * (ranks - 1) / np.maximum(count - 1, 1) - 1, ranks * 0)


def standardise_trailing(values: FloatArray, window: int, min_count: int) -> FloatArray:
    """Return (x_t - mean) / standard deviation over the rows t - window + 1 to t of each symbol, `[T, N]`.

    Args:
        values: `[T, N]`, NaN where unknown.
        window: Rows in the statistics, the present one included.
        min_count: Known values that the window needs, else NaN; a constant window gives 0.
    """
    rolling = pd.DataFrame(values).rolling(window, min_periods=min_count)
    mean, deviation = rolling.mean().to_numpy(), rolling.std().to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = (values - mean) / deviation
    return np.where(deviation > 0, scores, np.where(np.isfinite(deviation), values * 0, np.nan))
