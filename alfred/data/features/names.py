"""The names of all features, apart from the code that computes them: a configuration is checked without loading it."""

from __future__ import annotations

from collections.abc import Mapping

_REPORTED = (
    "eps_reported",
    "eps_estimated",
    "eps_surprise",
    "eps_surprise_pct",
    "gross_margin",
    "operating_margin",
    "net_margin",
)
_LOOKBACKS = (7, 30, 90, 180)

LEVELS = ("market_level", "sector_level")
"""Fields that every market has beside those of its source: indices of all symbols, and of each symbol's sector."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "technical": (
        *("rsi", "macd", "macd_signal", "macd_histogram", "bollinger_upper", "bollinger_lower", "bollinger_width"),
        *("atr", "obv", "vwap_ratio", "roc", "stochastic_k", "stochastic_d", "adx", "cci"),
    ),
    "momentum": (
        *("momentum_12_1", "momentum_6_1", "momentum_3_1", "momentum_1", "roc_20", "roc_60", "distance_200"),
        *("relative_strength", "volume_trend", "volatility_20"),
    ),
    # What the literature of the cross-section of returns agrees on most: momentum, reversal, low volatility.
    "classic": ("momentum_12_1", "momentum_6_1", "momentum_1", "roc_5", "volatility_60"),
    "risk": ("volatility_5", "volatility_60", "correlation_60"),
    "costs": ("spread_20", "illiquidity_20"),
    "quarterly": (
        *_REPORTED,
        *(f"{name}_delta" for name in _REPORTED),
        *(f"price_distance_{days}" for days in _LOOKBACKS),
        *(f"volume_distance_{days}" for days in _LOOKBACKS),
        *("vix", "yield_3m", "yield_2y", "yield_5y", "yield_10y", "wti", "brent", "benchmark_return"),
    ),
}
"""The features of each family; its name stands for all of them that a market has the fields for."""
