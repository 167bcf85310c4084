"""Features by name: they reach the environment by the same door as the forecasts of analysts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alfred.data.features.indicators import INDICATORS, compute_indicators
from alfred.data.features.momentum import MOMENTUM_FEATURES, compute_panels
from alfred.data.features.normalise import rank_across, standardise_trailing
from alfred.data.features.registry import FEATURES
from alfred.data.features.risk import RISK_FEATURES
from alfred.data.features.rollup import ROLLUP_FEATURES
from alfred.data.market import FIELDS, Market
from alfred.data.settings import PREFIX, FeatureSettings
from alfred.data.signals import Signals
from alfred.errors import DataError
from alfred.typing import FloatArray

_PANELS = {**MOMENTUM_FEATURES, **RISK_FEATURES, **ROLLUP_FEATURES}
_FIELDS: Mapping[str, tuple[str, ...]] = {
    **{name: indicator.fields for name, indicator in INDICATORS.items()},
    **{name: feature.fields for name, feature in _PANELS.items()},
}


def compute_features(market: Market, settings: FeatureSettings) -> Signals:
    """Compute features of every symbol on every session.

    Axes legend: T dates, N symbols, K features. A row reads its own session and earlier ones only. Nothing is
    trained, so that each row carries its own date as its `trained_until`, and the horizon is 0.

    Args:
        market: The market.
        settings: Which features, on which scale.

    Returns:
        Signals named `feature.NAME`, `[T, N, K]`; NaN while a window is not full.

    Raises:
        DataError: A feature needs a field that this market does not have.
    """
    names = settings.features
    _check_fields(market, names)
    panels: dict[str, FloatArray] = {}
    indicators = tuple(name for name in names if name in INDICATORS)
    if indicators:
        panels |= compute_indicators(market, indicators)
    panels |= compute_panels(market, {name: _PANELS[name] for name in names if name in _PANELS})
    panels |= {name: _compute_own(market, name) for name in names if name not in _FIELDS}
    # One plane a feature, seen as [T, N, K]: writing each feature between the others would take most of the time.
    planes = np.empty((len(names), market.n_dates, market.n_symbols), dtype=np.float32)
    for plane, name in zip(planes, names, strict=True):
        plane[:] = _normalise(panels.pop(name), settings)
    return Signals(
        dates=market.dates,
        symbols=market.symbols,
        names=tuple(f"{PREFIX}.{name}" for name in names),
        values=np.moveaxis(planes, 0, -1),
        trained_until=market.dates.to_numpy(),
        horizons=(0,) * len(names),
    )


def _compute_own(market: Market, name: str) -> FloatArray:
    """Return a feature of the user's own.

    Raises:
        DataError: It is not one number a session and symbol.
    """
    values = np.asarray(FEATURES.load(name)(market))
    if values.shape != market.close.shape or not np.issubdtype(values.dtype, np.number):
        raise DataError(
            f"feature '{name}' returned {values.dtype} of shape {values.shape}; it must return a number for each of "
            f"{market.n_dates} sessions and {market.n_symbols} symbols, NaN where nothing is known"
        )
    # What is infinite has no rank and no scale.
    return np.where(np.isfinite(values), values, np.nan).astype(np.float64)


def _normalise(panel: FloatArray, settings: FeatureSettings) -> FloatArray:
    if settings.normalise == "rank":
        return rank_across(panel)
    if settings.normalise == "zscore":
        return standardise_trailing(panel, settings.zscore_days, settings.zscore_min_days)
    return panel


def _check_fields(market: Market, names: tuple[str, ...]) -> None:
    def lacks(field: str) -> bool:
        return getattr(market, field) is None if field in FIELDS else field not in market.extras

    for name in names:
        missing = [field for field in _FIELDS.get(name, ()) if lacks(field)]
        if missing:
            usable = [known for known, fields in _FIELDS.items() if not any(lacks(field) for field in fields)]
            raise DataError(
                f"feature '{name}' needs {' and '.join(missing)}, which this market does not have; choose data with "
                f"OHLCV (or set data.fundamentals or data.macro), or features among: {', '.join(usable)}"
            )
