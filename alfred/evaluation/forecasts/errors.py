"""How far point forecasts of a return are off.

Axes legend: T dates, N symbols. A forecast and its outcome are log returns over the same horizon, `[T, N]` or any other
shape that both share, NaN where unknown; pairs with a NaN are left out, and a measure without a pair is NaN. All pairs
count alike: one symbol is judged by its own column. With a forecast f, an outcome y and the close p at the date of the
forecast, the forecast price is p exp(f).

Naive persistence says that the price stays: f = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alfred.errors import DataError
from alfred.typing import BoolArray, Float, FloatArray

_NAN = float("nan")


class PointScores(NamedTuple):
    """Point forecasts in numbers.

    Attributes:
        n: Pairs of a forecast and an outcome.
        percentage_mae: See `compute_percentage_mae`; the metric that a forecaster is selected by.
        naive_percentage_mae: The same of naive persistence.
        skill_pct: See `compute_skill_against_naive`.
        price_mae: See `compute_price_mae`; NaN where no close was given.
        mape_pct: See `compute_price_mape`.
        rmse: See `compute_rmse`.
        r2_against_mean: See `compute_r2_against_mean`.
        r2_against_zero: See `compute_r2_against_zero`.
        pearson: See `compute_pearson`.
        sign_accuracy: See `compute_sign_accuracy`.
    """

    n: int
    percentage_mae: float
    naive_percentage_mae: float
    skill_pct: float
    price_mae: float
    mape_pct: float
    rmse: float
    r2_against_mean: float
    r2_against_zero: float
    pearson: float
    sign_accuracy: float


def compute_percentage_errors(forecast: FloatArray, outcome: FloatArray) -> Float:
    """Return |100 (expm1(f) - expm1(y))|, the error of the simple return in percentage points, `[T, N]`.

    It is also the error of the forecast price in per cent of the close at the date of the forecast. NaN where unknown.
    """
    check_shapes(forecast=forecast, outcome=outcome)
    # The returns are subtracted in double precision: those of a session are small beside one.
    with np.errstate(over="ignore"):
        difference = np.expm1(np.asarray(forecast, dtype=np.float64)) - np.expm1(np.asarray(outcome, dtype=np.float64))
    return np.asarray(100 * np.abs(difference))


def compute_percentage_mae(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return the mean of `compute_percentage_errors`, in percentage points: the metric of selection.

    It does not depend on the unit of prices, and the median of a forecast distribution makes it smallest.
    """
    return _mean(compute_percentage_errors(*select_pairs(forecast, outcome)))


def compute_price_mae(forecast: FloatArray, outcome: FloatArray, close: FloatArray) -> float:
    """Return the mean of p |exp(f) - exp(y)|, in the unit of prices; over several symbols dear ones weigh more.

    Args:
        forecast: Log returns, `[T, N]`.
        outcome: Log returns, `[T, N]`.
        close: Closes at the dates of the forecasts, `[T, N]`.
    """
    check_shapes(forecast=forecast, outcome=outcome, close=close)
    known = np.isfinite(forecast) & np.isfinite(outcome) & np.isfinite(close)
    errors = compute_percentage_errors(forecast[known], outcome[known])
    return _mean(np.asarray(close[known], dtype=np.float64) * errors / 100)


def compute_skill_against_naive(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return 100 (1 - MAE / MAE of naive persistence) on the same pairs, in per cent; positive is better than naive."""
    forecast, outcome = select_pairs(forecast, outcome)
    naive = compute_percentage_mae(np.zeros_like(outcome), outcome)
    return 100 * (1 - divide(compute_percentage_mae(forecast, outcome), naive))


def compute_price_mape(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return the mean absolute percentage error of the price, 100 |exp(f) - exp(y)| / exp(y), in per cent.

    The error is in per cent of the price that came, so that the close cancels out. The measure favours forecasts that
    are too low (Gneiting, 2011), which is why nothing is selected by it.
    """
    forecast, outcome = select_pairs(forecast, outcome)
    with np.errstate(over="ignore"):
        return _mean(100 * np.abs(np.expm1(forecast - outcome)))


def compute_rmse(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return the root mean squared error of the log return."""
    forecast, outcome = select_pairs(forecast, outcome)
    return float(np.sqrt(_mean((forecast - outcome) ** 2)))


def compute_r2_against_mean(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return 1 - sum (f - y)^2 / sum (y - mean y)^2, the usual R².

    The mean is that of the outcomes that are judged, which no forecaster knows; NaN where they do not spread.
    """
    forecast, outcome = select_pairs(forecast, outcome)
    # The mean of equal numbers is rounded, so that their spread about it need not be zero.
    if not len(outcome) or np.ptp(outcome) == 0:
        return _NAN
    return 1 - divide(float(((forecast - outcome) ** 2).sum()), float(((outcome - outcome.mean()) ** 2).sum()))


def compute_r2_against_zero(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return 1 - sum (f - y)^2 / sum y^2 (Gu, Kelly and Xiu, 2020): R² against naive persistence."""
    forecast, outcome = select_pairs(forecast, outcome)
    return 1 - divide(float(((forecast - outcome) ** 2).sum()), float((outcome**2).sum()))


def compute_pearson(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return the correlation of forecast and outcome over all pairs; NaN where one of the two does not spread."""
    forecast, outcome = select_pairs(forecast, outcome)
    if len(outcome) < 2 or np.ptp(forecast) == 0 or np.ptp(outcome) == 0:
        return _NAN
    first, second = forecast - forecast.mean(), outcome - outcome.mean()
    return divide(float(first @ second), float(np.sqrt((first @ first) * (second @ second))))


def compute_sign_accuracy(forecast: FloatArray, outcome: FloatArray) -> float:
    """Return the share of forecasts on the right side of zero.

    A forecast of exactly zero makes no call and is left out, so that naive persistence has no accuracy (NaN); an
    outcome of exactly zero is no rise.
    """
    forecast, outcome = select_pairs(forecast, outcome)
    called = forecast != 0
    return _mean(((forecast > 0) == (outcome > 0))[called].astype(np.float64))


def compute_point_scores(forecast: FloatArray, outcome: FloatArray, close: FloatArray | None = None) -> PointScores:
    """Return every measure of this module at once.

    Args:
        forecast: Log returns, `[T, N]`.
        outcome: Log returns, `[T, N]`.
        close: Closes at the dates of the forecasts, `[T, N]`, for the error in the unit of prices.

    Raises:
        DataError: The shapes differ.
    """
    check_shapes(forecast=forecast, outcome=outcome)
    _, judged = select_pairs(forecast, outcome)
    return PointScores(
        n=len(judged),
        percentage_mae=compute_percentage_mae(forecast, outcome),
        naive_percentage_mae=compute_percentage_mae(np.zeros_like(judged), judged),
        skill_pct=compute_skill_against_naive(forecast, outcome),
        price_mae=_NAN if close is None else compute_price_mae(forecast, outcome, close),
        mape_pct=compute_price_mape(forecast, outcome),
        rmse=compute_rmse(forecast, outcome),
        r2_against_mean=compute_r2_against_mean(forecast, outcome),
        r2_against_zero=compute_r2_against_zero(forecast, outcome),
        pearson=compute_pearson(forecast, outcome),
        sign_accuracy=compute_sign_accuracy(forecast, outcome),
    )


def select_pairs(forecast: FloatArray, outcome: FloatArray) -> tuple[Float, Float]:
    """Return the forecasts and outcomes of the pairs where both are finite, each `[pairs]` in double precision.

    Raises:
        DataError: The shapes differ.
    """
    check_shapes(forecast=forecast, outcome=outcome)
    known: BoolArray = np.isfinite(forecast) & np.isfinite(outcome)
    return np.asarray(forecast[known], dtype=np.float64), np.asarray(outcome[known], dtype=np.float64)


def check_shapes(**arrays: FloatArray) -> None:
    """Refuse arrays that numpy would stretch to one another.

    Raises:
        DataError: The shapes differ.
    """
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f"the arrays to compare differ in shape: {shapes}; give one value of each for every pair")


def divide(top: float, bottom: float) -> float:
    """Return top / bottom, NaN where there is nothing to divide by."""
    return top / bottom if bottom > 0 else _NAN


def _mean(values: Float) -> float:
    # An infinite error stays one: a forecast that overflows is not left out.
    return float(values.mean()) if len(values) else _NAN
