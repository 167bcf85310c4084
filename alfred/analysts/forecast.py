"""What an analyst says about the future, and the signals that are read off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from alfred.analysts.settings import AnalystSettings
from alfred.data.signals import SignalSpec
from alfred.errors import DataError
from alfred.typing import FloatArray

DEFAULT_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
QUANTITIES = ("expected_return", "dispersion", "probability_up", "cvar_5")
_TAIL = 0.05


@dataclass(frozen=True, eq=False)
class Forecast:
    """The distribution of the log return from the close of a context to the close `horizon` sessions later.

    Axes legend: B batch, H horizons, Q quantile levels.

    Attributes:
        horizons: Sessions ahead, `[H]`.
        levels: Quantile levels in (0, 1), ascending, `[Q]`.
        mean: Expected log return, `[B, H]`.
        quantiles: Quantiles of the log return, `[B, H, Q]`, not decreasing along Q.
    """

    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    mean: FloatArray
    quantiles: FloatArray

    def __post_init__(self) -> None:
        """Check the shapes and the order of the quantiles.

        Raises:
            DataError: They are not what the class docstring says.
        """
        b, h = self.mean.shape
        if self.quantiles.shape != (b, len(self.horizons), len(self.levels)) or h != len(self.horizons):
            raise DataError(
                f"forecast disagrees: mean {self.mean.shape}, quantiles {self.quantiles.shape}, "
                f"{len(self.horizons)} horizons, {len(self.levels)} levels"
            )
        if not all(0 < low < high < 1 for low, high in zip(self.levels, self.levels[1:], strict=False)):
            raise DataError(f"quantile levels {self.levels} must ascend inside (0, 1)")
        if np.any(np.diff(self.quantiles, axis=2) < 0):
            raise DataError("quantiles decrease along the levels; sort them before building the forecast")

    @classmethod
    def from_gaussian(
        cls, mean: FloatArray, scale: FloatArray, horizons: Sequence[int], levels: Sequence[float] = DEFAULT_LEVELS
    ) -> Forecast:
        """Build a forecast from the mean and standard deviation of the log return, both `[B, H]`."""
        quantiles = mean[:, :, None] + scale[:, :, None] * ndtri(np.asarray(levels))
        return cls(tuple(horizons), tuple(levels), mean, quantiles)

    @classmethod
    def from_samples(
        cls, samples: FloatArray, horizons: Sequence[int], levels: Sequence[float] = DEFAULT_LEVELS
    ) -> Forecast:
        """Build a forecast from sampled log returns, `[B, S, H]` with S samples."""
        quantiles = np.moveaxis(np.quantile(samples, np.asarray(levels), axis=1), 0, -1)
        return cls(tuple(horizons), tuple(levels), samples.mean(axis=1), quantiles)

    def dispersion(self) -> FloatArray:
        """Spread of the forecast as a standard deviation, `[B, H]`: the outer quantile distance over a normal's."""
        width = ndtri(self.levels[-1]) - ndtri(self.levels[0])
        return np.asarray((self.quantiles[:, :, -1] - self.quantiles[:, :, 0]) / width)

    def probability_up(self) -> FloatArray:
        """Probability of a positive log return, `[B, H]`, interpolated between quantiles on the normal score."""
        below = _interpolate_level(self.quantiles, np.asarray(self.levels), 0.0)
        return 1.0 - below

    def cvar_5(self) -> FloatArray:
        """Mean log return in the worst 5 per cent, `[B, H]` (negative in a usual market).

        Computed from a normal that is matched to the lowest quantile and the median, which is exact for normal
        forecasts and keeps a handful of quantiles usable.
        """
        median = self.quantiles[:, :, int(np.argmin(np.abs(np.asarray(self.levels) - 0.5)))]
        scale = (median - self.quantiles[:, :, 0]) / -ndtri(self.levels[0])
        density = np.exp(-0.5 * ndtri(_TAIL) ** 2) / np.sqrt(2 * np.pi)
        return np.asarray(median - scale * density / _TAIL)

    def to_signals(self) -> npt.NDArray[np.float32]:
        """Return expected return, dispersion, probability of up less one half, and CVaR, `[B, 4 H]`, by horizon."""
        parts = (self.mean, self.dispersion(), self.probability_up() - 0.5, self.cvar_5())
        return np.stack(parts, axis=2).reshape(len(self.mean), -1).astype(np.float32)


def list_signals(settings: AnalystSettings) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of the signals of an analyst and their horizons, `[K]` each.

    The columns of `Forecast.to_signals` come first, then the components of its embedding, which count as signals of
    the shortest horizon.
    """
    horizons = settings.horizons if settings.offers_forecast else ()
    specs = [SignalSpec(settings.label, quantity, horizon) for horizon in horizons for quantity in QUANTITIES]
    specs += [SignalSpec(settings.label, name, settings.horizons[0]) for name in settings.component_names]
    return tuple(spec.name for spec in specs), tuple(spec.horizon for spec in specs)


def _interpolate_level(quantiles: FloatArray, levels: FloatArray, value: float) -> FloatArray:
    """Return the probability of a result below `value` for each row of `quantiles`, `[..., Q] -> [...]`."""
    position = np.clip((quantiles <= value).sum(axis=-1), 1, quantiles.shape[-1] - 1)[..., None]
    low = np.take_along_axis(quantiles, position - 1, axis=-1)[..., 0]
    high = np.take_along_axis(quantiles, position, axis=-1)[..., 0]
    z = ndtri(levels)
    z_low, z_high = z[position[..., 0] - 1], z[position[..., 0]]
    # Linear in the normal score, so that a normal forecast is answered exactly, beyond the outer quantiles as well.
    with np.errstate(invalid="ignore", divide="ignore"):
        score = z_low + (value - low) / (high - low) * (z_high - z_low)
    flat = high <= low
    score = np.where(flat, np.where(low > value, -np.inf, np.where(low < value, np.inf, 0.0)), score)
    return np.asarray(ndtr(score))
