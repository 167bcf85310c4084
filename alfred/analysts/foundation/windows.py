"""Prices as released models are fed, and what they answer as the distribution of a return.

A window is the log of its closes, counted from the last one. A forecast of that level is a log return already, it
cannot name a negative price, and no unit of prices is left in it. What was not traded is NaN, which the networks mask.

Axes legend: B batch, C context length, H horizons, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alfred.data.contexts import Contexts
from alfred.typing import BoolArray, FloatArray

LEAST_BARS = 8
"""Traded bars that a window needs to be forecast: what Fracast asks for, and little enough for the others."""


def prepare_series(contexts: Contexts) -> tuple[npt.NDArray[np.float32], BoolArray]:
    """Return log closes counted from the last traded one, `[B, C]`, NaN where not traded, and what can be forecast.

    Args:
        contexts: Windows of closes.

    Returns:
        The series, and `[B]` whether a window has at least `LEAST_BARS` traded bars.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(contexts.field("close").astype(np.float64))
    traded = np.isfinite(logs)
    last = logs.shape[1] - 1 - np.argmax(traded[:, ::-1], axis=1)
    series = logs - np.take_along_axis(logs, last[:, None], axis=1)
    return np.where(traded, series, np.nan).astype(np.float32), traded.sum(axis=1) >= LEAST_BARS


def average_quantiles(quantiles: FloatArray, levels: Sequence[float]) -> FloatArray:
    """Return the mean of distributions that are known by quantiles, `[..., Q] -> [...]`.

    A quantile stands for the probability that is nearer to its level than to any other: of nine deciles the outer two
    for 0.15 each, the others for a tenth.

    Args:
        quantiles: Quantiles along the last axis.
        levels: Their levels in (0, 1), ascending, `[Q]`.
    """
    inner = (np.asarray(levels)[1:] + np.asarray(levels)[:-1]) / 2
    return np.asarray(quantiles @ np.diff(np.concatenate([[0.0], inner, [1.0]])))
