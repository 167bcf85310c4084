"""Means over pairs with an interval that is made from one value a date.

Axes legend: T dates. Outcomes over several sessions overlap and symbols move together, so that pairs are no sample.
"""

from __future__ import annotations

import numpy as np

from alfred.evaluation.forecast_metrics import Estimate, estimate_mean
from alfred.typing import FloatArray, IntArray


def count_overlapping(sessions: IntArray, horizon: int) -> int:
    """Return over how many consecutive rows outcomes overlap, itself included; `horizon` where every session has a row.

    Args:
        sessions: Position of each row among the sessions, ascending, `[T]`.
        horizon: Sessions that an outcome spans.
    """
    reach = np.searchsorted(sessions, np.asarray(sessions) + horizon) - np.arange(len(sessions))
    return int(reach.max(initial=1))


def estimate_by_date(
    total: FloatArray,
    count: FloatArray,
    sessions: IntArray,
    *,
    horizon: int,
    without_skill: float = 0.0,
    level: float = 0.95,
) -> Estimate:
    """Estimate the mean over all pairs, sum(total) / sum(count), with the uncertainty of dates.

    The influence of a date is (total - mean count) / mean(count), the linearised ratio, and its variance allows for
    overlapping outcomes: see `estimate_mean`. Forecasts that were not made on every session overlap over fewer rows,
    and only those are counted.

    Args:
        total: Sum over the pairs of each date, `[T]`.
        count: Pairs of each date, `[T]`; dates without one are left out.
        sessions: Position of each date among the sessions of the market, ascending, `[T]`.
        horizon: Sessions that an outcome spans.
        without_skill: The mean without skill.
        level: Coverage of the interval.
    """
    dated = np.asarray(count) > 0
    sums, counts = np.asarray(total, dtype=np.float64)[dated], np.asarray(count, dtype=np.float64)[dated]
    value = float(sums.sum() / counts.sum()) if len(counts) else float("nan")
    influence = (sums - value * counts) / counts.mean() if len(counts) else sums
    rows = count_overlapping(np.asarray(sessions)[dated], horizon)
    return estimate_mean(influence, value, without_skill=without_skill, horizon=rows, level=level)
