"""The information coefficient: does a forecast order the symbols of a date.

Axes legend: T dates, N symbols.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from alfred.evaluation.forecast_metrics import Estimate, compute_correlations, compute_rank_correlations
from alfred.evaluation.forecasts.by_date import estimate_by_date
from alfred.evaluation.forecasts.errors import check_shapes
from alfred.typing import FloatArray, IntArray

IcKind = Literal["pearson", "rank"]


def estimate_ic(
    forecast: FloatArray,
    outcome: FloatArray,
    horizon: int,
    *,
    kind: IcKind = "rank",
    sessions: IntArray | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return the mean information coefficient over dates, with a t-value that allows for overlapping outcomes.

    The variance of the mean is the largest of three: that of independent dates, Hansen and Hodrick (1980) with h - 1
    lags of equal weight, and Newey and West (1987) with floor(4 (T / 100)^(2/9)) lags of Bartlett weights (Newey and
    West, 1994); T counts the dates with a coefficient. h is `horizon` where every session has a forecast, and the
    number of rows over which outcomes overlap where not.

    Args:
        forecast: Log returns, or anything that orders symbols, `[T, N]`; NaN where unknown.
        outcome: Log returns, `[T, N]`; NaN where unknown.
        horizon: Sessions that an outcome spans.
        kind: `rank` for the correlation of ranks, `pearson` for that of values.
        sessions: Position of each date among the sessions of the market, `[T]`; consecutive when left out.
        level: Coverage of the interval.

    Raises:
        DataError: The shapes differ.
    """
    check_shapes(forecast=forecast, outcome=outcome)
    compute = compute_rank_correlations if kind == "rank" else compute_correlations
    scores = np.asarray(compute(forecast, outcome), dtype=np.float64)
    known = np.isfinite(scores)
    positions = np.arange(len(scores)) if sessions is None else np.asarray(sessions)
    return estimate_by_date(
        np.where(known, scores, 0.0), known.astype(np.float64), positions, horizon=horizon, level=level
    )
