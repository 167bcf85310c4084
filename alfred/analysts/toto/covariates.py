"""Further variates beside the price of a symbol: what of the same sessions may tell how it goes on.

Training and forecasting call the same function on the same bars. Nothing here has a unit: an index counts from its last
level, the logarithm of a volume from its mean.

Axes legend: B windows, C sessions of a context, X covariates, T dates, N symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alfred.data.market import Market
from alfred.errors import ConfigError
from alfred.typing import BoolArray, FloatArray

# A volume that moves by less than a thousandth stands still: what is left of it is rounding.
_LEAST_SPREAD = 1e-3


def transform_covariates(values: FloatArray, names: Sequence[str], unit: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the covariates of windows as further variates of their prices.

    An index is its logarithm, counted from its last value in the unit of the price, so that a move of the index and
    one of the price are of the same size. A volume is its logarithm less the mean of the window, over its standard
    deviation in the window. What is missing is filled forward, 0 before the first value, and marked; so is a session
    without trades, whose volume has no logarithm.

    Args:
        values: As the market has them, `[B, C, X]`.
        names: Which they are, `[X]`.
        unit: Log return of one unit of the price, `[B]`.

    Returns:
        The series, `[B, X, C]` float64, and what of them was observed.
    """
    raw = np.moveaxis(values, 2, 1).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs, observed = fill_forward(np.where(raw > 0, np.log(raw), np.nan))
    begun = observed.cumsum(axis=2) > 0
    for position, name in enumerate(names):
        series, seen = logs[:, position], observed[:, position]
        if name == "volume":
            count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
            series -= np.where(seen, series, 0.0).sum(axis=1, keepdims=True) / count
            spread = np.sqrt(np.where(seen, series**2, 0.0).sum(axis=1, keepdims=True) / count)
            series /= np.maximum(spread, _LEAST_SPREAD)
        else:
            series -= series[:, -1:].copy()
            series /= unit[:, None]
    return np.where(begun, logs, 0.0), observed


def fill_forward(values: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Fill NaN along the last axis with the value before it, 0 where there is none; return also what was finite."""
    observed = np.isfinite(values)
    position = np.maximum.accumulate(np.where(observed, np.arange(values.shape[-1]), -1), axis=-1)
    filled = np.take_along_axis(values, np.maximum(position, 0), axis=-1)
    return np.where(position >= 0, filled, 0.0), observed


def gather_covariates(market: Market, names: Sequence[str]) -> FloatArray:
    """Return the covariates of every symbol, `[N, T, X]`, in the precision in which contexts hold them.

    Raises:
        DataError: The market has no such field.
    """
    panels = [market.field(name).T.astype(market.close.dtype) for name in names]
    return np.stack(panels, axis=2) if panels else np.empty((market.n_symbols, market.n_dates, 0), market.close.dtype)


def require_variate_layers(spacewise: Sequence[bool], names: Sequence[str], source: str) -> None:
    """Refuse a network that cannot read covariates.

    Args:
        spacewise: Whether each layer attends across variates.
        names: The covariates.
        source: The checkpoint, for the message.

    Raises:
        ConfigError: There are covariates, but every layer attends along time.
    """
    if names and not any(spacewise):
        raise ConfigError(
            f"'{source}' has no layer that attends across variates, so covariates {', '.join(names)} would change "
            "nothing; leave them out, or take a checkpoint that was trained with some"
        )
