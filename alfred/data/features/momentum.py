"""Momentum features: vectorised over symbols, read from the closes and volumes of the market's sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.data.features.normalise import rank_across
from alfred.data.market import Market
from alfred.data.point_in_time.asof import forward_fill
from alfred.typing import FloatArray

_MONTH = 21
_SESSIONS_A_YEAR = 252


@dataclass(frozen=True, eq=False)
class History:
    """What a feature over the sessions of the market reads.

    Attributes:
        market: The market.
        close: Its closes as float64, carried over halts, `[T, N]`.
    """

    market: Market
    close: FloatArray


@dataclass(frozen=True)
class PanelFeature:
    """One feature, computed for all symbols at once.

    Attributes:
        fields: Fields of the market that it reads.
        compute: From the history to the feature, `[T, N]`.
    """

    fields: tuple[str, ...]
    compute: Callable[[History], FloatArray]


def _return_between(start: int, stop: int) -> Callable[[History], FloatArray]:
    """Return close[t - stop] / close[t - start] - 1."""
    return lambda history: shift(history.close, stop) / shift(history.close, start) - 1


def _compute_distance(history: History) -> FloatArray:
    """Return the close over its mean of 200 sessions, minus 1."""
    return history.close / compute_mean(history.close, 200) - 1


def _compute_relative_strength(history: History) -> FloatArray:
    """Return the rank of the half-year return among the symbols of the day, from -1 to 1."""
    strength = history.close / shift(history.close, 6 * _MONTH) - 1
    return rank_across(np.where(history.market.tradable, strength, np.nan))


def _compute_volume_trend(history: History) -> FloatArray:
    """Return the mean volume of 20 sessions over that of 60, minus 1."""
    volume = history.market.field("volume").astype(np.float64)
    return compute_mean(volume, 20) / compute_mean(volume, 60) - 1


def _compute_volatility(history: History) -> FloatArray:
    """Return the standard deviation of 20 daily log returns, a year."""
    returns = pd.DataFrame(history.market.log_returns().astype(np.float64))
    deviation: FloatArray = returns.rolling(20, min_periods=10).std().to_numpy() * np.sqrt(_SESSIONS_A_YEAR)
    return deviation


MOMENTUM_FEATURES: Mapping[str, PanelFeature] = {
    "momentum_12_1": PanelFeature(("close",), _return_between(12 * _MONTH, _MONTH)),
    "momentum_6_1": PanelFeature(("close",), _return_between(6 * _MONTH, _MONTH)),
    "momentum_3_1": PanelFeature(("close",), _return_between(3 * _MONTH, _MONTH)),
    "momentum_1": PanelFeature(("close",), _return_between(_MONTH, 0)),
    "roc_20": PanelFeature(("close",), _return_between(20, 0)),
    "roc_60": PanelFeature(("close",), _return_between(60, 0)),
    "distance_200": PanelFeature(("close",), _compute_distance),
    "relative_strength": PanelFeature(("close",), _compute_relative_strength),
    "volume_trend": PanelFeature(("volume",), _compute_volume_trend),
    "volatility_20": PanelFeature(("close",), _compute_volatility),
}
REVERSAL_FEATURES: Mapping[str, PanelFeature] = {"roc_5": PanelFeature(("close",), _return_between(5, 0))}


def compute_panels(market: Market, features: Mapping[str, PanelFeature]) -> dict[str, FloatArray]:
    """Return features by name, each `[T, N]`; NaN while history is short and off the tradable sessions.

    Args:
        market: The market.
        features: The features by name.

    Raises:
        DataError: The market lacks a field.
    """
    history = History(market, forward_fill(market.close).astype(np.float64))
    result = {}
    for name, feature in features.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            values = feature.compute(history)
        result[name] = np.where(market.tradable & np.isfinite(values), values, np.nan)
    return result


def shift(values: FloatArray, steps: int) -> FloatArray:
    """Return the values of `steps` rows before, `[T, N]`; NaN in the first rows."""
    if steps == 0:
        return values
    shifted = np.full(values.shape, np.nan)
    shifted[steps:] = values[:-steps]
    return shifted


def compute_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the trailing mean over `window` rows, `[T, N]`; at least half of them must be known."""
    mean: FloatArray = pd.DataFrame(values).rolling(window, min_periods=(window + 1) // 2).mean().to_numpy()
    return mean
