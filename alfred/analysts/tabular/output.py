"""From the forecasts of each horizon to what an analyst says: one signal, its sign, its rank.

Axes legend: E examples, B batch, H horizons, K points of a distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.special import ndtri

from alfred.analysts.tabular.settings import TreesSettings
from alfred.typing import Float

_POINTS = 256


@dataclass(frozen=True, eq=False)
class OutputRule:
    """What becomes of forecasts, all of it fixed by the training history: no window looks at its batch.

    Three steps, each only where the settings ask for it:

    1. `horizon_weights` w: with f_h the forecast in units of the window's volatility over horizon h, and centre m_h and
       width d_h its mean and standard deviation over the training windows, the common signal is
       z = sum_h w_h (f_h - m_h) / d_h / sum_h w_h (a horizon whose forecast does not move adds nothing), and each
       horizon forecasts m_h + d_h z. Horizons that disagree therefore forecast less.
    2. Times the window's volatility over the horizon it is a log return; `invert` switches its sign.
    3. `ranking`: the log return is replaced by S_h ndtri(u), with u its rank among those of the training windows,
       between 0 and 1, and S_h their standard deviation. The order of windows stays; the level (0 is the median of the
       past) and the outliers go. It is a log return still, so that quantiles, signals and errors keep their meaning.

    Attributes:
        settings: What the analyst was told.
        centre: m_h, `[H]`.
        width: d_h, `[H]`.
        points: Log returns that the training windows were forecast, at equally spaced ranks, ascending, `[H, K]`.
        size: S_h, `[H]`.
    """

    settings: TreesSettings
    centre: Float
    width: Float
    points: Float
    size: Float

    @classmethod
    def fit(cls, settings: TreesSettings, forecasts: Float, scales: Float) -> Self:
        """Measure the forecasts of training windows.

        Args:
            settings: What the analyst was told.
            forecasts: In units of volatility, `[E, H]`.
            scales: Volatility of each window over each horizon, `[E, H]`.
        """
        n_horizons = forecasts.shape[1]
        width = forecasts.std(axis=0)
        # What does not move but for rounding has no score.
        width = np.where(width > 1e-9 * np.abs(forecasts).max(axis=0, initial=0.0), width, 0.0)
        empty = np.zeros((n_horizons, _POINTS))
        rule = cls(settings, forecasts.mean(axis=0), width, empty, np.zeros(n_horizons))
        returns = rule._to_returns(forecasts, scales)
        ranks = (np.arange(_POINTS) + 0.5) / _POINTS
        return replace(rule, points=np.quantile(returns, ranks, axis=0).T.copy(), size=returns.std(axis=0))

    def apply(self, forecasts: Float, scales: Float) -> Float:
        """Return the mean log returns `[B, H]` of forecasts and volatilities, both `[B, H]`."""
        returns = self._to_returns(forecasts, scales)
        if self.settings.output == "return":
            return returns
        ranks = (np.arange(_POINTS) + 0.5) / _POINTS
        scores = [
            ndtri(np.interp(column, points, ranks)) if points[0] < points[-1] else np.zeros(len(column))
            for column, points in zip(returns.T, self.points, strict=True)
        ]
        return np.stack(scores, axis=1) * self.size

    def _to_returns(self, forecasts: Float, scales: Float) -> Float:
        """Return log returns `[B, H]`: the first two steps."""
        if self.settings.horizon_weights is not None:
            moves = self.width > 0
            scores = np.where(moves, (forecasts - self.centre) / np.where(moves, self.width, 1.0), 0.0)
            weights = np.asarray(self.settings.horizon_weights, dtype=np.float64)
            signal = (scores * weights).sum(axis=1) / weights.sum()
            forecasts = self.centre + self.width * signal[:, None]
        return (-1.0 if self.settings.invert else 1.0) * forecasts * scales

    def to_arrays(self) -> dict[str, Float]:
        """Return the arrays by name."""
        return {f"output.{name}": getattr(self, name) for name in ("centre", "width", "points", "size")}

    @classmethod
    def from_arrays(cls, settings: TreesSettings, arrays: Mapping[str, Float]) -> Self:
        """Return a rule from what `to_arrays` made of it.

        Raises:
            KeyError: An array is missing.
            ValueError: An array has the wrong shape.
        """
        n_horizons = len(settings.horizons)
        shapes = {"centre": (n_horizons,), "width": (n_horizons,), "points": (n_horizons, _POINTS)}
        found = {name: arrays[f"output.{name}"] for name in (*shapes, "size")}
        for name, array in found.items():
            if array.shape != shapes.get(name, (n_horizons,)):
                raise ValueError(f"'output.{name}' has shape {array.shape}, not {shapes.get(name, (n_horizons,))}")
        return cls(settings, **found)
