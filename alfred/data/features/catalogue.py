"""Features by name: they reach the environment by the same door as the forecasts of analysts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alfred.data.features.costs import COST_FEATURES
from alfred.data.features.indicators import INDICATORS, compute_indicators
from alfred.data.features.momentum import MOMENTUM_FEATURES, REVERSAL_FEATURES, compute_panels
from alfred.data.features.names import FAMILIES
from alfred.data.features.normalise import rank_across, standardise_trailing
from alfred.data.features.registry import FEATURES
from alfred.data.features.risk import RISK_FEATURES
from alfred.data.features.rollup import ROLLUP_FEATURES
from alfred.data.market import FIELDS, Market
from alfred.data.settings import PREFIX, FeatureSettings
from alfred.data.signals import Signals
from alfred.errors import DataError
from alfred.typing import FloatArray

_PANELS = {**MOMENTUM_FEATURES, **REVERSAL_FEATURES, **RISK_FEATURES, **COST_FEATURES, **ROLLUP_FEATURES}
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
    names = list_features(market, settings)
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


def list_features(market: Market, settings: FeatureSettings) -> tuple[str, ...]:
    """Return the features that a market has, in the order of the settings, each once.

    A family stands for those of its features that the market has the fields for; a feature by name must be there.

    Raises:
        DataError: A feature that is named needs a field that this market does not have, or no family has any feature.
    """
    names: list[str] = []
    for name in settings.names:
        members = FAMILIES.get(name, ())
        names += [member for member in members if not _find_missing(market, member)] if members else [name]
        if not members and (missing := _find_missing(market, name)):
            raise DataError(
                _refuse(market, f"feature '{name}' needs {' and '.join(missing)}, which this market does not have")
            )
    if not names:
        raise DataError(
            _refuse(market, f"this market has the fields of no feature among: {', '.join(settings.features)}")
        )
    return tuple(dict.fromkeys(names))


def _find_missing(market: Market, name: str) -> list[str]:
    """Return the fields that a feature needs and the market lacks."""
    return [
        field
        for field in _FIELDS.get(name, ())
        if (getattr(market, field) is None if field in FIELDS else field not in market.extras)
    ]


def _refuse(market: Market, text: str) -> str:
    usable = [known for known in _FIELDS if not _find_missing(market, known)]
    cure = "choose data with OHLCV (or set data.fundamentals or data.macro), or features among"
    return f"{text}; {cure}: {', '.join(usable)}"
