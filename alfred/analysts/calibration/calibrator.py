"""Calibration session by session: what is not known yet is never handed over."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from alfred.analysts.calibration.horizon import HorizonCalibrator
from alfred.analysts.calibration.scores import TrailingVolatility
from alfred.analysts.settings import CalibrationSettings
from alfred.typing import Float, FloatArray

# A dispersion, or the fast volatility, is taken to be at least this share of the slow volatility.
_LEAST_SHARE = 0.01


class Calibrator:
    """Recalibrates the forecasts of one analyst from the outcomes of its own earlier ones.

    Sessions are shown one after the other, each with its closes, and a forecast is calibrated at the session that was
    shown last. The outcome of the forecast of session s over h sessions is computed when the close of s + h is shown:
    there is no way in for anything later. Symbols are pooled; see `alfred.analysts.calibration.horizon` for the method.

    What it keeps does not grow with the past: the forecasts whose outcomes are open (`horizon` sessions of each
    horizon), and for each horizon three histograms. Multiplying all log returns and forecasts by one number
    multiplies the result by it.

    Axes legend: T sessions, N symbols, H horizons, Q quantile levels.
    """

    def __init__(
        self, settings: CalibrationSettings, horizons: Sequence[int], levels: Sequence[float], n_symbols: int
    ) -> None:
        """Start before the first session."""
        self._horizons, self._levels = tuple(horizons), np.asarray(levels, dtype=np.float64)
        self._parts = [HorizonCalibrator(settings, horizon, self._levels) for horizon in self._horizons]
        self._volatility = TrailingVolatility(n_symbols)
        self._closes: deque[Float] = deque(maxlen=max(self._horizons) + 1)
        self._session = -1

    def observe(self, log_close: FloatArray) -> None:
        """Show the next session.

        Args:
            log_close: Log closes, `[N]`; NaN where a symbol did not trade.
        """
        today = np.array(log_close, dtype=np.float64)
        self._session += 1
        self._closes.append(today)
        self._volatility.observe(today)
        for horizon, part in zip(self._horizons, self._parts, strict=True):
            if horizon < len(self._closes):
                part.learn(self._session, today - self._closes[-1 - horizon])

    def calibrate(self, mean: FloatArray, quantiles: FloatArray) -> tuple[Float, Float]:
        """Calibrate the forecasts that were made at the session shown last.

        Args:
            mean: Expected log returns, `[N, H]`; NaN where there is no forecast.
            quantiles: `[N, H, Q]`, not decreasing along Q.

        Returns:
            Mean and quantiles of the same shapes, in double precision. They are the raw ones until there are enough
            outcomes, where they did better in the past, and where a symbol has no scale.
        """
        # Copies: they are kept until their outcomes are known, whatever the caller writes into its own.
        mean, quantiles = np.array(mean, dtype=np.float64), np.array(quantiles, dtype=np.float64)
        centres = _find_centres(mean, quantiles, self._levels)
        daily = self._volatility.read()
        parts = []
        for place, (horizon, part) in enumerate(zip(self._horizons, self._parts, strict=True)):
            own = _measure_dispersion(quantiles[:, place], self._levels)
            scales = _make_scales(own, np.sqrt(horizon) * daily)
            scales[~np.isfinite(centres[:, place])] = np.nan
            parts.append(part.calibrate(self._session, mean[:, place], centres[:, place], scales, quantiles[:, place]))
        return np.stack([part[0] for part in parts], axis=1), np.stack([part[1] for part in parts], axis=1)


def calibrate_panel(
    settings: CalibrationSettings,
    horizons: Sequence[int],
    levels: Sequence[float],
    mean: FloatArray,
    quantiles: FloatArray,
    log_close: FloatArray,
) -> tuple[Float, Float]:
    """Calibrate the forecasts of many sessions, each with what was known at its close.

    Args:
        settings: How.
        horizons: Sessions ahead, `[H]`.
        levels: Quantile levels, ascending, `[Q]`.
        mean: Expected log returns, `[T, N, H]`; a session without any forecast is neither calibrated nor learnt from.
        quantiles: `[T, N, H, Q]`.
        log_close: Log closes, `[T, N]`; NaN where a symbol did not trade.

    Returns:
        Mean and quantiles of the same shapes.
    """
    calibrator = Calibrator(settings, horizons, levels, log_close.shape[1])
    means, spreads = np.array(mean, dtype=np.float64), np.array(quantiles, dtype=np.float64)
    for row, closes in enumerate(log_close):
        calibrator.observe(closes)
        if np.isfinite(means[row]).any():
            means[row], spreads[row] = calibrator.calibrate(mean[row], quantiles[row])
    return means, spreads


def _find_centres(mean: FloatArray, quantiles: FloatArray, levels: Float) -> FloatArray:
    """Return the medians, `[N, H]`: interpolated between levels, or the means when no level lies on one side."""
    if not levels[0] <= 0.5 <= levels[-1]:
        return mean
    above = int(np.searchsorted(levels, 0.5))
    if levels[above] == 0.5:
        return quantiles[..., above]
    share = (0.5 - levels[above - 1]) / (levels[above] - levels[above - 1])
    return np.asarray((1 - share) * quantiles[..., above - 1] + share * quantiles[..., above])


def _measure_dispersion(quantiles: FloatArray, levels: Float) -> FloatArray:
    """Return the distance of the outer quantiles over that of a standard normal, `[N]`; NaN with one level."""
    if len(levels) == 1:
        return np.full(len(quantiles), np.nan)
    return np.asarray((quantiles[:, -1] - quantiles[:, 0]) / (ndtri(levels[-1]) - ndtri(levels[0])))


def _make_scales(own: FloatArray, volatility: FloatArray) -> Float:
    """Return own dispersion, fast and slow volatility, `[N, 3]`; what is not known is replaced by what is.

    Args:
        own: Dispersion of the forecasts, `[N]`.
        volatility: Fast and slow over the horizon, `[N, 2]`.

    Returns:
        NaN in rows in which nothing is known or the slow volatility is zero.
    """
    fast, slow = volatility.T
    slow = np.where(np.isfinite(slow), slow, own)
    fast = np.where(np.isfinite(fast), fast, slow)
    own = np.where(np.isfinite(own), own, slow)
    slow = np.where(slow > 0, slow, np.nan)
    least = _LEAST_SHARE * slow
    return np.stack([np.maximum(own, least), np.maximum(fast, least), slow], axis=1)
