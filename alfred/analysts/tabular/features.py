"""Features of windows that are already cut: technical and momentum, free of the unit of prices.

`alfred.data.features` computes its features on panels of whole histories, one row a session; an analyst is handed
windows of C bars instead. What depends on a fixed number of bars is the same formula here (returns, distances from
means, Bollinger bands, volume trend). RSI and MACD are smoothed from the first bar that there is, so that they are
those of TA-Lib on the window itself, not on the history before it; both are linear in moves or closes, which makes them
one product with weights that are known beforehand. Ranks across symbols have no counterpart: a window would be
described by the batch that it stands in.

Axes legend: B batch, C context length, F features, K bars of a feature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from alfred.analysts.tabular.windows import LEAST_VOLATILITY, Windows, mean_known, read_windows, smooth
from alfred.data.contexts import Contexts
from alfred.typing import Float

_CLIP = 8.0  # beyond eight units a feature says no more than that it is far out
_LEAST_VOLUME = 1e-3  # of the window's mean: a session without a trade is no more silent than this
# Values that are equal but for rounding (a close at its high, a flat bar) fall on the same side of a split of a tree.
_DIGITS = 6


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        name: Its name.
        family: `technical` or `momentum`.
        bars: Bars that a window needs for it.
        compute: From windows to the feature, `[B]`.
        reads_volume: Whether it needs volume.
    """

    name: str
    family: str
    bars: int
    compute: Callable[[Windows], Float]
    reads_volume: bool = False


def list_features(family: str, length: int, *, has_volume: bool) -> tuple[Feature, ...]:
    """Return the features that a window of this length can give, in their order.

    Args:
        family: `technical`, `momentum` or `both`.
        length: Bars of a window, C.
        has_volume: Whether windows hold volume.
    """
    return tuple(
        feature
        for feature in (*_TECHNICAL, *_MOMENTUM)
        if family in (feature.family, "both") and feature.bars <= length and (has_volume or not feature.reads_volume)
    )


def compute_features(contexts: Contexts, family: str) -> tuple[Float, tuple[str, ...]]:
    """Return the features of each window and their names.

    Each window is described by itself alone, in units of its own volatility where a feature is a move.

    Args:
        contexts: Windows with `close`, and `volume` where it is to be used. Bars without a trade carry the close before
            them; those before the first trade carry the first close.
        family: `technical`, `momentum` or `both`.

    Returns:
        Features `[B, F]`, clipped to eight units, NaN where nothing is known; and names `[F]`.
    """
    features = list_features(family, contexts.context_length, has_volume="volume" in contexts.fields)
    windows = read_windows(contexts)
    values = np.empty((len(contexts), len(features)))
    for position, feature in enumerate(features):
        values[:, position] = feature.compute(windows)
    return np.clip(values, -_CLIP, _CLIP).round(_DIGITS), tuple(feature.name for feature in features)


def _divide(top: Float, bottom: Float) -> Float:
    """Return the ratio, 0 where the denominator is (a window that does not move is in the middle of everything)."""
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), bottom * 0.0)


def _return_over(bars: int) -> Callable[[Windows], Float]:
    """Return the log return over the last bars in units of its volatility."""
    return lambda windows: np.asarray(windows.moves[:, -bars:].sum(axis=1) / windows.scale(bars))


def _volatility_over(bars: int) -> Callable[[Windows], Float]:
    """Return the log of the volatility over the last bars relative to that of the window."""

    def compute(windows: Windows) -> Float:
        recent = np.maximum(np.sqrt(np.mean(windows.moves[:, -bars:] ** 2, axis=1)), LEAST_VOLATILITY)
        return np.asarray(np.log(recent / windows.volatility))

    return compute


def _distance_from_mean(bars: int | None) -> Callable[[Windows], Float]:
    """Return close over its mean, minus 1, in units of volatility; over the whole window when `bars` is None."""

    def compute(windows: Windows) -> Float:
        part = windows.close if bars is None else windows.close[:, -bars:]
        return np.asarray((1.0 / part.mean(axis=1) - 1.0) / windows.scale(part.shape[1]))

    return compute


def _range_position(bars: int | None) -> Callable[[Windows], Float]:
    """Return where the close stands between the lowest (-1) and the highest (1) close."""

    def compute(windows: Windows) -> Float:
        part = windows.close if bars is None else windows.close[:, -bars:]
        low, high = part.min(axis=1), part.max(axis=1)
        return _divide(2.0 - low - high, high - low)

    return compute


def _bollinger(windows: Windows) -> Float:
    """Return where the close stands between the lower (-1) and upper (1) Bollinger band: 20 bars, 2 deviations."""
    part = windows.close[:, -20:]
    return _divide(1.0 - part.mean(axis=1), 2.0 * part.std(axis=1))


def _rsi(windows: Windows) -> Float:
    """Return the relative strength index (Wilder, 1978) over 14 bars, from -1 (0) to 1 (100)."""
    changes = np.diff(windows.close, axis=1)
    weights = smooth(np.eye(changes.shape[1]), 14, 1 / 14)[-1]
    return _divide((changes * weights).sum(axis=1), (np.abs(changes) * weights).sum(axis=1))


@lru_cache(maxsize=8)
def _weigh_macd(length: int) -> tuple[Float, Float | None]:
    """Return the weights of closes in MACD (12, 26) and in its distance from its signal (9), each `[C]`."""
    closes = np.eye(length)
    # TA-Lib starts the fast average so that its first value falls on the first of the slow one.
    lines = smooth(closes[14:], 12, 2 / 13) - smooth(closes, 26, 2 / 27)
    return lines[-1], (lines[-1] - smooth(lines, 9, 2 / 10)[-1] if len(lines) >= 9 else None)


def _macd(windows: Windows) -> Float:
    """Return MACD over the close, in units of the daily volatility."""
    weights, _ = _weigh_macd(windows.close.shape[1])
    return np.asarray((windows.close * weights).sum(axis=1) / windows.volatility)


def _macd_histogram(windows: Windows) -> Float:
    """Return MACD less its signal line over the close, in units of the daily volatility."""
    _, weights = _weigh_macd(windows.close.shape[1])
    assert weights is not None  # noqa: S101  `list_features` sees to it
    return np.asarray((windows.close * weights).sum(axis=1) / windows.volatility)


def _momentum_without_end(start: float) -> Callable[[Windows], Float]:
    """Return the log return from a share of the window to its last twelfth, in units of its volatility.

    With a year of bars and `start` 0 it is the 12-1 momentum of Jegadeesh and Titman (1993).
    """

    def compute(windows: Windows) -> Float:
        bars = windows.moves.shape[1]
        part = windows.moves[:, int(start * bars) : bars - max(bars // 12, 1)]
        return np.asarray(part.sum(axis=1) / windows.scale(part.shape[1]))

    return compute


def _trend_share(windows: Windows) -> Float:
    """Return the share of rising bars less that of falling ones: how steady a trend is (Da, Gurun, Warachka, 2014)."""
    # A millionth is what rounding of equal prices leaves.
    return np.asarray((np.sign(windows.moves) * (np.abs(windows.moves) > 1e-6)).mean(axis=1))


def _drawdown(windows: Windows) -> Float:
    """Return the log of the close over the highest close of the window, in units of volatility."""
    return np.asarray(-np.log(windows.close.max(axis=1)) / windows.scale(windows.moves.shape[1]))


def _volume_over(bars: int) -> Callable[[Windows], Float]:
    """Return the log of the mean volume of the last bars over that of the window."""

    def compute(windows: Windows) -> Float:
        assert windows.volume is not None  # noqa: S101  `list_features` sees to it
        return np.log(np.maximum(mean_known(windows.volume[:, -bars:]), _LEAST_VOLUME))

    return compute


def _volume_trend(windows: Windows) -> Float:
    """Return the mean volume of 20 bars over that of 60, minus 1."""
    assert windows.volume is not None  # noqa: S101  `list_features` sees to it
    short, long = (mean_known(windows.volume[:, -bars:]) for bars in (20, 60))
    return short / np.where(long > 0, long, np.nan) - 1.0


_TECHNICAL = (
    *(Feature(f"return_{k}", "technical", k + 1, _return_over(k)) for k in (1, 2, 3, 5)),
    Feature("volatility", "technical", 2, lambda windows: np.log(100.0 * windows.volatility)),
    *(Feature(f"volatility_{k}", "technical", k + 2, _volatility_over(k)) for k in (5, 20, 60)),
    *(Feature(f"distance_{k}", "technical", k, _distance_from_mean(k)) for k in (10, 20, 50)),
    Feature("rsi", "technical", 15, _rsi),
    Feature("bollinger", "technical", 20, _bollinger),
    Feature("macd", "technical", 26, _macd),
    Feature("macd_histogram", "technical", 34, _macd_histogram),
    Feature("range_20", "technical", 20, _range_position(20)),
    *(Feature(f"volume_{k}", "technical", k + 1, _volume_over(k), reads_volume=True) for k in (1, 5)),
)
_MOMENTUM = (
    *(Feature(f"return_{k}", "momentum", k + 1, _return_over(k)) for k in (10, 20, 60, 120)),
    Feature("momentum_without_end", "momentum", 13, _momentum_without_end(0.0)),
    Feature("half_momentum_without_end", "momentum", 13, _momentum_without_end(0.5)),
    Feature("distance_context", "momentum", 13, _distance_from_mean(None)),
    Feature("range_context", "momentum", 13, _range_position(None)),
    Feature("drawdown", "momentum", 13, _drawdown),
    Feature("trend_share", "momentum", 13, _trend_share),
    Feature("volume_trend", "momentum", 60, _volume_trend, reads_volume=True),
)
