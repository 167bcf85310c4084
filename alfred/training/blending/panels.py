"""What is combined: forecasts and outcomes in units of their own, each known at its session.

Axes legend: T sessions, N symbols, K forecasts that are combined.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from alfred.analysts.calibration.scores import TrailingVolatility
from alfred.data.labels import make_labels
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.training.blending.ridge import Sums, run_sums
from alfred.typing import BoolArray, Float, FloatArray

_CLIP = 5.0  # standard deviations: one crash is not allowed to choose the weights
MEAN = "expected_return"
"""The quantity of the signals that are combined."""


@dataclass(frozen=True, eq=False)
class Panel:
    """The forecasts of all analysts at one horizon.

    Attributes:
        horizon: Sessions ahead.
        answered: Who forecast, `[T, N, K]`.
        levels: Mean of each forecast over the symbols of the session, `[T, K]`.
        differences: Forecasts less that mean, `[T, N, K]`; zero where nobody forecast.
        unit: Volatility over the horizon, `[T, N]`; NaN where unknown. A combination of forecasts times the unit is a
            log return.
        level_sums: Running sums of levels and the mean outcome.
        difference_sums: Running sums of differences and outcomes less their mean.
        own: Sessions before each one for which an analyst forecast something whose outcome exists, `[T + 1, K]`.
    """

    horizon: int
    answered: BoolArray
    levels: Float
    differences: Float
    unit: Float
    level_sums: Sums
    difference_sums: Sums
    own: Float


def make_panel(market: Market, forecasts: Signals, horizon: int, volatility: FloatArray) -> Panel:
    """Lay out the forecasts of one horizon.

    Forecasts are divided by the volatility of their symbol and then by their own past root mean square, so that an
    analyst that exaggerates is not heard more than others. Where one of them is missing the mean of those that are
    there stands for it; what all say of all symbols alike (the level) is kept apart from what they say of one symbol
    against the others, since a market that moves as one drowns the second in the first.

    Args:
        market: The market, with the sessions and symbols of the forecasts.
        forecasts: Expected log returns over the horizon, one signal an analyst.
        horizon: Sessions ahead.
        volatility: Daily volatility known at each session of the market, `[T, N]`.
    """
    rows = market.dates.get_indexer(forecasts.dates)
    unit = volatility[rows] * np.sqrt(horizon)
    with np.errstate(invalid="ignore"):
        relative = replace(forecasts, values=(forecasts.values / unit[:, :, None]).astype(np.float32))
    scores = relative.scaled(_CLIP).values.astype(np.float64)
    answered = np.isfinite(scores)
    filled = _fill(scores, answered)
    spoken: BoolArray = np.asarray(answered.any(axis=2))
    levels = _average(filled, spoken)
    differences = np.where(spoken[..., None], filled - levels[:, None, :], 0.0)
    moves = np.log1p(make_labels(market, horizon).magnitude[rows] / 100.0)
    with np.errstate(invalid="ignore"):
        outcomes = np.clip(moves / unit, -_CLIP, _CLIP)
    # Centred on the pairs that count alone: others would carry their level into the differences.
    known = np.isfinite(outcomes) & spoken
    own_levels, own_outcomes = _average(filled, known), _average(outcomes[..., None], known)
    level_sums = run_sums(own_levels[:, None, :], own_outcomes, known.any(axis=1)[:, None])
    own_differences = np.where(known[..., None], filled - own_levels[:, None, :], 0.0)
    difference_sums = run_sums(own_differences, outcomes - own_outcomes, known)
    judged = (answered & np.isfinite(outcomes)[..., None]).any(axis=1)
    own = np.concatenate([np.zeros((1, judged.shape[1])), np.cumsum(judged, axis=0, dtype=np.float64)])
    return Panel(horizon, answered, levels, differences, unit, level_sums, difference_sums, own)


def measure_volatility(market: Market) -> Float:
    """Return the daily volatility of every symbol known at every close, `[T, N]`; NaN before ten returns."""
    trailing = TrailingVolatility(market.n_symbols)
    logs = np.log(np.where(market.tradable, market.close, np.nan).astype(np.float64))
    found = np.full(logs.shape, np.nan)
    for row, today in enumerate(logs):
        trailing.observe(today)
        found[row] = trailing.read()[:, 1]
    return np.where(found > 0, found, np.nan)


def _fill(scores: Float, answered: BoolArray) -> Float:
    """Return forecasts with each missing one replaced by the mean of those of the same session and symbol."""
    count = np.maximum(answered.sum(axis=2, keepdims=True), 1)
    mean = np.where(answered, scores, 0.0).sum(axis=2, keepdims=True) / count
    return np.where(answered, scores, mean)


def _average(values: Float, known: BoolArray) -> Float:
    """Return means over symbols, `[T, N, K] -> [T, K]`; zero where there is none."""
    count = np.maximum(known.sum(axis=1), 1)[:, None]
    return np.asarray(np.where(known[..., None], values, 0.0).sum(axis=1) / count)
