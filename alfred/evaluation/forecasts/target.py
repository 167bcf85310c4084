"""What a wanted R² means in errors."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from alfred.errors import ConfigError, DataError
from alfred.typing import FloatArray


class ErrorTargets(NamedTuple):
    """The errors that belong to an R² against the mean, in the unit of the label.

    Attributes:
        r2: The wanted R².
        n: Outcomes that are known.
        variance: Variance of the label, over n.
        low: Smallest outcome.
        high: Largest outcome.
        range: `high - low`.
        mse: Mean squared error to reach, `(1 - r2) variance`; exact.
        rmse: Its root; exact.
        mae_gaussian: Mean absolute error to reach if the residuals are normal, `sqrt(2 / pi) rmse`. Residuals of
            returns have fat tails, which make the true one smaller.
        mae_of_mean: Mean absolute error of forecasting the mean of the label throughout; exact.
        mae_scaled: Mean absolute error to reach if residuals have the shape of the label, `mae_of_mean sqrt(1 - r2)`.
    """

    r2: float
    n: int
    variance: float
    low: float
    high: float
    range: float
    mse: float
    rmse: float
    mae_gaussian: float
    mae_of_mean: float
    mae_scaled: float


def compute_error_targets(outcomes: FloatArray, r2: float) -> ErrorTargets:
    """Return what MSE, RMSE and MAE a wanted R² means for this label.

    From `R² = 1 - MSE / variance`. MSE and RMSE follow for any distribution; the MAE needs the shape of the residuals,
    and is given under two assumptions. At small R² the residuals are nearly the label itself, so that the scaled one is
    the better guess.

    Args:
        outcomes: The label, any shape; NaN where unknown.
        r2: The wanted R² against the mean, below 1.

    Raises:
        ConfigError: `r2` is 1 or more, or not finite.
        DataError: The label does not spread, so that there is no R².
    """
    if not (math.isfinite(r2) and r2 < 1):
        raise ConfigError(f"r2 is {r2}; it must be a number below 1 (1 would be a forecast without any error)")
    known = np.asarray(outcomes, dtype=np.float64)[np.isfinite(outcomes)]
    if len(known) < 2 or np.ptp(known) == 0:
        raise DataError(
            f"the label has {len(known)} known outcomes and no spread, so that no R² is defined; give outcomes that "
            "differ"
        )
    low, high, variance = float(known.min()), float(known.max()), float(known.var())
    rmse = math.sqrt((1 - r2) * variance)
    mae_of_mean = float(np.abs(known - known.mean()).mean())
    return ErrorTargets(
        r2=float(r2),
        n=len(known),
        variance=variance,
        low=low,
        high=high,
        range=high - low,
        mse=(1 - r2) * variance,
        rmse=rmse,
        mae_gaussian=math.sqrt(2 / math.pi) * rmse,
        mae_of_mean=mae_of_mean,
        mae_scaled=mae_of_mean * math.sqrt(1 - r2),
    )
